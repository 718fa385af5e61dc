"""Uploads towards the API, without a network: refusals in the middle, and answers that are lost."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from i2v.v1 import asset_pb2
from starlette.requests import Request

from services.errors import InvalidUpload, Violation
from services.reasons import AssetReason, HttpReason
from services.rpc.status_codes import to_status
from services.studio.api_error import ApiError
from services.studio.caller import Caller
from services.studio.refused_request import RefusedRequest
from services.studio.streams import upload_call
from services.studio.streams.lingering import Lingering
from services.studio.streams.upload_body import UploadBody

WHO = Caller(())
EMPTY = grpc.aio.Metadata()
LOST = grpc.aio.AioRpcError(grpc.StatusCode.INTERNAL, EMPTY, EMPTY, "Internal error from Core")


def refusal(field: str, reason: AssetReason) -> grpc.aio.AioRpcError:
    status = to_status(InvalidUpload([Violation(field, "is too large", reason)], reason=reason))
    trailing = grpc.aio.Metadata(("grpc-status-details-bin", status.SerializeToString()))
    return grpc.aio.AioRpcError(grpc.StatusCode.INVALID_ARGUMENT, EMPTY, trailing, status.message)


class Call:
    """A call that is answered after so many messages; None: when all have been written."""

    def __init__(self, answer: Any, after: int | None = None) -> None:
        self.written: list[asset_pb2.WriteAssetRequest] = []
        self.cancelled = False
        self._answer, self._after = answer, after
        self._done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def write(self, request: asset_pb2.WriteAssetRequest) -> None:
        if self._done.done():
            raise asyncio.InvalidStateError  # as gRPC does
        self.written.append(request)
        if len(self.written) == self._after:
            self._end()

    async def done_writing(self) -> None:
        self._end()

    def _end(self) -> None:
        if isinstance(self._answer, Exception):
            self._done.set_exception(self._answer)
        else:
            self._done.set_result(self._answer)

    def __await__(self) -> Any:
        return self._done.__await__()

    def cancel(self) -> None:
        self.cancelled = True
        self._done.cancel()


class Method:
    """WriteAsset: a stream of requests is answered by the call, and a header alone by `asked`."""

    def __init__(self, call: Call, asked: Exception | None = None) -> None:
        self.call, self.asked, self.headers = call, asked, list[asset_pb2.WriteAssetHeader]()

    def __call__(self, requests: Any = None, **_: Any) -> Any:
        if requests is None:
            return self.call
        self.headers += [each.header for each in requests]
        return self._refuse()

    async def _refuse(self) -> asset_pb2.Asset:
        if self.asked:
            raise self.asked
        return asset_pb2.Asset()


def body(*chunks: bytes | None, **options: Any) -> UploadBody:
    """A body of these chunks; None: the client goes."""

    async def receive() -> Any:
        if left and left[0] is None:
            return {"type": "http.disconnect"}
        chunk = left.pop(0) if left else b""
        return {"type": "http.request", "body": chunk, "more_body": bool(left)}

    left = list(chunks)
    request = Request({"type": "http", "headers": []}, receive)
    return UploadBody(request, {}, **{"keeps": False, "piece_s": 30.0, "received": lambda _: None, **options})


async def written(method: Method, sent: UploadBody, **header: Any) -> asset_pb2.Asset:
    async with asyncio.timeout(30):
        return await upload_call.write(method, WHO, asset_pb2.WriteAssetHeader(**header), sent)


async def test_a_refusal_ends_the_upload_before_the_rest_is_read() -> None:
    method = Method(Call(refusal("header.size_bytes", AssetReason.UPLOAD_TOO_LARGE), after=1))
    sent = body(b"a" * 300_000, b"b" * 300_000, b"c")
    with pytest.raises(ApiError) as caught:
        await written(method, sent)
    assert caught.value.failure.reason == "UPLOAD_TOO_LARGE"
    assert sent.size_bytes < 600_000


async def test_a_lost_answer_is_asked_for_by_a_header_for_what_has_come() -> None:
    method = Method(Call(LOST), refusal("header.size_bytes", AssetReason.UPLOAD_TOO_LARGE))
    with pytest.raises(ApiError) as caught:
        await written(method, body(b"a" * 1000))
    assert caught.value.failure.reason == "UPLOAD_TOO_LARGE"
    assert [each.size_bytes for each in method.headers] == [1000]
    # The header is right, so the reason is not known: the client may try again.
    method = Method(Call(LOST), refusal("data", AssetReason.SIZE_MISMATCH))
    with pytest.raises(ApiError) as caught:
        await written(method, body(b"a" * 1000))
    assert caught.value.failure.code is grpc.StatusCode.UNAVAILABLE


async def test_a_body_that_breaks_off_stores_nothing_unless_it_is_a_part() -> None:
    call = Call(asset_pb2.Asset())
    with pytest.raises(RefusedRequest) as caught:
        await written(Method(call), body(b"abc", None))
    assert (caught.value.reason, call.cancelled) == (HttpReason.BODY_MALFORMED, True)
    kept = Call(asset_pb2.Asset(name="assets/a"))
    part = body(b"abc", None, keeps=True)
    assert (await written(Method(kept), part)).name == "assets/a"
    assert b"".join(each.data for each in kept.written) == b"abc"
    assert part.broken is not None


async def test_after_a_refusal_the_rest_of_the_body_is_read_so_that_the_client_gets_the_answer() -> None:
    async def refuses(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 413, "headers": []})
        await send({"type": "http.response.body", "body": b"no"})

    async def rest() -> AsyncIterator[Any]:
        yield {"type": "http.request", "body": b"a", "more_body": True}
        yield {"type": "http.request", "body": b"b", "more_body": False}

    for headers, read in (([], 2), ([(b"expect", b"100-continue")], 0)):
        left, sent, count = rest(), list[Any](), 0

        async def receive() -> Any:
            nonlocal count
            count += 1
            return await anext(left)  # noqa: B023

        async def send(message: Any) -> None:
            sent.append(message)  # noqa: B023

        async with asyncio.timeout(30):
            await Lingering(refuses)({"type": "http", "headers": headers}, receive, send)
        assert count == read
        assert b"".join(each.get("body", b"") for each in sent) == b"no"
        assert not sent[-1].get("more_body", False)
