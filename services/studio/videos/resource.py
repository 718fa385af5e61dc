"""Resource: a path of `/v1` and its methods. Each error is answered in the form of OpenAI's API."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import grpc
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from services.reasons import HttpReason
from services.rpc.status_codes import Failure
from services.studio.api_error import ApiError
from services.studio.caller import Caller, caller
from services.studio.refused_request import RefusedRequest
from services.studio.videos import error_json

KEY = "idempotency-key"
Endpoint = Callable[[Request, Caller], Awaitable[Response]]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Resource:
    """Answers the requests of a path."""

    methods: Mapping[str, Endpoint]
    """HEAD is answered as GET, without the body. Empty: there is nothing at the path."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        request = Request(scope, receive)
        response = await self._answer(request)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if not self.methods:
            return error_json.answer(404, "There is nothing at this path.", code=HttpReason.PATH_UNKNOWN)
        endpoint = self.methods.get("GET" if request.method == "HEAD" else request.method)
        if endpoint is None:
            allow = ", ".join([*(["HEAD"] if "GET" in self.methods else []), *self.methods])
            sentence = f"This path takes {allow}."
            return error_json.answer(405, sentence, code=HttpReason.METHOD_UNSUPPORTED, headers={"Allow": allow})
        try:
            return await endpoint(request, caller(request))
        except RefusedRequest as refused:
            return error_json.of_refusal(refused)
        except ApiError as error:
            failure = error.failure
            unknown = failure.code is grpc.StatusCode.NOT_FOUND or any(
                each.field == "name" for each in failure.violations
            )
            if unknown and "id" in request.path_params:
                failure = Failure(grpc.StatusCode.NOT_FOUND, "There is no such video.", failure.reason)
            response = error_json.of_failure(failure)
        except Exception:
            log.exception("a request over HTTP failed")
            response = error_json.answer(500, error_json.UNEXPECTED, code=grpc.StatusCode.INTERNAL.name)
        if response.status_code >= 500 and request.method == "POST" and KEY not in request.headers:
            # The job may have been admitted. OpenAI's clients, which send again by themselves, would make another one.
            response.headers["X-Should-Retry"] = "false"
        return response
