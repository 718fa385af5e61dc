"""StartPage: `/` is the page of a person who is signed in, and sends everyone else to the sign-in page."""

from dataclasses import dataclass

import grpc
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from services.studio.api_error import ApiError
from services.studio.page_headers import page_headers
from services.studio.refused_request import RefusedRequest
from services.studio.sessions import sign_in_html
from services.studio.sessions.session_calls import SessionCalls
from services.studio.sessions.session_cookie import SessionCookie
from services.studio.sessions.sign_in_style import HEADERS

SIGN_IN = "/sign-in"


@dataclass(frozen=True, slots=True)
class StartPage:
    """Answers the requests for `/`."""

    sessions: SessionCalls
    cookie: SessionCookie
    page: str
    """The HTML for everyone who is signed in."""

    def routes(self) -> list[Route]:
        """Returns what is answered."""
        return [Route("/", self.start, methods=["GET"])]

    async def start(self, request: Request) -> Response:
        """Returns the page; without a session a redirect to the sign-in page."""
        try:
            token = self.cookie.token(request)
        except RefusedRequest as refused:
            return HTMLResponse(sign_in_html.form(refused.message), refused.status, HEADERS)
        if not token:
            if request.headers.get("sec-fetch-site", "") == "cross-site":
                # Coming from another site's link, a browser leaves the cookie out; coming from this page it does not.
                return HTMLResponse(sign_in_html.again("/"), 200, HEADERS)
            return RedirectResponse(SIGN_IN, 303, page_headers())
        try:
            await self.sessions.who(token)
        except ApiError as error:
            if error.failure.code is not grpc.StatusCode.UNAUTHENTICATED:
                return HTMLResponse(sign_in_html.away(), 503, HEADERS | {"Retry-After": "1"})
            there = RedirectResponse(SIGN_IN, 303, page_headers())
            self.cookie.remove(there)
            return there
        return HTMLResponse(self.page, 200, page_headers())
