"""Content credentials: what a signed C2PA manifest in a file says, and how far it can be believed. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Seal(StrEnum):
    """The state of the manifest in a file."""

    NONE = "none"
    """The file has none, or is of a format that has no place for one."""
    INTACT = "intact"
    """The signature holds, and the file is as it was signed."""
    ALTERED = "altered"
    """The file or the manifest changed after the signing, or the manifest is that of another file."""
    UNREADABLE = "unreadable"
    """There is something, but it cannot be read: it is broken, or larger than any that we read."""


class Signer(StrEnum):
    """Whose certificate signed a manifest."""

    NONE = "none"
    OWN = "own"
    """The certificate that this installation signs with, or signed with earlier."""
    DEVELOPMENT = "development"
    """The development certificate of this installation: no authority vouches for it."""
    STRANGER = "stranger"
    """Any other certificate, with any name in it."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a file's manifest says. Without a file it is what to sign."""

    facts: Mapping[str, Any]
    """The assertion FACTS: JSON values."""
    parents: tuple[tuple[str, str], ...] = ()
    """The inputs of the generation: role and SHA-256 of each."""
    shows: str = ""
    """SHA-256 of the generated video that the file was made from; empty: the file itself was generated."""


FACTS = "i2v.generation"
"""The label of our own assertion."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What was found in a file."""

    seal: Seal
    signer: Signer = Signer.NONE
    signer_name: str = ""
    """Names in the certificate; of a stranger they are only what the certificate says."""
    generator: str = ""
    """The program that made the manifest, as it says."""
    generated: bool = False
    """It says that a trained model made the file."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Our own assertion, if there is one. True only of an intact file with a certificate of ours."""
    faults: tuple[str, ...] = ()
    """Codes of the C2PA specification, such as `assertion.bmffHash.mismatch`."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate that this installation signs with."""

    name: str
    """Common name and organization of its subject."""
    serial: str
    """Serial number, decimal."""
    sha256: str
    """Digest of the certificate."""
    development: bool
