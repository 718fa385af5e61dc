"""PostgresOperators: the operators whose keys are in the database."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime

import sqlalchemy as sa

from services.errors import NotFound
from services.orchestrator.domain.audit import Act
from services.orchestrator.domain.operator import Operator
from services.orchestrator.store import access_rows, audit_log
from services.orchestrator.store.access_schema import operators
from services.orchestrator.store.database import Database


class PostgresOperators:
    """The operators of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, operator: Operator, sha256: str, act: Act) -> None:
        """Stores an operator and the digest of the key."""
        columns = asdict(operator) | {"role": operator.role.value}
        async with self._database.writing() as connection:
            await connection.execute(sa.insert(operators).values(columns | {"sha256": sha256}))
            await audit_log.write(connection, act, {}, columns)
            await access_rows.notify(connection)

    async def all(self) -> Sequence[Operator]:
        """Returns the operators, the oldest first, revoked ones too."""
        query = sa.select(operators).order_by(operators.c.create_time, operators.c.id)
        async with self._database.reading() as connection:
            return [access_rows.operator(row) for row in await connection.execute(query)]

    async def revoke(self, operator: str, now: datetime, act: Act) -> Operator:
        """Ends an operator's key; an ended one stays as it is. Raises NotFound."""
        query = sa.select(operators).where(operators.c.id == operator).with_for_update()
        async with self._database.writing() as connection:
            row = (await connection.execute(query)).one_or_none()
            if row is None:
                raise NotFound("operator", f"operators/{operator}")
            before = access_rows.operator(row)
            after = before if before.revoke_time is not None else replace(before, revoke_time=now)
            ended = sa.update(operators).where(operators.c.id == operator).values(revoke_time=after.revoke_time)
            await connection.execute(ended)
            await audit_log.write(connection, act, asdict(before), asdict(after))
            await access_rows.notify(connection)
        return after
