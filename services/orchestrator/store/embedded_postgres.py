"""The embedded default: a real PostgreSQL from its wheel, in a folder of our own. For one machine."""

import fcntl
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from services.orchestrator.store.postgres_cluster import PORT, ROLE, SOCKET, SUPERUSER, ClusterError, PostgresCluster

SOCKET_PATH_BYTES = 107
"""The kernel's limit."""
PLAIN = re.compile(r"[\w./-]+", re.ASCII)
"""Characters that need no escape in a URL, and that libpq keeps in one host; it splits hosts at commas and colons."""
OWNED = f"""
DO $$
DECLARE change text;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}') THEN
    CREATE ROLE {ROLE} LOGIN;
  END IF;
  ALTER DATABASE {SUPERUSER} OWNER TO {ROLE};
  ALTER SCHEMA public OWNER TO {ROLE};
  FOR change IN
    SELECT format('SCHEMA %I', nspname) FROM pg_namespace
      WHERE nspowner = '{SUPERUSER}'::regrole AND nspname !~ '^(pg_|information_schema$)'
    UNION ALL
    SELECT format('TABLE %s', oid::regclass) FROM pg_class c
      WHERE relowner = '{SUPERUSER}'::regrole AND oid >= 16384 AND relkind IN ('r', 'p', 'v', 'm', 'S')
        AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype IN ('a', 'i', 'e') AND relkind = 'S')
    UNION ALL
    SELECT format('ROUTINE %s', oid::regprocedure) FROM pg_proc
      WHERE proowner = '{SUPERUSER}'::regrole AND oid >= 16384
    UNION ALL
    SELECT format('TYPE %s', oid::regtype) FROM pg_type
      WHERE typowner = '{SUPERUSER}'::regrole AND oid >= 16384 AND typtype IN ('d', 'e')
  LOOP
    EXECUTE 'ALTER ' || change || ' OWNER TO {ROLE}';
  END LOOP;
END $$
"""
"""Gives the service a role that owns only the service's objects, including those that the superuser created before."""

log = logging.getLogger(__name__)


class EmbeddedPostgres:
    """A PostgreSQL server that runs while this object is open. Several processes may open the same folder.

    Each holds a lock on the folder, which the kernel releases if the process is killed. A process that closes it and
    finds no other lock stops the server. Safe from any thread.
    """

    def __init__(self, folder: Path) -> None:
        """Raises ClusterError: the server cannot run; the message says why."""
        folder = folder.resolve()
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            self._cluster = PostgresCluster(folder)
            self._lock = folder.with_name(f".{folder.name}.lock")
            with self._alone() as lock:
                self._cluster.make(lock)
                self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    self._serve()
                except BaseException:
                    os.close(self._folder)
                    raise
                self._open = True
        except (OSError, psycopg.Error) as error:
            raise ClusterError(f"the embedded PostgreSQL in {folder} cannot be used: {error}") from error

    @property
    def url(self) -> str:
        """URL of the service's database, for the service's role, which owns it and is no superuser.

        Other processes may use it too, unless the path of the folder is too long or too unusual for a URL.
        """
        return self._url(ROLE)

    @property
    def admin_url(self) -> str:
        """URL of the same database, for the superuser."""
        return self._url(SUPERUSER)

    def revive(self) -> bool:
        """Starts the server again if it has ended, for example because it was killed. Blocking.

        Returns whether it did: False if the server runs, because another process may have started it, or after `close`.
        Raises ClusterError.
        """
        try:
            with self._alone():
                if not self._open or self._cluster.runs:
                    return False
                self._serve()
                return True
        except (OSError, psycopg.Error) as error:
            raise ClusterError(f"the embedded PostgreSQL in {self._cluster.folder} cannot be used: {error}") from error

    def close(self) -> None:
        """Stops the server if no other process uses it."""
        with self._alone():
            self._open = False
            # Closing is not enough: a process that is just being forked has a copy.
            fcntl.flock(self._folder, fcntl.LOCK_UN)
            try:
                with suppress(BlockingIOError):
                    fcntl.flock(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    self._cluster.stop()
            finally:
                os.close(self._folder)

    def _serve(self) -> None:
        fcntl.flock(self._folder, fcntl.LOCK_SH)
        changed = self._cluster.admit()
        if not self._cluster.serves:
            self._cluster.stop()  # it listens elsewhere, or its starter was killed meanwhile
            self._cluster.start()
        elif changed:
            self._cluster.reload()
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            owner = connection.execute(
                "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
            ).fetchone()
            if owner != (ROLE,):
                connection.execute(OWNED)

    def _url(self, role: str) -> str:
        host = str(self._cluster.folder)
        if not PLAIN.fullmatch(host) or len(f"{host}/{SOCKET}") > SOCKET_PATH_BYTES:
            host = f"/proc/self/fd/{self._folder}"  # the same folder, by a short name
        return f"postgresql://{role}@/{SUPERUSER}?host={host}&port={PORT}"

    @contextmanager
    def _alone(self) -> Iterator[int]:
        """Keeps other processes from creating, starting and stopping the server. Yields the lock's descriptor."""
        lock = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                where = {"folder": str(self._cluster.folder)}
                log.info("waiting for another process that starts or stops the PostgreSQL", extra=where)
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield lock
        finally:
            os.close(lock)
