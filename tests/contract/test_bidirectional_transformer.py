"""The bidirectional pipeline as it is exported, against diffusers' own on the same small, random weights."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from diffusers import UniPCMultistepScheduler, WanImageToVideoPipeline

from tests.support.small_profiles import Seeded, bidirectional
from tests.support.triton_wire import Refused, Stream, connect, infer
from tools.export import bidirectional_transformer as exported
from tools.export import build, build_record, text_and_image_encoders, vae, wan_transformer
from tools.export import repository_folder as exports
from tools.export.artefact import Artefact
from tools.model_code import REPOSITORY, load
from tools.tritonserver import TritonServer

TOLERANCE = 1e-4
PROFILE = bidirectional()
FRAMES, HEIGHT, WIDTH = 3, 48, 64
SIZE = HEIGHT // 8, WIDTH // 8
SEED = 5

assert PROFILE.image_encoder is not None
assert PROFILE.sampler is not None

diffusion, encode = load("transformer", "bidirectional_pipeline"), load("vae_encoder", "picture_encoder")
settings, unipc = load("transformer", "transformer_settings"), load("transformer", "unipc_solver")
ask = load("transformer", "generation_request")


def written(folder: Path, artefacts: Iterator[Artefact]) -> Path:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for artefact in artefacts:
        artefact.write(folder)
    torch.set_num_threads(threads)
    return folder


@pytest.fixture(scope="module")
def the_transformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("models"), exported.graphs(PROFILE, Seeded()))


@pytest.fixture(scope="module")
def the_vae(the_transformer: Path) -> Path:
    return written(the_transformer, vae.encoder_graphs(PROFILE, vae.vae(PROFILE, Seeded())))


@pytest.fixture(scope="module")
def repository(the_vae: Path) -> Path:
    graphs = (
        each
        for kind in (text_and_image_encoders.text_graphs, text_and_image_encoders.image_graphs)
        for each in kind(PROFILE, Seeded())
    )
    return written(the_vae, graphs)


def random(*shape: int, key: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(key))


def farthest(one: np.ndarray, other: torch.Tensor) -> float:
    assert one.shape == tuple(other.shape)
    return float(np.abs(one - other.numpy()).max())


def session(repository: Path, model: str, file: str = "model.onnx") -> Any:
    return onnxruntime.InferenceSession(str(repository / model / "1" / file), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize(("frames", "height", "width", "timestep"), [(3, 6, 8, 999), (1, 10, 4, 500), (5, 4, 4, 1)])
def test_a_forward_pass_equals_the_librarys(
    the_transformer: Path, frames: int, height: int, width: int, timestep: int
) -> None:
    """Without our loop: the library's own module, which computes rotary table, waves and attention itself."""
    code, size = load("transformer", "position_and_time"), PROFILE.transformer
    prompt = random(1, PROFILE.text_encoder.length, PROFILE.text_encoder.width, key=1)
    tokens = random(1, PROFILE.image_encoder.tokens, PROFILE.image_encoder.width, key=2)
    latents = random(1, PROFILE.vae.channels + size.condition_channels, frames, height, width, key=3)
    context, denoise = (session(the_transformer, "transformer", f"{name}.onnx") for name in ("context", "denoise"))
    cross = context.run(None, {"prompt_embeddings": prompt.numpy(), "image_tokens": tokens.numpy()})
    cos, sin = code.rotary(size.head_width, 0, frames, height // 2, width // 2)
    inputs = {"latents": latents.numpy(), "waves": code.waves(size.time_width, timestep), "cos": cos, "sin": sin}
    inputs |= dict(zip([each.name for each in context.get_outputs()], cross, strict=True))
    with torch.inference_mode():
        wanted = wan_transformer.transformer(PROFILE, Seeded())(
            hidden_states=latents,
            timestep=torch.tensor([timestep]),
            encoder_hidden_states=prompt,
            encoder_hidden_states_image=tokens,
        ).sample
    assert wanted.std() > 0.3
    assert farthest(denoise.run(None, inputs)[0], wanted) < TOLERANCE


@pytest.mark.parametrize(("height", "width", "frames"), [(48, 64, 4), (64, 32, 2), (16, 16, 1)])
def test_the_condition_is_the_encoding_of_the_picture_and_grey_frames(
    the_vae: Path, height: int, width: int, frames: int
) -> None:
    pixels = random(1, 3, height, width).clamp(-1, 1)
    model = vae.vae(PROFILE, Seeded())
    clip = torch.cat((pixels.unsqueeze(2), torch.zeros(1, 3, 4 * (frames - 1), height, width)), dim=2)
    mean, std = (
        torch.tensor(each).view(1, -1, 1, 1, 1) for each in (model.config.latents_mean, model.config.latents_std)
    )
    with torch.inference_mode():
        wanted = (model.encode(clip).latent_dist.mean - mean) / std
    made = encode.Encoder(the_vae / "vae_encoder" / "1", 1).encode(pixels.numpy(), frames)
    assert farthest(made, wanted) < TOLERANCE


@dataclass(frozen=True)
class Given:
    """What a video is made from."""

    picture: torch.Tensor
    """(1, 3, H, W) in [0, 1]."""
    tokens: tuple[torch.Tensor, torch.Tensor]
    """Of the prompt and of the negative prompt, INT64 (1, L)."""
    masks: tuple[torch.Tensor, torch.Tensor]

    @classmethod
    def drawn(cls) -> "Given":
        tokenizer = load("tokenizer", "tokenize_prompt")
        ids, masks = torch.zeros(2, 1, PROFILE.text_encoder.length, dtype=torch.int64).repeat(2, 1, 1, 1).unbind()
        for row, text in enumerate(("a cat walks along the beach", "blurred, static")):
            tokens = [*tokenizer.split_bytes(text), tokenizer.END]
            ids[row, 0, : len(tokens)] = torch.tensor(tokens)
            masks[row, 0, : len(tokens)] = 1
        picture = torch.rand(1, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(3))
        return cls(picture, ids.unbind(), masks.unbind())


def diffusion_of(repository: Path, *, guidance: float, steps: int) -> Any:
    folder = repository / "transformer" / "1"
    stated = json.loads((folder / "settings.json").read_text()) | {"guidance": guidance, "steps": steps}
    made = settings.Settings(**stated)
    return diffusion.Diffusion(load("transformer", "bidirectional_denoiser_onnx").OnnxDenoiser(folder, made, 1, "cpu"))


def ours(repository: Path, given: Given, maker: Any) -> np.ndarray:
    """Latents (1, C, F, h, w), by exported graphs alone."""

    def run(model: str, **inputs: torch.Tensor) -> np.ndarray:
        tensors = {name: tensor.numpy() for name, tensor in inputs.items()}
        made: np.ndarray = session(repository, model).run(None, tensors)[0]
        return made

    pixels = given.picture * 2 - 1
    embeddings = [
        run("text_encoder", input_ids=ids, attention_mask=mask)
        for ids, mask in zip(given.tokens, given.masks, strict=True)
    ]
    request = ask.Request(
        prompt_embeddings=embeddings[0],
        negative_embeddings=embeddings[1] if maker.guided else None,
        image_tokens=run("image_encoder", pixels=pixels),
        image_latent=encode.Encoder(repository / "vae_encoder" / "1", 1).encode(pixels.numpy(), FRAMES),
        latent_size=SIZE,
        latent_frames=FRAMES,
        seed=SEED,
    )
    *_, last = maker.blocks(request)
    made: np.ndarray = last.latents
    return made


class Pipeline(WanImageToVideoPipeline):
    """The library's own, but for what it makes of a picture before CLIP, where it departs from the authors."""

    def encode_image(self, image: torch.Tensor, device: Any = None) -> torch.Tensor:
        """As Wan2.1 does (`CLIPModel.visual`): to CLIP's square, without a filter and without keeping the shape."""
        side, mean, std = (
            PROFILE.image_encoder.size,
            text_and_image_encoders.CLIP_MEAN,
            text_and_image_encoders.CLIP_STD,
        )
        square = torch.nn.functional.interpolate(image * 2 - 1, (side, side), mode="bicubic", align_corners=False)
        pixels = (square * 0.5 + 0.5 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
        tokens: torch.Tensor = self.image_encoder(pixels, output_hidden_states=True).hidden_states[-2]
        return tokens


class AuthorsGrid(UniPCMultistepScheduler):
    """The library's solver on the authors' sigmas, which it shifts itself."""

    def set_timesteps(self, num_inference_steps: int, device: Any = None) -> None:
        """Evenly from 0.999 to 0."""
        super().set_timesteps(sigmas=np.linspace(np.float32(0.999), 0, num_inference_steps + 1)[:-1], device=device)


def a_scheduler(kind: type[UniPCMultistepScheduler] = AuthorsGrid) -> UniPCMultistepScheduler:
    assert PROFILE.sampler is not None
    return kind(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=PROFILE.sampler.shift)


def theirs(given: Given, scheduler: UniPCMultistepScheduler, *, guidance: float, steps: int) -> torch.Tensor:
    """Latents (1, C, F, h, w), by diffusers' pipeline over the libraries' modules."""
    module_weights = Seeded()
    text = text_and_image_encoders.text_encoder(PROFILE, module_weights).model
    with torch.inference_mode():
        prompts = []
        for ids, mask in zip(given.tokens, given.masks, strict=True):
            hidden, count = text(ids, mask).last_hidden_state, int(mask.sum())
            prompts.append(
                torch.cat((hidden[:, :count], hidden.new_zeros(1, mask.shape[1] - count, hidden.shape[2])), 1)
            )
        pipeline = Pipeline(
            tokenizer=None,
            text_encoder=text,
            vae=vae.vae(PROFILE, module_weights),
            scheduler=scheduler,
            image_encoder=text_and_image_encoders.image_encoder(
                PROFILE.image_encoder, module_weights, torch.float32
            ).model,
            transformer=wan_transformer.transformer(PROFILE, module_weights),
        )
        pipeline.set_progress_bar_config(disable=True)
        made: torch.Tensor = pipeline(
            image=given.picture,
            prompt_embeds=prompts[0],
            negative_prompt_embeds=prompts[1],
            height=HEIGHT,
            width=WIDTH,
            num_frames=4 * FRAMES - 3,
            num_inference_steps=steps,
            guidance_scale=guidance,
            latents=torch.from_numpy(ask.noise(SEED, 0, FRAMES, 0, PROFILE.vae.channels, SIZE)),
            output_type="latent",
        ).frames
    return made


@pytest.mark.parametrize(("guidance", "steps"), [(5.0, 4), (5.0, 12), (1.0, 4), (1.0, 12)])
def test_a_video_equals_the_librarys_on_the_authors_grid(repository: Path, guidance: float, steps: int) -> None:
    given = Given.drawn()
    made = ours(repository, given, diffusion_of(repository, guidance=guidance, steps=steps))
    wanted = theirs(given, a_scheduler(), guidance=guidance, steps=steps)
    assert made.std() > 0.3
    assert farthest(made, wanted) < TOLERANCE


def test_a_video_equals_the_librarys_on_its_own_grid(repository: Path) -> None:
    given, scheduler = Given.drawn(), a_scheduler(UniPCMultistepScheduler)
    scheduler.set_timesteps(6)
    maker = diffusion_of(repository, guidance=5.0, steps=6)
    authors = ours(repository, given, maker)
    maker.schedule = unipc.Schedule(tuple(scheduler.sigmas.tolist()), tuple(scheduler.timesteps.tolist()))
    made = ours(repository, given, maker)
    wanted = theirs(given, scheduler, guidance=5.0, steps=6)
    assert farthest(made, wanted) < TOLERANCE
    assert farthest(authors, wanted) > 10 * TOLERANCE, "the grids differ, and so do the videos"


@pytest.fixture(scope="module")
def served(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """A real Triton on what has been exported."""
    for model in (models := ("profile", "text_encoder", "image_encoder", "vae_encoder", "transformer")):
        source, target = REPOSITORY / model, repository / model
        shutil.copytree(
            source / "1", target / "1", ignore=shutil.ignore_patterns("*.onnx", "*.json"), dirs_exist_ok=True
        )
        config = (source / "config.pbtxt").read_text()
        (target / "config.pbtxt").write_text(exports.configured(config, model, PROFILE))
    graphs = [str(file.relative_to(repository)) for model in models for file in (repository / model).glob("1/*.onnx")]
    build_record.write(repository, build_record.source_of(PROFILE), graphs, build.served(PROFILE))
    with TritonServer(repository, state=tmp_path_factory.mktemp("triton")) as server:
        yield server


async def test_triton_reports_each_step_and_then_the_video(served: TritonServer) -> None:
    pixels, sampler = random(1, 3, HEIGHT, WIDTH).clamp(-1, 1).numpy(), PROFILE.sampler
    async with connect(served.grpc_address) as stub:
        frames = {"latent_frames": np.array([FRAMES], np.int32)}
        latent = (await infer(stub, "vae_encoder", {"pixels": pixels} | frames))["latent"]
        assert latent.shape == (1, 16, FRAMES, *SIZE)
        prompt = (1, PROFILE.text_encoder.length, PROFILE.text_encoder.width)
        request = frames | {
            "prompt_embeddings": random(*prompt, key=1).numpy(),
            "negative_embeddings": random(*prompt, key=2).numpy(),
            "image_tokens": random(1, PROFILE.image_encoder.tokens, PROFILE.image_encoder.width).numpy(),
            "image_latent": latent,
            "latent_size": np.array(SIZE, np.int32),
            "seed": np.array([SEED]),
        }
        stream = Stream(stub, "transformer", request)
        responses = [each async for each in stream]
        assert stream.finals == 1
        assert [each["latents"].shape[2] for each in responses] == [0] * (sampler.steps - 1) + [FRAMES]
        assert [int(each["forwards"][0]) for each in responses] == [2 * step for step in range(1, sampler.steps + 1)]
        assert {int(each["total"][0]) for each in responses} == {2 * sampler.steps}
        del request["negative_embeddings"]
        with pytest.raises(Refused, match="negative_embeddings must be given"):
            await anext(aiter(Stream(stub, "transformer", request)))
