"""Tokens: which are accepted, which are refused and why, and how the issuer's keys are read."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime

import jwt
import pytest

from services.orchestrator.domain.api_key import Scope
from services.orchestrator.domain.token_claims import SKEW_S, Claims, Issuer
from services.orchestrator.tokens.key_source import KeysUnreadable
from services.orchestrator.tokens.signing_keys import SigningKeys, keys_of
from services.orchestrator.tokens.token_reader import ALGORITHMS, TokenReader
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


@pytest.fixture
async def reader(source: Source) -> TokenReader:
    keys = signing_keys(source)
    await keys.read()
    return TokenReader(keys, Issuer(ISSUER, AUDIENCE))


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


async def test_a_token_says_who_calls_and_what_they_may(reader: TokenReader, issuer: TokenIssuer) -> None:
    everything = frozenset({Scope.SUBMIT, Scope.READ, Scope.ASSETS, Scope.USAGE})
    expires = datetime.fromtimestamp(NOW + 60, UTC)
    assert reader.read(issuer.token(NOW), NOON) == Claims("studio", "ann", everything, expires)
    listed = issuer.token(NOW, sub=None, aud=["x", AUDIENCE], scope=["tenant-admin", "x"])
    assert reader.read(listed, NOON) == Claims("studio", "", frozenset({Scope.TENANT_ADMIN}), expires)
    assert reader.read(issuer.token(NOW, scope=None), NOON).scopes == frozenset()


@pytest.mark.parametrize("algorithm", ["RS256", "PS384", "ES256", "EdDSA"])
async def test_each_kind_of_asymmetric_key_is_accepted(issuer: TokenIssuer, source: Source, algorithm: str) -> None:
    issuer.add("other", algorithm)
    keys = signing_keys(source)
    await keys.read()
    assert TokenReader(keys, Issuer(ISSUER, AUDIENCE)).read(issuer.token(NOW), NOON).tenant == "studio"


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"iss": "https://evil.example.com/"}, "TOKEN_ISSUER"),
        ({"iss": None}, "TOKEN_ISSUER"),
        ({"iss": [ISSUER]}, "TOKEN_ISSUER"),
        ({"aud": "other"}, "TOKEN_AUDIENCE"),
        ({"aud": None}, "TOKEN_AUDIENCE"),
        ({"aud": []}, "TOKEN_AUDIENCE"),
        ({"exp": NOW}, "TOKEN_EXPIRED"),
        ({"exp": NOW - 3600}, "TOKEN_EXPIRED"),
        ({"exp": None}, "TOKEN_MALFORMED"),
        ({"exp": "tomorrow"}, "TOKEN_MALFORMED"),
        ({"exp": True}, "TOKEN_MALFORMED"),
        ({"nbf": NOW + SKEW_S + 1}, "TOKEN_NOT_YET_VALID"),
        ({"iat": NOW + 3600}, "TOKEN_NOT_YET_VALID"),
        ({"nbf": "now"}, "TOKEN_MALFORMED"),
        ({"tenant": None}, "TOKEN_MALFORMED"),
        ({"tenant": "!operators"}, "TOKEN_MALFORMED"),
        ({"tenant": 7}, "TOKEN_MALFORMED"),
        ({"sub": "x" * 129}, "TOKEN_MALFORMED"),
        ({"sub": "a\nb"}, "TOKEN_MALFORMED"),
        ({"sub": " "}, "TOKEN_MALFORMED"),
        ({"scope": 7}, "TOKEN_MALFORMED"),
    ],
)
async def test_a_token_with_a_wrong_claim_is_refused_with_its_own_reason(
    reader: TokenReader, issuer: TokenIssuer, claims: dict[str, object], reason: str
) -> None:
    assert refused(reader, issuer.token(NOW, **claims)) == reason


async def test_a_clock_that_is_a_little_ahead_is_accepted(reader: TokenReader, issuer: TokenIssuer) -> None:
    ahead = issuer.token(NOW, nbf=NOW + SKEW_S, iat=NOW + SKEW_S)
    assert reader.read(ahead, NOON).tenant == "studio"
    assert reader.read(issuer.token(NOW, exp=1e300), NOON).expire_time.year == 9999


async def test_a_token_that_is_not_signed_with_a_key_of_the_issuer_is_refused(
    reader: TokenReader, issuer: TokenIssuer
) -> None:
    good = issuer.token(NOW)
    head, payload, signature = good.split(".")
    forger = TokenIssuer()
    assert refused(reader, forger.token(NOW)) == "TOKEN_SIGNATURE", "the same key id"
    altered = part({**jwt.decode(good, options={"verify_signature": False}), "tenant": "story"})
    assert refused(reader, f"{head}.{altered}.{signature}") == "TOKEN_SIGNATURE"
    unsigned = [
        f"{part({'alg': algorithm, 'kid': 'one'})}.{payload}." for algorithm in ("none", "None", "NONE", "", None)
    ]
    assert {refused(reader, token) for token in unsigned} == {"TOKEN_ALGORITHM"}
    for algorithm in ("HS256", "HS512"):
        mine = f"{part({'alg': algorithm, 'kid': 'one'})}.{payload}"
        public = json.dumps(issuer.jwk("one")).encode()
        mac = hmac.new(public, mine.encode(), hashlib.sha256).digest()
        assert refused(reader, f"{mine}.{base64.urlsafe_b64encode(mac).decode()}") == "TOKEN_ALGORITHM"
    assert not {"none", "HS256", "HS384", "HS512"} & set(ALGORITHMS)


@pytest.mark.parametrize("token", ["", "a", "..", "a.b.c", "eyJ.eyJ.x", "eyJhbGciOiJFUzI1NiJ9..", "é.é.é"])
async def test_what_is_no_token_is_refused(reader: TokenReader, token: str) -> None:
    assert refused(reader, token) in ("TOKEN_MALFORMED", "TOKEN_SIGNATURE")


async def test_a_key_is_used_with_its_own_algorithm_alone(issuer: TokenIssuer) -> None:
    issuer.add("rsa", "RS256")
    document = {"keys": [issuer.jwk("one"), issuer.jwk("rsa") | {"alg": "RS256"}]}

    async def load() -> bytes:
        return json.dumps(document).encode()

    keys = SigningKeys(load, lambda result: None, refresh_s=1, refetch_s=1)
    await keys.read()
    reader = TokenReader(keys, Issuer(ISSUER, AUDIENCE))
    private = issuer.keys["rsa"][1]
    assert refused(reader, jwt.encode({}, private, "RS512", headers={"kid": "rsa"})) == "TOKEN_ALGORITHM"
    assert refused(reader, jwt.encode({}, private, "RS256", headers={"kid": "one"})) == "TOKEN_ALGORITHM"
    assert refused(reader, jwt.encode({}, private, "RS256", headers={"kid": "rsa"})) == "TOKEN_ISSUER"


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": []}',
        b'{"keys": [7]}',
        b'{"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "one", "alg": "HS256"}]}',
        b'{"keys": [{"kty": "EC", "kid": "one"}]}',
        b"[" * 200_000,
        b"\xff",
    ],
)
def test_what_is_no_list_of_public_keys_is_refused(document: bytes) -> None:
    with pytest.raises(KeysUnreadable):
        keys_of(document)


def test_of_a_list_only_public_keys_for_signatures_are_taken(issuer: TokenIssuer) -> None:
    issuer.add("encryption")
    secret = {"kty": "oct", "k": "c2VjcmV0", "kid": "secret"}
    listed = [issuer.jwk("one"), issuer.jwk("encryption") | {"use": "enc"}, secret, {"kty": "EC", "kid": "broken"}]
    assert set(keys_of(json.dumps({"keys": listed}).encode())) == {"one"}
