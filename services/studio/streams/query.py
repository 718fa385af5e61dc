"""The parameters of a query that a path takes."""

from starlette.requests import Request

from services.reasons import HttpReason
from services.studio.refused_request import RefusedRequest


def demand_only(request: Request, *allowed: str) -> None:
    """Raises RefusedRequest for a parameter that the path does not take."""
    for name in request.query_params:
        if name not in allowed:
            takes = f"takes {', '.join(allowed)}" if allowed else "takes no parameters"
            sentence = f"This path {takes}, and not {name[:80]!r}."
            raise RefusedRequest(sentence, reason=HttpReason.FIELD_UNKNOWN, param=name[:80])
