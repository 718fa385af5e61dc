"""Signs files and checks signed ones, in child processes: a file can at worst fail to be signed or read.

Blocking: call it in a thread.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from services.orchestrator.domain import file_format
from services.orchestrator.domain.content_credentials import FACTS, Claim, Credentials, Identity, Seal, Signer
from services.orchestrator.media.decoder_process import OUTPUT_LIMIT_BYTES
from services.orchestrator.media.sandbox import DecoderDied, Sandbox
from services.orchestrator.media.signing_certificate import SigningCertificate
from services.orchestrator.ports.content_credentials import CannotSign

LIMIT_S = 20.0
"""Of processor time: a file of 2 GB is hashed in less."""
AT_ONCE = 2
PROGRAM = "i2v"
MOST_BYTES = OUTPUT_LIMIT_BYTES - (1 << 20)
"""Larger files stay unsigned: the child writes each file again, and no more than its limit."""
SIGNABLE = frozenset({"video/mp4", "video/quicktime", "image/png", "image/jpeg", "image/webp"})
"""The media types of files that have a place for a manifest. WebM and Matroska have none."""
MEDIA_TYPES = {
    file_format.MP4: "video/mp4",
    file_format.M4A: "audio/mp4",
    file_format.QUICKTIME: "video/quicktime",
    file_format.PNG: "image/png",
    file_format.JPEG: "image/jpeg",
    file_format.WEBP: "image/webp",
    file_format.HEIC: "image/heic",
    file_format.AVIF: "image/avif",
    file_format.WAV: "audio/wav",
    file_format.MP3: "audio/mpeg",
    file_format.FLAC: "audio/flac",
}
"""The formats in which a manifest is looked for."""

_signatures = Sandbox("signatures", size=AT_ONCE, limit_s=LIMIT_S)
_credentials = Sandbox("credentials", size=AT_ONCE, limit_s=LIMIT_S)

log = logging.getLogger(__name__)


class ContentCredentials:
    """The manifests of one installation: signs with its certificate, and recognises those that it signed with."""

    def __init__(
        self,
        certificate: SigningCertificate,
        version: str,
        *,
        own: Sequence[Identity] = (),
        anchors: str = "",
        most_bytes: int = MOST_BYTES,
    ) -> None:
        """`own` and `anchors` (PEM) are certificates that it signed with earlier, and their authorities."""
        self._certificate = certificate
        self._version = version
        self._own = {identity.serial: identity for identity in (*own, certificate.identity)}
        self._most_bytes = most_bytes
        self._anchors = anchors + certificate.authorities_pem()

    @property
    def identity(self) -> Identity:
        """The certificate that signs now."""
        return self._certificate.identity

    @property
    def version(self) -> str:
        """The version of this program, as manifests say it."""
        return self._version

    def sign(self, path: Path, media_type: str, claim: Claim) -> Path:
        """Writes the file again, signed, next to it, and returns it. Raises CannotSign, Unavailable."""
        if media_type not in SIGNABLE:
            raise CannotSign(f"a {media_type} file has no place for a manifest")
        if (size_bytes := path.stat().st_size) > self._most_bytes:
            raise CannotSign(f"it is {size_bytes:,} bytes; at most {self._most_bytes:,} are signed")
        signed = path.with_name(f"{path.stem}.signed{path.suffix}")
        question = {
            "media_type": media_type,
            "facts": claim.facts,
            "parents": claim.parents,
            "shows": claim.shows,
            "program": PROGRAM,
            "version": self._version,
            "label": FACTS,
            "algorithm": self._certificate.algorithm,
            "chain": self._certificate.pem(),
        }
        try:
            with path.open("rb") as source, signed.open("w+b") as target:
                answer = _signatures.call(
                    source.fileno(), target.fileno(), question=question, answer=self._certificate.sign
                )
        except DecoderDied as died:
            answer = {"refused": f"the process that signs {died}"}
        if answer != {"signed": True}:
            signed.unlink(missing_ok=True)
            why = answer.get("refused") or ", ".join(answer)
            log.warning("a file cannot be signed", extra={"media_type": media_type, "cause": str(why)})
            raise CannotSign(f"the file cannot hold a manifest: {why}")
        return signed

    def read(self, path: Path) -> Credentials:
        """Checks the manifest of a file of any kind. Raises Unavailable."""
        with path.open("rb") as source:
            kind = file_format.of(source.read(file_format.HEAD_BYTES))
            media_type = MEDIA_TYPES.get(kind) if kind is not None else None
            if media_type is None:
                return Credentials(Seal.NONE)
            question = {"media_type": media_type, "anchors": self._anchors, "label": FACTS}
            try:
                answer = _credentials.call(source.fileno(), question=question)
            except DecoderDied as died:
                answer = {"seal": Seal.UNREADABLE, "faults": [f"the process that reads it {died}"]}
        if "seal" not in answer:
            answer = {"seal": Seal.UNREADABLE, "faults": sorted(answer)}
        return self._found(dict(answer))

    def _found(self, answer: dict[str, object]) -> Credentials:
        seal = Seal(str(answer["seal"]))
        faults = answer.get("faults")
        shown = tuple(map(str, faults)) if isinstance(faults, list) else ()
        if seal in (Seal.NONE, Seal.UNREADABLE):
            return Credentials(seal, faults=shown)
        own = self._own.get(str(answer["serial"])) if answer["trusted"] else None
        signer = Signer.STRANGER
        if own is not None:
            signer = Signer.DEVELOPMENT if own.development else Signer.OWN
        facts = answer["facts"]
        return Credentials(
            seal,
            signer,
            str(answer["name"]),
            str(answer["generator"]),
            bool(answer["generated"]),
            facts if isinstance(facts, dict) else {},
            shown,
        )
