"""An identity provider in memory: it has keys, publishes them and signs tokens."""

import json
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

ISSUER, AUDIENCE = "https://login.example.com/", "i2v"


class TokenIssuer:
    """Keys by their ids; it signs with the newest."""

    def __init__(self) -> None:
        self.keys: dict[str, tuple[str, Any]] = {}
        self.add("one")

    def add(self, key_id: str, algorithm: str = "ES256") -> None:
        made: Any = (
            rsa.generate_private_key(public_exponent=65537, key_size=2048)
            if algorithm[:2] in ("RS", "PS")
            else ed25519.Ed25519PrivateKey.generate()
            if algorithm == "EdDSA"
            else ec.generate_private_key(ec.SECP256R1())
        )
        self.keys[key_id] = (algorithm, made)

    def jwks(self) -> bytes:
        return json.dumps({"keys": [self.jwk(key_id) for key_id in self.keys]}).encode()

    def jwk(self, key_id: str) -> dict[str, Any]:
        algorithm, key = self.keys[key_id]
        kinds: dict[str, Any] = {"RS": RSAAlgorithm, "PS": RSAAlgorithm, "ES": ECAlgorithm, "Ed": OKPAlgorithm}
        return json.loads(kinds[algorithm[:2]].to_jwk(key.public_key())) | {"kid": key_id, "use": "sig"}

    def token(self, now: float, key_id: str = "", header: Mapping[str, object] | None = None, **claims: object) -> str:
        """Signs the usual claims; None leaves one out."""
        signer = key_id or list(self.keys)[-1]
        algorithm, key = self.keys[signer]
        usual: dict[str, object] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "exp": now + 60,
            "tenant": "studio",
            "sub": "ann",
            "scope": "openid submit read assets usage",
        }
        payload = {name: value for name, value in (usual | claims).items() if value is not None}
        # As plain JSON: `jwt.encode` refuses some claims that a hostile issuer could send.
        return jwt.PyJWS().encode(json.dumps(payload).encode(), key, algorithm, {"kid": signer, **(header or {})})
