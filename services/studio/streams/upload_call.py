"""UploadCall: a call of WriteAsset that takes a body as it comes."""

import asyncio
from contextlib import suppress
from typing import Any

import grpc
from i2v.v1 import asset_pb2

from services.rpc.status_codes import Failure, from_call
from services.studio.api_error import ApiError
from services.studio.caller import Caller
from services.studio.streams.upload_body import UploadBody


async def write(method: Any, who: Caller, header: asset_pb2.WriteAssetHeader, body: UploadBody) -> asset_pb2.Asset:
    """Sends a file, or the rest of one, and returns its asset. After it nothing reads the body.

    Raises:
        ApiError: the API refused it, or did not answer.
        RefusedRequest: as of the body.
    """
    call = method(metadata=who.metadata)
    answer = asyncio.ensure_future(_answer(call))
    sending = asyncio.create_task(_send(call, header, body))
    try:
        # A refusal comes at any time; then the rest of the body is not read.
        await asyncio.wait({answer, sending}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            await sending
        return await answer
    except ApiError as error:
        if not _is_lost(error.failure):
            raise
        raise ApiError(await _refusal(method, who, header, body)) from error
    finally:
        sending.cancel()
        call.cancel()
        await asyncio.wait({sending, answer})


async def _send(call: Any, header: asset_pb2.WriteAssetHeader, body: UploadBody) -> None:
    # Of a call that has been answered nothing more can be written; the answer says why.
    with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
        await call.write(asset_pb2.WriteAssetRequest(header=header))
        async for piece in body.pieces():
            await call.write(asset_pb2.WriteAssetRequest(data=piece))
        await call.done_writing()


async def _answer(call: Any) -> asset_pb2.Asset:
    try:
        found: asset_pb2.Asset = await call
    except grpc.aio.AioRpcError as error:
        raise ApiError(from_call(error)) from error
    return found


def _is_lost(failure: Failure) -> bool:
    """Returns whether gRPC lost the answer to a call that was answered while it was sending."""
    return failure.code is grpc.StatusCode.INTERNAL and not failure.reason


async def _refusal(method: Any, who: Caller, header: asset_pb2.WriteAssetHeader, body: UploadBody) -> Failure:
    """Asks again why the API refused: by a header for as many bytes as have come, without any of them."""
    asked = asset_pb2.WriteAssetHeader()
    asked.CopyFrom(header)
    asked.size_bytes = max(header.size_bytes, body.size_bytes)
    try:
        await method(iter([asset_pb2.WriteAssetRequest(header=asked)]), metadata=who.metadata, timeout=10.0)
    except grpc.aio.AioRpcError as error:
        found = from_call(error)
        if found.violations and all(each.field.startswith("header.") for each in found.violations):
            return found
        if found.code is not grpc.StatusCode.INVALID_ARGUMENT:
            return found
    return Failure(grpc.StatusCode.UNAVAILABLE, "The upload broke off. Send it again.")
