"""The statements of a page of the jobs of all tenants."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from services.orchestrator.domain.job import State
from services.orchestrator.domain.job_record import JobFilter, id_from

FILTERS = {"tenant": "tenant", "user": '"user"', "model": "(spec ->> 'model')", "backend": "backend"}
"""The columns of the filters."""
BY_INDEX = sa.text(
    "SELECT set_config(name, 'off', true)"
    " FROM unnest(ARRAY['enable_sort', 'enable_incremental_sort', 'enable_bitmapscan', 'enable_seqscan']) AS name"
)
"""For the transaction. PostgreSQL knows of no order of the states, and would sort all jobs of a tenant or a model."""
ABOVE_ALL = "z"
"""Above every id."""


class PageStatements:
    """The statements of a page.

    A page has the newest jobs of each state, which an index on a filter, the state and the id has in this order. The
    conditions that this index does not have are tested on a bounded number of jobs. So a page takes equally long,
    however many jobs there are.
    """

    def __init__(self, which: JobFilter, before: str | None, limit: int, window: int) -> None:
        given: dict[str, Any] = {name: getattr(which, name) for name in FILTERS if getattr(which, name)}
        # A user is one of a tenant, and the two have an index together.
        leading = [name for name in ("tenant", "user") if name in given] or list(given)[:1]
        self.rest: Sequence[str] = [f'"{name}" = :{name}' for name in given if name not in leading]
        """Conditions that the index does not have."""
        states: Sequence[State] = [which.state] if which.state else list(State)
        highest = [ABOVE_ALL, *([before] if before else []), *([id_from(which.until)] if which.until else [])]
        self._values: dict[str, Any] = given | {
            "states": [state.value for state in states],
            "limit": limit + 1,
            "window": window if self.rest else limit + 1,
            "lowest": id_from(which.since) if which.since else "",
            "high": min(highest),
        }
        # Compared and sorted as rows: or PostgreSQL may read all jobs by their ids to find those of a rare state.
        columns = ", ".join([*(FILTERS[name] for name in leading), "state", "id"])
        values = "".join(f":{name}, " for name in leading) + "each.state"
        between = f"({columns}) >= ({values}, :lowest) AND ({columns}) <= ({values}, :high) AND id < :high"
        self._order = ", ".join(f'"{name}" DESC' for name in [*leading, "state", "id"])
        shown = ", ".join(f'{column} AS "{name}"' for name, column in FILTERS.items())
        self._newest = f"SELECT {shown}, state, id FROM jobs WHERE {between} ORDER BY {self._order}"

    def ids(self) -> tuple[sa.TextClause, dict[str, Any]]:
        """Returns the statement for the newest ids."""
        rest = f"WHERE {' AND '.join(self.rest)}" if self.rest else ""
        return self._of_states(
            f"SELECT id FROM ({self._newest} LIMIT :window) AS seen {rest} ORDER BY {self._order} LIMIT :limit",
            "SELECT found.id",
            "ORDER BY found.id DESC LIMIT :limit",
        )

    def floor(self) -> tuple[sa.TextClause, dict[str, Any]]:
        """Returns the statement for the lowest id down to which all jobs were looked at; NULL: all were."""
        return self._of_states(f"{self._newest} OFFSET :window - 1 LIMIT 1", "SELECT max(found.id)", "")

    def _of_states(self, lateral: str, select: str, end: str) -> tuple[sa.TextClause, dict[str, Any]]:
        text = f"{select} FROM unnest(CAST(:states AS text[])) AS each (state) CROSS JOIN LATERAL ({lateral}) AS found"
        return sa.text(f"{text} {end}"), self._values
