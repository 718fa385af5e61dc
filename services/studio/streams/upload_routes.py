"""`/v1/uploads`: a file in one request, or in parts that continue after a break."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

import grpc
from i2v.v1 import asset_pb2
from starlette.requests import Request
from starlette.responses import Response

from services.reasons import AssetReason, HttpReason
from services.rpc.status_codes import Failure
from services.studio import idempotency, problem
from services.studio.api_error import ApiError
from services.studio.caller import Caller
from services.studio.metrics import StudioMetrics
from services.studio.refused_request import RefusedRequest
from services.studio.resources import json_message
from services.studio.streams import query, upload_headers
from services.studio.streams.api import StreamApi
from services.studio.streams.upload_body import UploadBody
from services.studio.streams.upload_headers import COMPLETE, LENGTH, LIMIT, OFFSET, PARTIAL, UploadHeaders

KEPT_S = 24 * 3600
"""Seconds for which the API keeps what has arrived of an upload."""
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
DETAILS = ("title", "description", "sourceModule", "tags")
"""What the library says of the file, in the query."""
STATUSES: Mapping[str, int] = {
    AssetReason.UPLOAD_ID_REUSED: 409,
    AssetReason.UPLOAD_TOO_LARGE: 413,
    AssetReason.MEDIA_TYPE_UNSUPPORTED: 415,
}
"""Of refusals for which HTTP has a status of its own."""
OUT_OF_STEP = (AssetReason.UPLOAD_INCOMPLETE, AssetReason.UPLOAD_OFFSET_WRONG)


@dataclass(frozen=True, slots=True)
class UploadRoutes:
    """Answers the requests."""

    api: StreamApi
    check: Callable[[Caller], Awaitable[None]]
    """Raises ApiError unless the credential is one."""
    metrics: StudioMetrics
    piece_s: float

    async def create(self, request: Request, who: Caller) -> Response:
        """Takes a file, or begins one in parts if `Upload-Complete` is false."""
        said = upload_headers.read(request)
        header = asset_pb2.WriteAssetHeader(media_type=said.media_type)
        _set_details(request, header)
        if said.complete is not False:
            return await self._whole(request, who, said, header)
        if not said.length:
            sentence = "Say the length of the file, in bytes."
            raise RefusedRequest(sentence, reason=HttpReason.UPLOAD_LENGTH_REQUIRED, param=LENGTH)
        header.size_bytes, header.sha256 = said.length, _sha256(said.of_file)
        header.upload_id = idempotency.request_id(idempotency.key_of(request))
        await self.check(who)
        return await self._part(request, who, said, header)

    async def state(self, request: Request, who: Caller) -> Response:
        """Returns how much of an upload has arrived; with HEAD by the headers of its form alone."""
        found = await self.api.write_status(who, request.path_params["upload"])
        headers = _progress(found.received_bytes, found.size_bytes, complete=bool(found.asset))
        if request.method == "HEAD":
            return Response(None, 204, headers)
        return Response(json_message.to_json(found), 200, headers, "application/json")

    async def append(self, request: Request, who: Caller) -> Response:
        """Takes the next bytes of a file."""
        said = upload_headers.read(request)
        if said.media_type.partition(";")[0].strip().lower() != PARTIAL:
            sentence = f"Send the next bytes as {PARTIAL}."
            raise RefusedRequest(sentence, reason=HttpReason.CONTENT_TYPE_UNSUPPORTED, status=415)
        for name, value in ((OFFSET, said.offset), (COMPLETE, said.complete)):
            if value is None:
                sentence = "Say where these bytes are in the file, and whether they are the last: ?1 or ?0."
                raise RefusedRequest(sentence, reason=HttpReason.FIELD_MALFORMED, param=name)
        found = await self.api.write_status(who, request.path_params["upload"])
        offset, size = said.offset or 0, found.size_bytes
        _demand_same_length(said, offset, size)
        if found.asset and offset == size:
            return _made(await self.api.asset(who, found.asset))
        if offset != found.received_bytes:
            return _out_of_step(offset, found.received_bytes, size)
        header = asset_pb2.WriteAssetHeader(
            media_type=found.media_type,
            size_bytes=size,
            sha256=found.sha256,
            upload_id=request.path_params["upload"],
            offset=offset,
        )
        return await self._part(request, who, said, header)

    async def _whole(
        self, request: Request, who: Caller, said: UploadHeaders, header: asset_pb2.WriteAssetHeader
    ) -> Response:
        digests = dict(said.of_content)
        if any(digests.setdefault(name, value) != value for name, value in said.of_file.items()):
            sentence = "The digests of the file and of the content differ, and they are the same bytes."
            raise RefusedRequest(sentence, reason=AssetReason.CHECKSUM_MISMATCH, param=upload_headers.OF_CONTENT)
        header.sha256 = digests.pop("sha-256", b"").hex()  # the API checks it
        if said.content_length is not None:
            _demand_same_length(said, 0, said.content_length)
            header.size_bytes = said.content_length
        elif said.length is not None:
            header.size_bytes = said.length
        await self.check(who)  # before the body is read
        body = UploadBody(request, digests, keeps=False, piece_s=self.piece_s, received=self.metrics.received.inc)
        try:
            return _made(await self.api.write(who, header, body))
        except ApiError as error:
            return _refusal(error.failure)

    async def _part(
        self, request: Request, who: Caller, said: UploadHeaders, header: asset_pb2.WriteAssetHeader
    ) -> Response:
        """Sends what comes to the API. What has arrived is kept, also if the body breaks off."""
        body = UploadBody(
            request, said.of_content, keeps=True, piece_s=self.piece_s, received=self.metrics.received.inc
        )
        try:
            return _made(await self.api.write(who, header, body))
        except ApiError as error:
            failure = error.failure
        if failure.reason not in OUT_OF_STEP:
            answer = _refusal(failure)
            arrived = header.offset + body.size_bytes == header.size_bytes
            if arrived and failure.code is grpc.StatusCode.INVALID_ARGUMENT:  # more bytes would not help
                answer.headers[COMPLETE] = "?1"
            return answer
        received = int(failure.metadata.get("received_bytes", "0"))
        if body.broken is not None:
            raise body.broken
        where = {} if request.method == "PATCH" else {"Location": f"/v1/uploads/{header.upload_id}"}
        if failure.reason == AssetReason.UPLOAD_OFFSET_WRONG and body.size_bytes:
            # A beginning that is repeated, since its answer was lost, still learns where to go on.
            return _out_of_step(header.offset, received, header.size_bytes, where)
        if said.complete:
            sentence = f"{received} of {header.size_bytes} bytes have arrived, and no more were announced."
            raise RefusedRequest(
                sentence,
                reason=HttpReason.UPLOAD_LENGTH_INCONSISTENT,
                headers=_progress(received, header.size_bytes, complete=False),
            )
        headers = _progress(received, header.size_bytes, complete=False)
        return Response(None, 201 if where else 204, headers | where)


def _made(asset: asset_pb2.Asset) -> Response:
    headers = HEADERS | {"Location": f"/v1/{quote(asset.name)}", COMPLETE: "?1"}
    return Response(json_message.to_json(asset), 201, headers, "application/json")


def _refusal(failure: Failure) -> Response:
    return problem.of_failure(failure, status=STATUSES.get(failure.reason, 0))


def _progress(received: int, size: int, *, complete: bool) -> dict[str, str]:
    return HEADERS | {
        OFFSET: str(size if complete else received),
        LENGTH: str(size),
        COMPLETE: f"?{complete:d}",
        LIMIT: f"min-size=1, max-age={KEPT_S}",
    }


def _out_of_step(offset: int, received: int, size: int, where: Mapping[str, str] | None = None) -> Response:
    refused = RefusedRequest(
        f"Byte {received} comes next, not byte {offset}.",
        reason=AssetReason.UPLOAD_OFFSET_WRONG,
        param=OFFSET,
        status=409,
        headers={**_progress(received, size, complete=False), **(where or {})},
    )
    return problem.of_refusal(refused)


def _demand_same_length(said: UploadHeaders, offset: int, size: int) -> None:
    """Raises RefusedRequest if the lengths that a request says are not those of the file."""
    end = None if said.content_length is None else offset + said.content_length
    too_long = end is not None and end > size
    ends_early = said.complete and end is not None and end != size
    if too_long or ends_early or said.length not in (None, size):
        sentence = f"The file has {size} bytes; the length of this request, or of the file in it, is another one."
        raise RefusedRequest(sentence, reason=HttpReason.UPLOAD_LENGTH_INCONSISTENT, param=LENGTH)


def _sha256(digests: Mapping[str, bytes]) -> str:
    if digests and "sha-256" not in digests:
        sentence = "Of a file in parts the digest is sha-256."
        raise RefusedRequest(sentence, reason=AssetReason.CHECKSUM_MALFORMED, param=upload_headers.OF_FILE)
    return digests.get("sha-256", b"").hex()


def _set_details(request: Request, header: asset_pb2.WriteAssetHeader) -> None:
    """Sets what the library says of the file."""
    query.demand_only(request, *DETAILS)
    given = request.query_params
    details = header.details
    details.title, details.description = given.get("title", ""), given.get("description", "")
    details.source_module = given.get("sourceModule", "")
    details.tags.extend(given.getlist("tags"))
