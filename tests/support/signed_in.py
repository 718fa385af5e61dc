"""People who sign in to the pages, as a browser does."""

from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from http.cookies import SimpleCookie
from typing import Any

import httpx
from i2v.v1 import session_pb2, session_pb2_grpc

from tests.support.served_orchestrator import caller
from tests.support.studio_rig import Rig

KEY = "studio-key"
READS: Mapping[str, str] = {"Sec-Fetch-Site": "same-origin"}
"""What a browser says when our page reads."""


def writes(rig: Rig) -> dict[str, str]:
    """Returns what a browser says when our page changes something."""
    return {**READS, "Origin": rig.address, "I2V-Page": "1"}


async def sign_in(rig: Rig, key: str = KEY, *, user: str | None = None, **headers: str) -> httpx.Response:
    """Sends the form of the sign-in page."""
    rig.http.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=()))  # a test says itself which cookie it sends
    given = {"key": key, "user": rig.user if user is None else user}
    sent = {**READS, "Origin": rig.address} | {name.replace("_", "-"): value for name, value in headers.items()}
    return await rig.http.post(f"{rig.address}/sign-in", data=given, headers=sent)


def token_of(answer: httpx.Response) -> str:
    """Returns the token in the cookie that an answer sets."""
    return next(iter(SimpleCookie(answer.headers["set-cookie"]).values())).value


async def signed_in(rig: Rig, key: str = KEY) -> dict[str, str]:
    """Signs in; returns the header with the cookie."""
    answer = await sign_in(rig, key)
    assert answer.status_code == 303, answer.text
    return {"Cookie": f"i2v_session={token_of(answer)}"}


async def sign_in_link(rig: Rig) -> session_pb2.SignInLink:
    """Returns a link for the rig's user."""
    stub: Any = session_pb2_grpc.SessionServiceStub(rig.i2v.channel)
    return await stub.CreateSignInLink(session_pb2.CreateSignInLinkRequest(), metadata=caller(user=rig.user))
