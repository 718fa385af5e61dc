"""Verifies the signatures of JWTs. Only asymmetric algorithms are accepted: neither `none` nor HMAC."""

from collections.abc import Mapping
from datetime import datetime

import jwt
from jwt.types import Options

from services.errors import Unauthenticated
from services.orchestrator.domain.token_claims import Claims, Issuer, claims_of
from services.orchestrator.tokens.signing_keys import SigningKeys
from services.reasons import AccessReason

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
SIGNATURE_ALONE: Options = {
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}
"""The claims are checked by the domain, by our clock and with reasons of their own."""


class TokenReader:
    """The Tokens port, with the keys of one issuer."""

    def __init__(self, keys: SigningKeys, issuer: Issuer) -> None:
        self._keys = keys
        self._issuer = issuer

    def read(self, token: str, now: datetime) -> Claims:
        """Returns the claims of a valid token. Raises Unauthenticated; Unavailable while no keys are known."""
        return claims_of(self._verified(token), self._issuer, now)

    def _verified(self, token: str) -> Mapping[str, object]:
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            raise _malformed() from None
        algorithm, key_id = header.get("alg"), header.get("kid")
        if algorithm not in ALGORITHMS:
            what = f"Tokens are signed with one of {', '.join(ALGORITHMS)}."
            raise Unauthenticated(what, reason=AccessReason.TOKEN_ALGORITHM)
        key = self._keys.get(key_id if isinstance(key_id, str) else "")
        if key.algorithm and key.algorithm != algorithm:
            what = "The token is not signed with the algorithm of its key."
            raise Unauthenticated(what, reason=AccessReason.TOKEN_ALGORITHM)
        try:
            payload = jwt.decode(token, key.public, algorithms=[algorithm], options=SIGNATURE_ALONE)
        except jwt.InvalidSignatureError:
            what = "The token's signature does not match."
            raise Unauthenticated(what, reason=AccessReason.TOKEN_SIGNATURE) from None
        except (jwt.InvalidKeyError, jwt.InvalidAlgorithmError, TypeError):
            what = "The token is not signed with the algorithm of its key."
            raise Unauthenticated(what, reason=AccessReason.TOKEN_ALGORITHM) from None
        except (jwt.PyJWTError, ValueError):
            raise _malformed() from None
        return dict(payload)


def _malformed() -> Unauthenticated:
    return Unauthenticated("The token is no JWT that can be read.", reason=AccessReason.TOKEN_MALFORMED)
