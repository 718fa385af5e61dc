"""The routes of the bindings, one for each path."""

from collections.abc import Sequence

from starlette.routing import Route

from services.studio.request_body import Bodies
from services.studio.resource import Resource
from services.studio.resources.binding import Binding
from services.studio.resources.calls import Calls
from services.studio.resources.operation import Operation


def routes(bindings: Sequence[Binding], calls: Calls, bodies: Bodies, stall_s: float) -> list[Route]:
    """Returns the routes. A path without a verb, `/v1/jobs/{job}`, also matches those with one, so it comes later."""
    paths = sorted({each.path for each in bindings}, key=lambda path: (":" not in path, path))

    def resource(path: str) -> Resource:
        of_path = [each for each in bindings if each.path == path]
        return Resource({each.method: Operation(each, calls, bodies, stall_s).answer for each in of_path})

    return [Route(path, resource(path)) for path in paths]
