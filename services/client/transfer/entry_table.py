"""A table on disk of what an export names and holds: a million entries take no memory."""

from collections.abc import Iterator
from contextlib import closing

from services.client.transfer.disk_table import DiskTable


class EntryTable(DiskTable):
    """The entries of an export, and the bytes that are there. To be used as `with`."""

    TABLES = """
        CREATE TABLE named (user TEXT, sha256 TEXT, size INTEGER, stored INTEGER, PRIMARY KEY (user, sha256))
            WITHOUT ROWID;
        CREATE TABLE held (sha256 TEXT PRIMARY KEY, size INTEGER) WITHOUT ROWID;
        CREATE INDEX named_sha256 ON named (sha256) WHERE stored;
    """

    def name(self, user: str, sha256: str, size: int, *, stored: bool) -> bool:
        """Notes an entry. Returns whether it is new."""
        added = self._database.execute(
            "INSERT OR IGNORE INTO named VALUES (?, ?, ?, ?)", (user, sha256, size, stored)
        ).rowcount
        return added == 1

    def names(self, user: str, sha256: str) -> bool:
        """Whether an entry was noted."""
        query = "SELECT 1 FROM named WHERE user = ? AND sha256 = ?"
        return self._database.execute(query, (user, sha256)).fetchone() is not None

    def hold(self, sha256: str, size: int) -> None:
        """Notes bytes that are there."""
        self._database.execute("INSERT OR IGNORE INTO held VALUES (?, ?)", (sha256, size))

    def missing(self) -> Iterator[str]:
        """Yields digests that entries name and that are not there."""
        return self._digests(
            "SELECT DISTINCT sha256 FROM named WHERE stored AND sha256 NOT IN (SELECT sha256 FROM held)"
        )

    def additional(self) -> Iterator[str]:
        """Yields digests that are there and that no entry names."""
        return self._digests("SELECT sha256 FROM held WHERE sha256 NOT IN (SELECT sha256 FROM named WHERE stored)")

    def of_other_size(self) -> Iterator[str]:
        """Yields digests whose bytes have another size than an entry says."""
        return self._digests(
            "SELECT DISTINCT sha256 FROM named JOIN held USING (sha256) WHERE stored AND named.size <> held.size"
        )

    def whole(self) -> Iterator[str]:
        """Yields digests that are there and named."""
        return self._digests("SELECT sha256 FROM held WHERE sha256 IN (SELECT sha256 FROM named WHERE stored)")

    def total(self) -> tuple[int, int]:
        """Returns how many different files entries name, and their bytes."""
        query = "SELECT count(*), coalesce(sum(size), 0) FROM (SELECT DISTINCT sha256, size FROM named WHERE stored)"
        files, size = self._database.execute(query).fetchone()
        return files, size

    def _digests(self, query: str) -> Iterator[str]:
        with closing(self._database.execute(f"{query} ORDER BY sha256")) as rows:
            yield from (sha256 for (sha256,) in rows)
