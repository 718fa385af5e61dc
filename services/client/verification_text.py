"""A verification as lines of text."""

import json
from collections.abc import Iterator

from i2v.v1 import provenance_pb2

from services.client import formatting

Verification = provenance_pb2.Verification
VERDICTS = {
    Verification.GENUINE: "Genuine: made by this service, and as it was signed.",
    Verification.ALTERED: "ALTERED after the signing, or the manifest is that of another file. Believe nothing in it.",
    Verification.FOREIGN: "Intact, but NOT signed by this service, with any name in it.",
    Verification.UNSIGNED: "No manifest. It may still be generated: manifests are easily removed.",
    Verification.UNREADABLE: "What it carries cannot be read.",
}
SIGNERS = {
    Verification.OWN: "this service's certificate",
    Verification.DEVELOPMENT: "this service's development certificate, which no one else trusts",
    Verification.STRANGER: "a certificate of someone else",
}
MARKS = {
    Verification.PRESENT: "The pixels carry this service's mark.",
    Verification.ABSENT: "The pixels do not carry this service's mark.",
}


def lines(found: Verification) -> Iterator[str]:
    """Yields what was found, the result first."""
    yield VERDICTS.get(found.verdict, "The server's answer is newer than this program.")
    yield from (f"  {row}" for row in formatting.columns(_rows(found)))
    if found.pixel_mark in MARKS:
        yield MARKS[found.pixel_mark]


def _rows(found: Verification) -> Iterator[tuple[str, str]]:
    if found.signer in SIGNERS:
        yield "signed with", f"{SIGNERS[found.signer]}: {found.signer_name}"
    if found.generator:
        yield "made by", f"{found.generator}{', says that a model made it' if found.generated else ''}"
    if found.facts_json and found.verdict == Verification.GENUINE:
        yield from ((name, _text(value)) for name, value in json.loads(found.facts_json).items())
    if found.faults:
        yield "what is wrong", ", ".join(found.faults)
    if found.asset:
        yield "in the library", found.asset


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    return str(value)
