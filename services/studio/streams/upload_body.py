"""UploadBody: the bytes of an upload on their way. None of them stay here."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncGenerator, Callable, Mapping

from starlette.requests import ClientDisconnect, Request

from services.reasons import AssetReason, HttpReason
from services.studio.refused_request import RefusedRequest

PIECE_BYTES = 256 * 1024
"""Bytes of a message to the API. A body that takes longer than the limit for so many is too slow."""
PART_BYTES = 4 * 2**20
"""The API stores a resumed upload in parts of this size. One that may have a wrong digest must not be stored yet."""
HASHES: Mapping[str, Callable[[], "hashlib._Hash"]] = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}


class UploadBody:
    """Reads a body in pieces."""

    def __init__(
        self,
        request: Request,
        digests: Mapping[str, bytes],
        *,
        keeps: bool,
        piece_s: float,
        received: Callable[[int], None],
    ) -> None:
        """`keeps`: what has arrived of a body that breaks off is kept, so it ends like a complete one."""
        self._request, self._keeps, self._piece_s, self._received = request, keeps, piece_s, received
        self._digests = {name: (HASHES[name](), digest) for name, digest in digests.items()}
        self.size_bytes = 0
        """That have arrived."""
        self.broken: RefusedRequest | None = None
        """Why a body that is kept ended before its end."""

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yields the bytes. Raises RefusedRequest if they are too slow, break off or have another digest."""
        chunks = self._request.stream()
        more = True
        while more:
            piece = bytearray()
            try:
                async with asyncio.timeout(self._piece_s):
                    while more and len(piece) < PIECE_BYTES:
                        chunk = await anext(chunks, None)
                        more = chunk is not None
                        piece += chunk or b""
            except TimeoutError:
                more = self._break_off(
                    f"Fewer than {PIECE_BYTES} bytes arrived in {self._piece_s:.0f} seconds.", HttpReason.BODY_SLOW, 408
                )
            except ClientDisconnect:
                more = self._break_off("The request broke off.", HttpReason.BODY_MALFORMED, 400)
            if piece:
                self.size_bytes += len(piece)
                if self._keeps and self._digests and self.size_bytes >= PART_BYTES:
                    sentence = f"A part with a Content-Digest has less than {PART_BYTES} bytes."
                    raise RefusedRequest(sentence, reason=HttpReason.BODY_TOO_LARGE, status=413)
                self._received(len(piece))
                for hashed, _ in self._digests.values():
                    hashed.update(piece)
                yield bytes(piece)
        if self.broken is None:
            self._check()

    def _break_off(self, sentence: str, reason: HttpReason, status: int) -> bool:
        broken = RefusedRequest(sentence, reason=reason, status=status)
        if not self._keeps:
            raise broken
        self.broken = broken
        return False

    def _check(self) -> None:
        for name, (hashed, digest) in self._digests.items():
            if not hmac.compare_digest(hashed.digest(), digest):
                sentence = f"The bytes do not have the {name} of the header. Send them again."
                raise RefusedRequest(sentence, reason=AssetReason.CHECKSUM_MISMATCH, param="Content-Digest")
