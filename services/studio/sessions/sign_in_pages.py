"""`/sign-in` and `/sign-out`: a key, or a link, becomes the cookie of a session. No script sees one of them."""

import logging
import re
from dataclasses import dataclass
from datetime import UTC

import grpc
from i2v.v1 import session_pb2
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from services.reasons import AccessReason, CallReason
from services.studio import form, statuses
from services.studio.api_error import ApiError
from services.studio.metrics import StudioMetrics
from services.studio.refused_request import RefusedRequest
from services.studio.sessions import sign_in_html
from services.studio.sessions.own_page import demand_own_form
from services.studio.sessions.session_calls import SessionCalls
from services.studio.sessions.session_cookie import SessionCookie
from services.studio.sessions.sign_in_refusal import OF_USER, WRONG_KEY, SignInRefusal, refusal_of
from services.studio.sessions.sign_in_style import HEADERS

KEY = re.compile(r"[\x21-\x7e]{1,8192}")
USER = re.compile(r"[\x20-\x7e]{0,128}")
TICKET = re.compile(r"i2vt_[A-Za-z0-9_-]{43}")
FORM_BYTES = 12 * 1024
"""A JWT is longer than a key."""
FOREIGN = "The form was not sent by this page. Open the page again, and sign in there."
BROKEN = "The form did not arrive completely. Try again."
LINK_ENDED = "It was used, or is older than ten minutes, or was not copied completely. Ask for another one."

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SignInPages:
    """Answers the requests of people who sign in or out."""

    sessions: SessionCalls
    cookie: SessionCookie
    metrics: StudioMetrics

    def routes(self) -> list[Route]:
        """Returns what is answered."""
        return [
            Route("/sign-in", self.page, methods=["GET"]),
            Route("/sign-in", self.sign_in, methods=["POST"]),
            Route("/sign-in/{ticket}", self.link, methods=["GET"]),
            Route("/sign-in/{ticket}", self.use_link, methods=["POST"]),
            Route("/sign-out", self.sign_out, methods=["POST"]),
        ]

    async def page(self, request: Request) -> Response:
        """Shows the form."""
        return _html(200, sign_in_html.form())

    async def sign_in(self, request: Request) -> Response:
        """Takes the form, and gives the cookie of a new session: never one that the browser brought."""
        user = ""
        try:
            demand_own_form(request, secure=self.cookie.secure)
            given = await form.fields(request, most=FORM_BYTES)
            key, user = given.get("key", "").strip(), given.get("user", "").strip()
            if not KEY.fullmatch(key):
                return self._form(SignInRefusal(WRONG_KEY, 401, "key"), user)
            if not USER.fullmatch(user):
                return self._form(SignInRefusal(OF_USER[CallReason.USER_MALFORMED], 400, "user"), user)
            begun = await self.sessions.begin(key, user)
        except RefusedRequest:
            return self._form(SignInRefusal(FOREIGN, 403), "")
        except form.BadFormError:
            return self._form(SignInRefusal(BROKEN, 400), "")
        except ApiError as error:
            return self._form(refusal_of(error.failure), user, **statuses.retry_after(error.failure))
        return await self._signed_in(request, begun)

    async def link(self, request: Request) -> Response:
        """Shows the button of a link. Only it uses the link up: programs that look at addresses send no form."""
        if not TICKET.fullmatch(request.path_params["ticket"]):
            return _html(404, sign_in_html.link_ended(LINK_ENDED))
        return _html(200, sign_in_html.link())

    async def use_link(self, request: Request) -> Response:
        """Gives the cookie of the session of a link."""
        ticket = request.path_params["ticket"]
        try:
            demand_own_form(request, secure=self.cookie.secure)
            if not TICKET.fullmatch(ticket):
                return self._ended(SignInRefusal(LINK_ENDED, 404))
            begun = await self.sessions.exchange(ticket)
        except RefusedRequest:
            return self._ended(SignInRefusal(FOREIGN, 403))
        except ApiError as error:
            found = refusal_of(error.failure)
            if error.failure.reason == AccessReason.TICKET_ENDED:
                found = SignInRefusal(LINK_ENDED, 410)
            return self._ended(found, **statuses.retry_after(error.failure))
        return await self._signed_in(request, begun)

    async def sign_out(self, request: Request) -> Response:
        """Ends the session at the API, so that a copy of the cookie is worth nothing, and takes the cookie back."""
        try:
            demand_own_form(request, secure=self.cookie.secure)
            token = self.cookie.token(request)
        except RefusedRequest as refused:
            return _html(refused.status, sign_in_html.form(refused.message))
        if token:
            try:
                await self.sessions.end(token)
            except ApiError as error:
                if error.failure.code is not grpc.StatusCode.UNAUTHENTICATED:  # else it has ended before
                    return _html(503, sign_in_html.still_signed_in(), **statuses.retry_after(error.failure))
        there = RedirectResponse("/sign-in", 303, HEADERS)
        self.cookie.remove(there)
        return there

    async def _signed_in(self, request: Request, begun: session_pb2.CreateSessionResponse) -> Response:
        there = RedirectResponse("/", 303, HEADERS)
        self.cookie.put(there, begun.token, begun.session.expire_time.ToDatetime(tzinfo=UTC))
        self.metrics.sign_ins.labels("signed-in").inc()
        await self._end_former(request)
        return there

    async def _end_former(self, request: Request) -> None:
        """Ends the session that the browser had before; one that cannot be ended expires."""
        try:
            if token := self.cookie.token(request):
                await self.sessions.end(token)
        except (ApiError, RefusedRequest):
            log.debug("the session before could not be ended; it expires")

    def _form(self, refusal: SignInRefusal, user: str, **headers: str) -> Response:
        self.metrics.sign_ins.labels(refusal.outcome).inc()
        page = sign_in_html.form(refusal.sentence, field=refusal.field, user=user[: sign_in_html.USER_MOST])
        return _html(refusal.status, page, **headers)

    def _ended(self, refusal: SignInRefusal, **headers: str) -> Response:
        self.metrics.sign_ins.labels(refusal.outcome).inc()
        return _html(refusal.status, sign_in_html.link_ended(refusal.sentence), **headers)


def _html(status: int, page: str, **headers: str) -> HTMLResponse:
    return HTMLResponse(page, status, HEADERS | headers)
