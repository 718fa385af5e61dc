"""Tokens of shares as credentials of calls."""

from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from services.errors import NotFound, PermissionDenied
from services.orchestrator.api.access_rules import BY_PATH
from services.orchestrator.api.authentication import Authentication
from services.orchestrator.api.credential import ShareCredential
from services.orchestrator.api.share_tokens import ShareTokens
from services.orchestrator.domain.share import Share, token_digest
from services.orchestrator.metrics import PrometheusMeter
from services.rpc.auth import Principal
from tests.support.builders import NOON, FakeClock
from tests.unit.orchestrator.test_authentication import Credentials
from tests.unit.orchestrator.test_pass_phrases import SHARE

TOKEN = "share." + "A" * 43
READ = "/i2v.v1.SharedService/ReadShared"


class Rig:
    """An authentication that knows one share."""

    def __init__(self) -> None:
        self.clock = FakeClock(NOON)
        self.shares: dict[str, Share] = {token_digest(TOKEN): SHARE}
        self.lookups = 0
        tokens = ShareTokens(self.find, self.clock, PrometheusMeter(CollectorRegistry()))
        self.authentication = Authentication(Credentials(), {}, self.clock, shares=tokens)

    async def find(self, digest: str) -> Share | None:
        self.lookups += 1
        return self.shares.get(digest)

    async def caller(self) -> Principal:
        return Principal(await self.authentication.verify(TOKEN), "ann")


async def test_a_token_is_looked_up_once_in_seconds_and_is_its_users() -> None:
    rig = Rig()
    for _ in range(5):
        credential = await rig.authentication.verify(TOKEN)
        assert isinstance(credential, ShareCredential)
    assert (rig.lookups, credential.tenant, credential.user, credential.share) == (1, "studio", "ann", SHARE)
    assert TOKEN not in repr(credential)


@pytest.mark.parametrize(
    "ended",
    [None, replace(SHARE, revoke_time=NOON), replace(SHARE, expire_time=NOON)],
    ids=["unknown", "revoked", "expired"],
)
async def test_unknown_revoked_and_expired_tokens_have_one_answer_without_the_token(ended: Share | None) -> None:
    rig = Rig()
    rig.shares = {token_digest(TOKEN): ended} if ended else {}
    with pytest.raises(NotFound) as caught:
        await rig.authentication.verify(TOKEN)
    assert (
        caught.value.message
        == "This link shows nothing: it has ended, what it showed was deleted, or it never was one."
    )
    assert "AAAA" not in f"{caught.value.metadata}"


async def test_only_the_methods_of_readers_take_the_token_and_they_take_nothing_else() -> None:
    rig = Rig()
    caller = await rig.caller()
    for path in BY_PATH:
        if path.startswith("/i2v.v1.SharedService/"):
            rig.authentication.authorize(path, caller)
        else:
            with pytest.raises(PermissionDenied):
                rig.authentication.authorize(path, caller)


async def test_a_stream_ends_when_its_share_is_revoked_or_gone_and_not_when_it_expires() -> None:
    rig = Rig()
    caller = await rig.caller()

    async def refusal() -> Any:
        rig.clock.advance(5)
        return await rig.authentication.refusal(READ, caller)

    assert await refusal() is None
    rig.shares[token_digest(TOKEN)] = replace(SHARE, expire_time=NOON)
    assert await refusal() is None
    rig.shares[token_digest(TOKEN)] = replace(SHARE, revoke_time=NOON)
    assert isinstance(await refusal(), NotFound)
    rig.shares.clear()
    assert isinstance(await refusal(), NotFound)
