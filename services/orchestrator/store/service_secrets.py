"""PostgresServiceSecrets: secrets that the database makes when a process asks for one first."""

import sqlalchemy as sa

from services.orchestrator.store.database import Database

# The database draws them: so they are never in a statement, and no server log has them. A random UUID has 122 bits.
MAKE = sa.text("""
INSERT INTO service_secrets (name, secret)
VALUES (:name, sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())))
ON CONFLICT DO NOTHING
""")
FIND = sa.text("SELECT secret FROM service_secrets WHERE name = :name")


class PostgresServiceSecrets:
    """The secrets of one database. Each is read once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, bytes] = {}

    async def secret(self, name: str) -> bytes:
        """Returns the 32 random bytes of this name. They are made at the first request, and stay the same."""
        if name not in self._known:
            async with self._database.reading() as connection:
                found = (await connection.execute(FIND, {"name": name})).scalar_one_or_none()
                if found is None:
                    await connection.execute(MAKE, {"name": name})
                    # Another process may have been faster: only what the table has counts.
                    found = (await connection.execute(FIND, {"name": name})).scalar_one()
            self._known[name] = bytes(found)
        return self._known[name]
