"""Every model of the repository, as a real Triton serves it: tensors, order, cancel, errors, and what follows them."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2

from tests.support.triton_wire import Arrays, Refused, Stream, connect, infer, metrics
from tools.export import profile_file as profiles
from tools.export import tiny_vae, vae
from tools.tritonserver import TritonServer

WITHOUT_GRAPHS = {"profile", "tokenizer"}
MODELS = {"text_encoder", "image_encoder", "vae_encoder", "transformer", "vae_decoder", "vae_decoder_tiny"}
MODELS |= WITHOUT_GRAPHS
FORWARDS, BLOCKS = "i2v_transformer_forwards_total", "i2v_transformer_blocks_total"
SECONDS, VIDEOS = "i2v_transformer_block_seconds_total", "i2v_transformer_videos"
CACHES = "i2v_transformer_cache_bytes"
FRAMES, CLIPS, HELD = "i2v_vae_decoder_frames_total", "i2v_vae_decoder_sequences", "i2v_vae_decoder_cache_bytes"
DECODERS = ("vae_decoder", "vae_decoder_tiny")

NANO = profiles.load("nano")
LENGTH = NANO.text_encoder.length

ids = count(1)


def a_request(height: int = 8, width: int = 12, frames: int = 5, **changes: np.ndarray | None) -> Arrays:
    rng = np.random.default_rng(0)

    def random(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, dtype=np.float32)

    made = {
        "prompt_embeddings": random(1, LENGTH, 128),
        "image_tokens": random(1, 37, 128),
        "image_latent": random(1, 16, 1, height, width),
        "latent_size": np.array([height, width], np.int32),
        "latent_frames": np.array([frames], np.int32),
        "seed": np.array([7]),
    } | changes
    return {name: array for name, array in made.items() if array is not None}


async def rollout(stub: Any, request: Arrays) -> list[Arrays]:
    stream = Stream(stub, "transformer", request)
    responses = [each async for each in stream]
    assert stream.finals == 1
    return responses


async def decode(
    stub: Any, key: int, latents: np.ndarray, *, start: bool = False, end: bool = False, model: str = DECODERS[0]
) -> np.ndarray:
    parameters = {"sequence_id": key, "sequence_start": start, "sequence_end": end}
    return (await infer(stub, model, {"latents": latents}, **parameters))["frames"]


def some_latents(frames: int, key: int, height: int = 4, width: int = 6) -> np.ndarray:
    return np.random.default_rng(key).standard_normal((1, 16, frames, height, width), dtype=np.float32)


def test_every_folder_is_a_model_with_a_config() -> None:
    repository = Path(__file__).resolve().parents[2] / "model_repository"
    assert {folder.name for folder in repository.iterdir() if folder.is_dir()} == MODELS
    for model in MODELS:
        config = (repository / model / "config.pbtxt").read_text()
        assert re.search(r"instance_group \[ \{ kind: KIND_CPU count: 1 \} \]", config), model
        assert model in WITHOUT_GRAPHS or "intra_op_thread_count" in config, model


async def test_every_model_is_ready(triton: TritonServer) -> None:
    async with connect(triton.grpc_address) as stub:
        for model in sorted(MODELS):
            assert (await stub.ModelReady(service_pb2.ModelReadyRequest(name=model))).ready, model


async def test_a_prompt_becomes_tokens(triton: TritonServer) -> None:
    async with connect(triton.grpc_address) as stub:
        made = await infer(stub, "tokenizer", {"prompt": np.array([b"The CAT"], np.object_)})
        same = await infer(stub, "tokenizer", {"prompt": np.array([b" the  cat"], np.object_)})
        assert made["input_ids"].tolist() == same["input_ids"].tolist()
        assert made["input_ids"][0, 2:4].tolist() == [1, 0], "a word each, the end, padding"
        assert (made["input_ids"].shape, int(made["attention_mask"].sum())) == ((1, LENGTH), 3)
        with pytest.raises(grpc.aio.AioRpcError, match="prompt: 'utf-8' codec"):
            await infer(stub, "tokenizer", {"prompt": np.array([b"\xff"], np.object_)})
        with pytest.raises(grpc.aio.AioRpcError, match="prompt"):
            await infer(stub, "tokenizer", {"prompt": np.array([b"a", b"b"], np.object_)})


async def test_the_profile_describes_what_is_served(triton: TritonServer) -> None:
    async with connect(triton.grpc_address) as stub:
        answer = await infer(stub, "profile", {"probe": np.array([1.5, -2], np.float32)})
    profile = json.loads(answer["profile"].item())
    assert answer["echo"].tolist() == [3.0, -4.0]
    assert (profile["name"], profile["trained"], profile["pipeline"]) == ("nano", True, "causal")
    assert profile["decoders"] == {"quality": "vae_decoder", "fast": "vae_decoder_tiny"}
    assert 10**8 < profile["memory"]["cpu"] < 10**10
    assert (profile["spatial_factor"], profile["temporal_factor"], profile["latent_channels"]) == (8, 4, 16)
    assert (profile["max_latents"] - 1) % profile["block_latents"] == 0
    assert re.fullmatch("[0-9a-f]{64}", profile["digest"])


async def test_the_encoders_follow_their_contract(triton: TritonServer) -> None:
    ids, mask = np.zeros((1, LENGTH), np.int64), np.zeros((1, LENGTH), np.int64)
    ids[0, :4], mask[0, :4] = (100, 101, 102, 1), 1
    async with connect(triton.grpc_address) as stub:
        text = (await infer(stub, "text_encoder", {"input_ids": ids, "attention_mask": mask}))["embeddings"]
        image = (await infer(stub, "image_encoder", {"pixels": np.ones((1, 3, 96, 96), np.float32)}))["tokens"]
        assert (text.shape, text.dtype, image.shape, image.dtype) == (
            (1, LENGTH, 128),
            np.float32,
            (1, 37, 128),
            np.float32,
        )
        assert np.abs(text[0, :4]).min(axis=1).all() and not text[0, 4:].any()
        for height, width in ((128, 224), (224, 128), (160, 160)):
            pixels = np.zeros((1, 3, height, width), np.float32)
            latent = (await infer(stub, "vae_encoder", {"pixels": pixels}))["latent"]
            assert (latent.shape, latent.dtype) == ((1, 16, 1, height // 8, width // 8), np.float32)
        one = {"pixels": pixels, "latent_frames": np.array([1], np.int32)}
        assert (await infer(stub, "vae_encoder", one))["latent"].tobytes() == latent.tobytes()


@pytest.mark.parametrize(("height", "width"), [(16, 28), (28, 16), (20, 20)])
async def test_blocks_stream_in_order_and_decode_to_frames(triton: TritonServer, height: int, width: int) -> None:
    request = a_request(height, width)
    async with connect(triton.grpc_address) as stub:
        blocks = await rollout(stub, request)
        assert [int(each["start"][0]) for each in blocks] == [1, 3]
        assert [int(each["forwards"][0]) for each in blocks] == [5, 10]
        assert [int(each["total"][0]) for each in blocks] == [10, 10]
        assert {each["latents"].shape for each in blocks} == {(1, 16, 2, height, width)}
        key = next(ids)
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


@pytest.mark.parametrize("model", DECODERS)
async def test_two_clips_decoded_alternately_equal_single_ones(triton: TritonServer, model: str) -> None:
    one, other = some_latents(5, 1), some_latents(5, 2, 6, 4)
    async with connect(triton.grpc_address) as stub:
        alone = [await decode(stub, next(ids), each, start=True, end=True, model=model) for each in (one, other)]
        keys = next(ids), next(ids)
        pieces: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
        for start, end in ((0, 1), (1, 3), (3, 5)):
            for key, latents, frames in zip(keys, (one, other), pieces, strict=True):
                piece = latents[:, :, start:end]
                frames.append(await decode(stub, key, piece, start=start == 0, end=end == 5, model=model))
    assert [np.concatenate(each).tobytes() for each in pieces] == [each.tobytes() for each in alone]


@pytest.mark.parametrize("model", DECODERS)
async def test_a_decoder_counts_its_frames_and_the_clips_that_it_holds(triton: TritonServer, model: str) -> None:
    """By its name, for the two decoders share the metrics' names."""
    sizes = {"vae_decoder": vae.cache_bytes, "vae_decoder_tiny": tiny_vae.cache_bytes}
    frames, clips, held = (f'{each}{{model="{model}"}}' for each in (FRAMES, CLIPS, HELD))
    before, key = metrics(triton.metrics_address), next(ids)
    async with connect(triton.grpc_address) as stub:
        await decode(stub, key, some_latents(3, 0), start=True, model=model)
        during = metrics(triton.metrics_address)
        assert (await decode(stub, key, some_latents(0, 0), end=True, model=model)).shape == (0, 32, 48, 3)
    after = metrics(triton.metrics_address)
    assert during[frames] - before[frames] == during[FRAMES] - before[FRAMES] == 9
    assert (during[clips] - before[clips], after[clips] - before[clips]) == (1, 0)
    assert (during[held] - before[held], after[held] - before[held]) == (sizes[model](NANO, 4, 6), 0)


async def test_a_clip_beyond_the_limit_is_refused_immediately(triton: TritonServer) -> None:
    keys = [next(ids) for _ in range(9)]
    async with connect(triton.grpc_address) as stub:
        try:
            for key in keys[:8]:
                await decode(stub, key, some_latents(1, 0), start=True)
            with pytest.raises(grpc.RpcError) as refused:
                await decode(stub, keys[8], some_latents(1, 0), start=True)
        finally:
            for key in keys[:8]:
                await decode(stub, key, some_latents(0, 0), end=True)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


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


@pytest.mark.parametrize(
    ("first", "second"),
    [((1, 16, 1, 4, 6), (1, 16, 1, 6, 4)), ((1, 16, 1, 4, 6), (1, 15, 1, 4, 6)), (None, (1, 16, 1, 4, 6))],
    ids=["another size", "other channels", "never started"],
)
async def test_a_wrong_clip_is_an_invalid_argument_and_others_continue(
    triton: TritonServer, first: tuple[int, ...] | None, second: tuple[int, ...]
) -> None:
    held, good, bad = metrics(triton.metrics_address)[CLIPS], next(ids), next(ids)
    async with connect(triton.grpc_address) as stub:
        await decode(stub, good, some_latents(1, 3), start=True)
        if first:
            await decode(stub, bad, np.zeros(first, np.float32), start=True)
        with pytest.raises(grpc.RpcError) as refused:
            await decode(stub, bad, np.zeros(second, np.float32))
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        with pytest.raises(grpc.RpcError, match=r"unknown|START"):
            await decode(stub, bad, some_latents(1, 0), end=True)
        assert (await decode(stub, good, some_latents(1, 4), end=True)).shape == (4, 32, 48, 3)
    assert metrics(triton.metrics_address)[CLIPS] == held


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"latent_frames": np.array([2], np.int32)}, r"must be 1, not 2.*next\.onnx"),
        ({"latent_frames": np.array([0], np.int32)}, "latent_frames"),
        ({"latent_frames": np.array([1, 1], np.int32)}, "latent_frames"),
        ({"pixels": np.zeros((1, 3, 40, 48), np.float32)}, "multiples of 16"),
        ({"pixels": np.full((1, 3, 32, 48), np.inf, np.float32)}, "finite"),
        ({"pixels": np.zeros((1, 4, 32, 48), np.float32)}, "pixels"),
    ],
)
async def test_a_picture_that_cannot_be_encoded_is_an_invalid_argument(
    triton: TritonServer, changes: Arrays, complaint: str
) -> None:
    good = {"pixels": np.zeros((1, 3, 32, 48), np.float32)}
    async with connect(triton.grpc_address) as stub:
        with pytest.raises(grpc.RpcError, match=complaint) as refused:
            await infer(stub, "vae_encoder", good | changes)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert (await infer(stub, "vae_encoder", good))["latent"].shape == (1, 16, 1, 4, 6)


async def test_an_encoder_refuses_inputs_that_its_graph_does_not_accept(triton: TritonServer) -> None:
    async with connect(triton.grpc_address) as stub:
        for inputs in ({"input_ids": np.zeros((1, 9), np.int64), "attention_mask": np.zeros((1, 9), np.int64)}, {}):
            with pytest.raises(grpc.RpcError) as refused:
                await infer(stub, "text_encoder", inputs)
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert (await stub.ServerReady(service_pb2.ServerReadyRequest())).ready
