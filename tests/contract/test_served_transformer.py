"""The transformer, as a real Triton serves it: blocks, cancels, errors, and what follows them."""

import asyncio
from collections.abc import Awaitable, Callable

import grpc
import numpy as np
import pytest

from tests.support.model_requests import LENGTH, a_request, decode, rollout, sequence_ids
from tests.support.triton_wire import Refused, Stream, connect, metrics
from tools.tritonserver import TritonServer

FORWARDS, BLOCKS = "i2v_transformer_forwards_total", "i2v_transformer_blocks_total"
SECONDS, VIDEOS = "i2v_transformer_block_seconds_total", "i2v_transformer_videos"
CACHES = "i2v_transformer_cache_bytes"


@pytest.mark.parametrize(("height", "width"), [(16, 28), (28, 16), (20, 20)])
async def test_blocks_stream_in_order_and_decode_to_frames(triton: TritonServer, height: int, width: int) -> None:
    request = a_request(height, width)
    async with connect(triton.grpc_address) as stub:
        blocks = await rollout(stub, request)
        assert [int(each["start"][0]) for each in blocks] == [1, 3]
        assert [int(each["forwards"][0]) for each in blocks] == [5, 10]
        assert [int(each["total"][0]) for each in blocks] == [10, 10]
        assert {each["latents"].shape for each in blocks} == {(1, 16, 2, height, width)}
        key = next(sequence_ids)
        first = await decode(stub, key, np.concatenate((request["image_latent"], blocks[0]["latents"]), 2), start=True)
        rest = await decode(stub, key, blocks[1]["latents"], end=True)
    assert (first.shape, rest.shape) == ((9, 8 * height, 8 * width, 3), (8, 8 * height, 8 * width, 3))
    assert first.dtype == np.uint8 and first.std() > 5


async def test_a_block_is_sent_before_the_next_is_made(triton: TritonServer) -> None:
    before = metrics(triton.metrics_address)[BLOCKS]
    async with connect(triton.grpc_address) as stub:
        stream = Stream(stub, "transformer", a_request(32, 56, frames=21))
        async for _ in stream:
            assert metrics(triton.metrics_address)[BLOCKS] - before <= 2
            stream.call.cancel()
            break


async def test_text_alone_also_makes_frame_0(triton: TritonServer) -> None:
    async with connect(triton.grpc_address) as stub:
        blocks = await rollout(stub, a_request(image_latent=None, image_tokens=None))
    assert [(int(each["start"][0]), each["latents"].shape[2]) for each in blocks] == [(0, 1), (1, 2), (3, 2)]


async def test_the_same_seed_gives_the_same_bytes_also_in_a_resumed_video(triton: TritonServer) -> None:
    async with connect(triton.grpc_address) as stub:
        once = await rollout(stub, a_request())
        other = await rollout(stub, a_request(seed=np.array([8])))
        again = await rollout(stub, a_request())
        resumed = await rollout(stub, a_request(history=once[0]["latents"]))
    assert [each["latents"].tobytes() for each in once] == [each["latents"].tobytes() for each in again]
    assert [each["latents"].tobytes() for each in once[1:]] == [each["latents"].tobytes() for each in resumed]
    assert once[0]["latents"].tobytes() != other[0]["latents"].tobytes()


async def cancel_after_a_block(stream: Stream) -> None:
    await anext(aiter(stream))
    stream.call.cancel()


async def miss_the_deadline(stream: Stream) -> None:
    with pytest.raises(grpc.RpcError) as late:
        async for _ in stream:
            pass
    assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def after_all_videos(triton: TritonServer) -> dict[str, float]:
    """The metrics as soon as no video is being made any more."""
    while (now := metrics(triton.metrics_address))[VIDEOS]:
        pass
    return now


@pytest.mark.parametrize(("give_up", "timeout_s"), [(cancel_after_a_block, 60), (miss_the_deadline, 0.5)])
async def test_a_cancelled_request_stops_within_one_forward(
    triton: TritonServer, give_up: Callable[[Stream], Awaitable[None]], timeout_s: float
) -> None:
    async with connect(triton.grpc_address) as stub:
        await give_up(Stream(stub, "transformer", a_request(32, 56, frames=21), timeout_s=timeout_s))
        seen = metrics(triton.metrics_address)[FORWARDS]
        # One forward is running when the cancel arrives; one more may have ended between the cancel and our look.
        assert after_all_videos(triton)[FORWARDS] - seen <= 2


async def test_concurrent_videos_equal_single_ones_and_others_wait(triton: TritonServer) -> None:
    requests = [a_request(frames=9, seed=np.array([seed])) for seed in (1, 2, 3)]
    async with connect(triton.grpc_address) as stub:
        alone = [await rollout(stub, each) for each in requests]
        before = metrics(triton.metrics_address)
        concurrent = await asyncio.gather(*(rollout(stub, each) for each in requests))
        after = after_all_videos(triton)
    for one, other in zip(alone, concurrent, strict=True):
        assert [each["latents"].tobytes() for each in one] == [each["latents"].tobytes() for each in other]
    assert after[FORWARDS] - before[FORWARDS] == sum(int(each[-1]["total"][0]) for each in alone)
    assert after[SECONDS] > before[SECONDS]


async def test_a_request_cancelled_while_it_waits_costs_no_forward(triton: TritonServer) -> None:
    async with connect(triton.grpc_address) as stub:
        before = metrics(triton.metrics_address)[FORWARDS]
        running = [Stream(stub, "transformer", a_request(32, 56, frames=5)) for _ in range(2)]
        for each in running:
            await anext(aiter(each))  # both slots are taken
        waiting = Stream(stub, "transformer", a_request(), timeout_s=0.05)
        with pytest.raises(grpc.RpcError):
            await anext(aiter(waiting))
        for each in running:
            async for _ in each:
                pass
        assert after_all_videos(triton)[FORWARDS] - before == 2 * 10


async def test_a_request_without_memory_is_unavailable_and_others_continue(triton: TritonServer) -> None:
    giant = a_request(image_latent=None, latent_size=np.array([2**21, 2**21], np.int32))
    async with connect(triton.grpc_address) as stub:
        with pytest.raises(Refused, match=r"^OUT_OF_MEMORY: no room for"):
            await anext(aiter(Stream(stub, "transformer", giant)))
        held = set()
        for _ in range(3):
            await asyncio.gather(*(rollout(stub, a_request(20, 20)) for _ in range(2)))
            held.add(after_all_videos(triton)[CACHES])
        assert len(held) == 1 and 0 not in held  # both slots serve, and what they hold does not grow


BAD_REQUESTS: dict[str, dict[str, np.ndarray | None]] = {
    "too many latents": {"latent_frames": np.array([23], np.int32)},
    "half a block": {"latent_frames": np.array([4], np.int32)},
    "an odd size": {"latent_size": np.array([7, 12], np.int32)},
    "a picture of another size": {"image_latent": np.zeros((1, 16, 1, 8, 8), np.float32)},
    "guidance": {"negative_embeddings": np.zeros((1, LENGTH, 128), np.float32)},
    "a negative seed": {"seed": np.array([-1])},
    "no prompt": {"prompt_embeddings": None},
    "another width": {"prompt_embeddings": np.zeros((1, LENGTH, 64), np.float32)},
    "infinite": {"image_tokens": np.full((1, 37, 128), np.inf, np.float32)},
    "another type": {"seed": np.array([1.0])},
}


@pytest.mark.parametrize("changes", BAD_REQUESTS.values(), ids=BAD_REQUESTS)
async def test_a_bad_request_is_refused_before_any_forward_and_the_model_continues(
    triton: TritonServer, changes: dict[str, np.ndarray | None]
) -> None:
    before = metrics(triton.metrics_address)[FORWARDS]
    async with connect(triton.grpc_address) as stub:
        with pytest.raises(Refused):
            await rollout(stub, a_request(**changes))
        assert metrics(triton.metrics_address)[FORWARDS] == before
        assert len(await rollout(stub, a_request(frames=3))) == 1


async def test_a_permanent_refusal_says_so_in_its_text(triton: TritonServer) -> None:
    """A stream brings no codes, and must not be made to: see the engine's INVALID."""
    async with connect(triton.grpc_address) as stub:
        with pytest.raises(Refused, match=r"^INVALID: seed"):
            await rollout(stub, a_request(seed=np.array([-1])))
