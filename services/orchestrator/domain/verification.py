"""What is said of a file that claims to come from here. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from services.orchestrator.domain.content_credentials import Credentials, Seal, Signer


class Verdict(StrEnum):
    """The result in one word; provenance.proto explains each."""

    GENUINE = "genuine"
    ALTERED = "altered"
    FOREIGN = "foreign"
    UNSIGNED = "unsigned"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found in a file."""

    sha256: str
    credentials: Credentials
    marked: bool | None
    """Whether the pixels carry the mark; None: it was not looked for."""
    recorded: bool
    """Whether the caller's library has a manifest of exactly this file."""

    @property
    def verdict(self) -> Verdict:
        """The result."""
        match self.credentials.seal:
            case Seal.NONE:
                return Verdict.UNSIGNED
            case Seal.UNREADABLE:
                return Verdict.UNREADABLE
            case Seal.ALTERED:
                return Verdict.ALTERED
            case Seal.INTACT:
                own = self.credentials.signer in (Signer.OWN, Signer.DEVELOPMENT)
                return Verdict.GENUINE if own else Verdict.FOREIGN
