"""Resource: a path of `/v1` and its methods. What is wrong is answered in the form of the path's clients."""

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from services.reasons import HttpReason
from services.rpc.status_codes import Failure
from services.studio import problem
from services.studio.api_error import ApiError
from services.studio.caller import Caller, caller
from services.studio.refused_request import RefusedRequest

Endpoint = Callable[[Request, Caller], Awaitable[Response]]

_ENCODED = re.compile(rb"%(?:2f|5c|00)", re.IGNORECASE)
"""Signs that would end a part of a path, or a text: encoded, they only disguise where a request goes."""

log = logging.getLogger(__name__)


class Refusals(Protocol):
    """A form of errors."""

    def failed(self, request: Request, failure: Failure) -> Response:
        """Answers a request whose call of the API failed, or which failed here: then the failure has no reason."""
        ...

    def refused(self, request: Request, refusal: RefusedRequest) -> Response:
        """Answers a request that is refused before the API is asked."""
        ...


@dataclass(frozen=True, slots=True)
class Resource:
    """Answers the requests of a path."""

    methods: Mapping[str, Endpoint]
    """HEAD is answered as GET, without the body. Empty: there is nothing at the path."""
    refusals: Refusals = problem
    """The form of errors: problem details, or that of OpenAI's API."""
    options: bool = True
    """Whether OPTIONS is answered with the methods."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        request = Request(scope, receive)
        response = await self._answer(request)
        await response(scope, receive, send)

    @property
    def allow(self) -> str:
        """The methods, for the header `Allow`."""
        return ", ".join([*(["HEAD"] if "GET" in self.methods else []), *self.methods])

    async def _answer(self, request: Request) -> Response:
        try:
            if request.method == "OPTIONS" and self.options and self.methods:
                return Response(None, 204, {"Allow": f"{self.allow}, OPTIONS"})
            return await self._endpoint(request)(request, caller(request))
        except RefusedRequest as refused:
            return self.refusals.refused(request, refused)
        except ApiError as error:
            return self.refusals.failed(request, error.failure)
        except Exception:
            log.exception("a request over HTTP failed")
            return self.refusals.failed(request, problem.INTERNAL)

    def _endpoint(self, request: Request) -> Endpoint:
        if not self.methods or _ENCODED.search(request.scope.get("raw_path") or b""):
            raise RefusedRequest("There is nothing at this path.", reason=HttpReason.PATH_UNKNOWN, status=404)
        endpoint = self.methods.get("GET" if request.method == "HEAD" else request.method)
        if endpoint is None:
            sentence, headers = f"This path takes {self.allow}.", {"Allow": self.allow}
            raise RefusedRequest(sentence, reason=HttpReason.METHOD_UNSUPPORTED, status=405, headers=headers)
        return endpoint
