"""Where tests read the keys of an issuer from, and what a reader refuses."""

import asyncio

import pytest

from services.errors import Unauthenticated
from services.orchestrator.tokens.key_source import KeysUnreadable
from services.orchestrator.tokens.signing_keys import SigningKeys
from services.orchestrator.tokens.token_reader import TokenReader
from tests.support.builders import NOON
from tests.support.token_issuer import TokenIssuer


class Source:
    """The issuer's list, as it is now."""

    def __init__(self, issuer: TokenIssuer) -> None:
        self.issuer = issuer
        self.reads = 0
        self.is_away = False
        self.was_read = asyncio.Event()

    async def load(self) -> bytes:
        self.reads += 1
        self.was_read.set()
        if self.is_away:
            raise KeysUnreadable("away")
        return self.issuer.jwks()

    async def next_read(self) -> None:
        self.was_read.clear()
        async with asyncio.timeout(30):
            await self.was_read.wait()
        await asyncio.sleep(0)


def signing_keys(source: Source, *, refresh_s: float = 3600, refetch_s: float = 0.01) -> SigningKeys:
    return SigningKeys(source.load, lambda result: None, refresh_s=refresh_s, refetch_s=refetch_s)


def refused(reader: TokenReader, token: str) -> str:
    with pytest.raises(Unauthenticated) as caught:
        reader.read(token, NOON)
    return caught.value.reason
