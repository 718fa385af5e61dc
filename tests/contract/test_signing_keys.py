"""How the keys of a tokens' issuer are read: in the background, with bounds, and kept while they cannot be read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from services.errors import Unavailable
from services.orchestrator.domain.token_claims import Issuer
from services.orchestrator.tokens.key_source import DOCUMENT_BYTES, JwksFile, JwksUrl, KeysUnreadable, jwks_client
from services.orchestrator.tokens.signing_keys import SigningKeys, keys_of
from services.orchestrator.tokens.token_reader import TokenReader
from tests.support.builders import NOON
from tests.support.signing_keys_source import Source, refused, signing_keys
from tests.support.token_issuer import AUDIENCE, ISSUER, TokenIssuer

NOW = NOON.timestamp()


@pytest.fixture
def issuer() -> TokenIssuer:
    return TokenIssuer()


@pytest.fixture
def source(issuer: TokenIssuer) -> Source:
    return Source(issuer)


async def test_before_the_first_read_a_token_waits_for_a_retry(source: Source, issuer: TokenIssuer) -> None:
    with pytest.raises(Unavailable) as caught:
        TokenReader(signing_keys(source), Issuer(ISSUER, AUDIENCE)).read(issuer.token(NOW), NOON)
    assert caught.value.reason == "TOKEN_KEYS_UNAVAILABLE"


@asynccontextmanager
async def keeping(keys: SigningKeys, source: Source) -> AsyncIterator[TokenReader]:
    task = asyncio.create_task(keys.keep_reading())
    await source.next_read()
    yield TokenReader(keys, Issuer(ISSUER, AUDIENCE))
    task.cancel()
    await asyncio.wait({task})


async def test_a_rotated_key_is_read_after_the_first_token_with_it(source: Source, issuer: TokenIssuer) -> None:
    async with keeping(signing_keys(source), source) as reader:
        issuer.add("two")
        assert refused(reader, issuer.token(NOW)) == "TOKEN_KEY_UNKNOWN"
        await source.next_read()
        assert reader.read(issuer.token(NOW), NOON).tenant == "studio"
        assert reader.read(issuer.token(NOW, "one"), NOON).tenant == "studio"


async def test_an_unknown_key_id_causes_one_read_at_most_every_so_often(source: Source, issuer: TokenIssuer) -> None:
    async with keeping(signing_keys(source, refetch_s=600), source) as reader:
        for number in range(100):
            unknown = issuer.token(NOW, header={"kid": f"guess-{number}"})
            assert refused(reader, unknown) == "TOKEN_KEY_UNKNOWN"
            await asyncio.sleep(0)
        assert source.reads == 1


async def test_keys_are_kept_while_they_cannot_be_read_and_a_removed_one_goes(
    source: Source, issuer: TokenIssuer
) -> None:
    async with keeping(signing_keys(source, refresh_s=0.02), source) as reader:
        source.is_away = True
        await source.next_read()
        await source.next_read()
        assert reader.read(issuer.token(NOW), NOON).tenant == "studio"
        old = issuer.token(NOW)
        issuer.keys.clear()
        issuer.add("two")
        source.is_away = False
        await source.next_read()
        await source.next_read()
        assert refused(reader, old) == "TOKEN_KEY_UNKNOWN"
        assert reader.read(issuer.token(NOW), NOON).tenant == "studio"


async def test_a_file_is_read_with_a_limit(tmp_path: Path, issuer: TokenIssuer) -> None:
    file = tmp_path / "jwks.json"
    for content in (None, b" " * (DOCUMENT_BYTES + 1)):
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(KeysUnreadable):
            await JwksFile(file).load()
    file.write_bytes(issuer.jwks())
    assert keys_of(await JwksFile(file).load())


@asynccontextmanager
async def web_server(answer: bytes) -> AsyncIterator[str]:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server: Any = await asyncio.start_server(respond, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/jwks"


def http(body: bytes, status: str = "200 OK", header: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{header}\r\n".encode() + body


async def test_a_url_is_fetched(issuer: TokenIssuer) -> None:
    async with web_server(http(issuer.jwks())) as url, jwks_client(url) as client:
        assert set(keys_of(await JwksUrl(url, client).load())) == {"one"}


@pytest.mark.parametrize(
    "answer",
    [
        http(b"{}", "500 Oops"),
        http(b"", "302 Found", "Location: http://127.0.0.1:1/\r\n"),
        http(b" " * (DOCUMENT_BYTES + 1)),
        b"nonsense\r\n\r\n",
        b"",
    ],
)
async def test_an_answer_that_is_no_list_is_refused(answer: bytes) -> None:
    async with web_server(answer) as url, jwks_client(url) as client:
        with pytest.raises(KeysUnreadable):
            await JwksUrl(url, client).load()


async def test_a_url_that_leads_nowhere_is_refused() -> None:
    url = "http://127.0.0.1:1/jwks"
    async with jwks_client(url) as client:
        with pytest.raises(KeysUnreadable):
            await JwksUrl(url, client).load()
