"""New keys: `i2v_<id>_<secret>`. The id is public, and names the key in lists and in the audit log."""

import secrets
from dataclasses import dataclass

from services.orchestrator.api.authentication import digest

ID_BYTES, SECRET_BYTES = 6, 32


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made. Its text is shown once and kept nowhere."""

    id: str
    text: str

    def __repr__(self) -> str:
        return f"NewKey({self.id!r})"

    @property
    def sha256(self) -> str:
        """The digest that is stored."""
        return digest(self.text)


def new_key() -> NewKey:
    """Returns a random key."""
    key_id = secrets.token_hex(ID_BYTES)
    return NewKey(key_id, f"i2v_{key_id}_{secrets.token_urlsafe(SECRET_BYTES)}")
