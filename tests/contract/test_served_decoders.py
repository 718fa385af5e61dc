"""The two decoders, as a real Triton serves them: clips, their limit, errors, and metrics."""

import grpc
import numpy as np
import pytest

from tests.support.model_requests import DECODERS, NANO, decode, sequence_ids, some_latents
from tests.support.triton_wire import connect, metrics
from tools.export import tiny_vae, vae
from tools.tritonserver import TritonServer

FRAMES, CLIPS, HELD = "i2v_vae_decoder_frames_total", "i2v_vae_decoder_sequences", "i2v_vae_decoder_cache_bytes"


@pytest.mark.parametrize("model", DECODERS)
async def test_two_clips_decoded_alternately_equal_single_ones(triton: TritonServer, model: str) -> None:
    one, other = some_latents(5, 1), some_latents(5, 2, 6, 4)
    async with connect(triton.grpc_address) as stub:
        alone = [
            await decode(stub, next(sequence_ids), each, start=True, end=True, model=model) for each in (one, other)
        ]
        keys = next(sequence_ids), next(sequence_ids)
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
    before, key = metrics(triton.metrics_address), next(sequence_ids)
    async with connect(triton.grpc_address) as stub:
        await decode(stub, key, some_latents(3, 0), start=True, model=model)
        during = metrics(triton.metrics_address)
        assert (await decode(stub, key, some_latents(0, 0), end=True, model=model)).shape == (0, 32, 48, 3)
    after = metrics(triton.metrics_address)
    assert during[frames] - before[frames] == during[FRAMES] - before[FRAMES] == 9
    assert (during[clips] - before[clips], after[clips] - before[clips]) == (1, 0)
    assert (during[held] - before[held], after[held] - before[held]) == (sizes[model](NANO, 4, 6), 0)


async def test_a_clip_beyond_the_limit_is_refused_immediately(triton: TritonServer) -> None:
    keys = [next(sequence_ids) for _ in range(9)]
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


@pytest.mark.parametrize(
    ("first", "second"),
    [((1, 16, 1, 4, 6), (1, 16, 1, 6, 4)), ((1, 16, 1, 4, 6), (1, 15, 1, 4, 6)), (None, (1, 16, 1, 4, 6))],
    ids=["another size", "other channels", "never started"],
)
async def test_a_wrong_clip_is_an_invalid_argument_and_others_continue(
    triton: TritonServer, first: tuple[int, ...] | None, second: tuple[int, ...]
) -> None:
    held, good, bad = metrics(triton.metrics_address)[CLIPS], next(sequence_ids), next(sequence_ids)
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
