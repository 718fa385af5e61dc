"""LivePath: a path of live playback. What all of them share: the token and the form of errors."""

import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import grpc
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from services.reasons import AccessReason, HttpReason
from services.rpc.status_codes import Failure
from services.studio.api_error import ApiError
from services.studio.refusal import WRONG
from services.studio.refused_request import RefusedRequest
from services.studio.videos import error_json

TOKEN = re.compile(r"live\.[A-Za-z0-9_-]{1,2000}\.[A-Za-z0-9_-]{1,100}")
"""Only what may be a live URL's token goes to the API as a credential."""
METHODS = "GET, HEAD"
Endpoint = Callable[[Request, str], Awaitable[Response]]
"""Answers a request with its token; empty: it has none."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LivePath:
    """Answers requests by an endpoint, and what is wrong with them in the form of the paths around it."""

    endpoint: Endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        request = Request(scope, receive)
        response = await self._answer(request)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            sentence, reason = f"This path takes {METHODS}.", HttpReason.METHOD_UNSUPPORTED
            return error_json.answer(405, sentence, code=reason, headers={"Allow": METHODS})
        try:
            return await self.endpoint(request, _token(request))
        except RefusedRequest as refused:
            return error_json.of_refusal(refused)
        except ApiError as error:
            return failed(error.failure)
        except Exception:
            log.exception("a request over HTTP failed")
            return failed(Failure(grpc.StatusCode.INTERNAL, ""))


def failed(failure: Failure) -> Response:
    """Answers a request whose call of the API failed."""
    if failure.reason == AccessReason.SIGNED_URL_EXPIRED:
        return error_json.answer(410, failure.message, code=failure.reason)
    if failure.reason == AccessReason.SIGNED_URL_WRONG:
        return error_json.answer(403, failure.message, code=failure.reason)
    if failure.code is grpc.StatusCode.NOT_FOUND or any(each.field == "name" for each in failure.violations):
        return error_json.answer(404, "There is no such video.", code=failure.reason)
    return error_json.of_failure(failure)


def _token(request: Request) -> str:
    given = request.query_params.getlist("token")
    if given and not (len(given) == 1 and TOKEN.fullmatch(given[0])):
        raise RefusedRequest(WRONG, reason=AccessReason.SIGNED_URL_WRONG, status=403)
    return given[0] if given else ""
