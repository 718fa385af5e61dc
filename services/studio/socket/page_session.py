"""The session of a page of ours that opens a connection: its cookie is the credential."""

from starlette.requests import Request
from starlette.types import Scope

from services.studio.sessions.own_page import demand_own_form, demand_own_page
from services.studio.sessions.session_cookie import SessionCookie


def token_of(scope: Scope, cookie: SessionCookie) -> str:
    """Returns the token of the request that opened a connection; empty: it has none.

    A browser sends the cookie from any page, so only a page of ours may use it: a WebSocket says its Origin; a poll of
    the same origin may leave it out, and says where it comes from in another way.

    Raises:
        RefusedRequest: another page uses the cookie, or there are two.
    """
    request = Request({**scope, "type": "http", "method": "GET"})
    if not (token := cookie.token(request)):
        return ""
    if scope["type"] == "websocket" or "origin" in request.headers:
        demand_own_form(request, secure=cookie.secure)
    else:
        demand_own_page(request, secure=cookie.secure)
    return token
