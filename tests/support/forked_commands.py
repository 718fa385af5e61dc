"""`i2v` for shells of a test, within a tenth of the time: a process that has imported it forks for each command.

A command is a process of its own, with the shell's arguments, folder, environment and streams; so pipes, variables and
exit codes work as they do with the installed program.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CLIENT = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({path!r})
    server.settimeout(60)
    call = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [len(call).to_bytes(4, "big")], [0, 1, 2])
    server.sendall(call)
    sys.exit(int(server.recv(4) or b"99"))
"""
READY_S = 60.0


@contextmanager
def forked_commands(folder: Path) -> Iterator[Path]:
    """Yields a folder for PATH with the program `i2v`."""
    path = folder / "i2v.socket"
    program = folder / "bin" / "i2v"
    program.parent.mkdir()
    program.write_text(CLIENT.format(python=sys.executable, path=str(path)))
    program.chmod(0o755)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    server = subprocess.Popen([sys.executable, "-m", "tests.support.forked_commands", str(path)], env=environment)
    try:
        until = time.monotonic() + READY_S
        while not path.exists():
            assert server.poll() is None and time.monotonic() < until
            time.sleep(0.01)
        yield program.parent
    finally:
        server.terminate()
        server.wait()


def _serve(path: str) -> None:
    os.environ["GRPC_VERBOSITY"] = "NONE"  # as `i2v` does, before the import
    import services.client.admin_commands
    import services.client.cli

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{path}.new")
        listening.listen()
        os.rename(f"{path}.new", path)
        while True:
            client, _ = listening.accept()
            head, streams, _, _ = socket.recv_fds(client, 4, 3)
            text = b""
            while len(text) < int.from_bytes(head, "big"):
                text += client.recv(65536)
            arguments, folder, environment = json.loads(text)
            child = os.fork()
            if child == 0:
                code = _run(services.client.cli.main, streams, arguments, folder, environment)
                with suppress(OSError):
                    client.sendall(str(code).encode())
                os._exit(0)
            for each in streams:
                os.close(each)
            client.close()
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG) != (0, 0):
                    pass


def _run(main: object, streams: list[int], arguments: list[str], folder: str, environment: dict[str, str]) -> int:
    for number, each in enumerate(streams):
        os.dup2(each, number)
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode, closefd=False)  # noqa: SIM115  they stay open until the end of the process
        for number, mode in enumerate(("r", "w", "w"))
    )
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["i2v", *arguments]
    try:
        assert callable(main)
        main()
    except SystemExit as ended:
        code = ended.code
        return code if isinstance(code, int) else 0 if code is None else 1
    except BaseException as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 98
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    _serve(sys.argv[1])
