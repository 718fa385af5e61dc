"""The models of the repository, as a real Triton serves them: the description, the tokenizer and the encoders."""

import json
import re
from pathlib import Path

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2

from tests.support.model_requests import LENGTH
from tests.support.triton_wire import Arrays, connect, infer
from tools.tritonserver import TritonServer

WITHOUT_GRAPHS = {"profile", "tokenizer"}
MODELS = {"text_encoder", "image_encoder", "vae_encoder", "transformer", "vae_decoder", "vae_decoder_tiny"}
MODELS |= WITHOUT_GRAPHS


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
