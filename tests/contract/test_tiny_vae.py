"""The tiny decoder against a plain reading of TAEHV, its graphs against both, and nano's against the VAE's decoder."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from tests.support import weights_files
from tools.export import profile_file, tiny_vae, vae
from tools.export.module_weights import LoadedWeights
from tools.export.weights import Weights
from tools.model_code import REPOSITORY, load

NANO = profile_file.load("nano")
LEARNT = LoadedWeights(Weights.find(NANO.shipped))
CAT = Path(__file__).resolve().parents[1] / "golden" / "cat.png"
code = load("vae_decoder", "latent_decoder")


@pytest.fixture(scope="module")
def tiny() -> Iterator[tiny_vae.TinyVae]:
    """As large as nano's, with weights that make every path have an effect."""
    torch.manual_seed(0)
    with torch.no_grad():
        made = tiny_vae.TinyVae(16, (32, 32, 16, 16))
        for name, parameter in made.named_parameters():
            parameter.normal_(std=parameter[0].numel() ** -0.5 if name.endswith("weight") else 0.1)
        made[-1].weight *= 0.2
        made[-1].bias.fill_(0.5)
        yield made


def random(*shape: int, key: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(key))


def taehv(weights: dict[str, torch.Tensor], latents: torch.Tensor) -> torch.Tensor:
    """TAEHV's parallel decode of latents (T, C, h, w) to frames in [0, 1], read off its description layer by layer.

    Layers by number: 0 clamp, 1 convolution, 2 ReLU; from 3, 9 and 15 three blocks with a memory of one frame, nearest
    upsampling, growth in time, a convolution; 21 ReLU, 22 convolution. All frames of a layer at once, the memory of
    each frame being the frame before it, and three frames dropped at the end.
    """

    def conv(x: torch.Tensor, name: str) -> torch.Tensor:
        weight = weights[f"{name}.weight"]
        return functional.conv2d(x, weight, weights.get(f"{name}.bias"), padding=weight.shape[-1] // 2)

    x = functional.relu(conv(3 * torch.tanh(latents / 3), "1"))
    for level in (3, 9, 15):
        for block in range(level, level + 3):
            past = torch.zeros_like(x)
            past[1:] = x[:-1]
            y = functional.relu(conv(torch.cat([x, past], 1), f"{block}.conv.0"))
            y = functional.relu(conv(y, f"{block}.conv.2"))
            x = functional.relu(conv(y, f"{block}.conv.4") + x)
        x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        grown = conv(x, f"{level + 4}.conv")
        growth = grown.shape[1] // x.shape[1]
        x = torch.cat([each for frame in grown for each in frame.unsqueeze(0).chunk(growth, 1)])
        x = conv(x, f"{level + 5}")
    return conv(functional.relu(x), "22")[3:].clamp(0, 1)


def in_pieces(tiny: tiny_vae.TinyVae, latents: torch.Tensor, *sizes: int) -> torch.Tensor:
    """Frames in [-1, 1] of (T, C, h, w), decoded in pieces of so many latent frames."""
    memory, frames = None, []
    for piece in latents.split(list(sizes)):
        made, memory = tiny.decoded(piece, memory)
        frames.append(made)
    return torch.cat(frames)[tiny_vae.TRIMMED :]


def test_the_module_has_the_tensors_of_the_published_file() -> None:
    """`taew2_1.pth`, without `decoder.`."""
    with torch.device("meta"):
        names = {
            name: tuple(each.shape) for name, each in tiny_vae.TinyVae(16, (256, 128, 64, 64)).state_dict().items()
        }
    assert len(names) == 2 + 9 * 6 + 3 * 2 + 2
    assert names["1.weight"] == (256, 16, 3, 3) and names["22.bias"] == (3,)
    assert names["3.conv.0.weight"] == (256, 512, 3, 3) and names["11.conv.4.bias"] == (128,)
    assert [names[f"{place}.conv.weight"][0] for place in (7, 13, 19)] == [256, 256, 128]
    assert [names[f"{place}.weight"][:2] for place in (8, 14, 20)] == [(128, 256), (64, 128), (64, 64)]


@pytest.mark.parametrize("sizes", [(5,), (1, 4), (1, 2, 2), (1, 1, 1, 1, 1)])
def test_decoding_in_pieces_equals_taehvs_decoding_of_the_whole(tiny: tiny_vae.TinyVae, sizes: tuple[int, ...]) -> None:
    latents = random(5, 16, 6, 10)
    made = in_pieces(tiny, latents, *sizes)
    wanted = 2 * taehv(tiny.state_dict(), latents) - 1
    assert made.shape == wanted.shape == (17, 3, 48, 80)
    assert wanted.std() > 0.1 and (wanted.abs() < 1).float().mean() > 0.5
    assert (made - wanted).abs().max() < 1e-5


def test_the_graphs_decode_as_taehv_does(tiny: tiny_vae.TinyVae) -> None:
    weights = tiny_vae.tiny_vae(NANO, LEARNT).state_dict()
    decoder = code.Decoder(REPOSITORY / "vae_decoder_tiny" / "1", threads=1)
    for height, width in ((6, 10), (16, 28)):
        latents = random(1, 16, 4, height, width)
        clip = code.Clip()
        made = np.concatenate([decoder.decode(clip, each.numpy()) for each in latents.split([1, 2, 1], 2)])
        wanted = taehv(weights, latents[0].transpose(0, 1)) * 255
        assert made.shape == (13, 8 * height, 8 * width, 3)
        # Rounded to bytes: half a step, and what the graphs may differ by.
        assert np.abs(made.transpose(0, 3, 1, 2) - wanted.numpy()).max() <= 0.5 + 255 * 1e-4


def test_a_file_that_grows_more_frames_than_are_wanted_gives_the_last_ones(tiny: tiny_vae.TinyVae) -> None:
    weights = dict(tiny.state_dict())
    wide = weights | {"7.conv.weight": torch.cat((random(32, 32, 1, 1), weights["7.conv.weight"]))}
    fitted = tiny.fitted(wide)
    assert all(torch.equal(fitted[name], each) for name, each in weights.items()) and fitted.keys() == weights.keys()


def test_a_published_file_is_loaded_under_its_own_names(tiny: tiny_vae.TinyVae, tmp_path: Path) -> None:
    state = dict(tiny.state_dict())
    wide = state | {"7.conv.weight": torch.cat((random(32, 32, 1, 1), state["7.conv.weight"]))}
    folder = tmp_path / "tiny"
    module_weights = LoadedWeights(Weights.find([weights_files.taehv(folder, wide)]))
    made = tiny_vae.tiny_vae(NANO, module_weights)
    assert all(torch.equal(each, state[name]) for name, each in made.state_dict().items())


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_memory_of_a_clip_is_what_the_plan_counts(precision: str, tmp_path: Path) -> None:
    chosen = profile_file.with_engine(NANO, [f"picture_precision={precision}"])
    folder = REPOSITORY / "vae_decoder_tiny" / "1"
    if precision == "fp16":
        for graph in tiny_vae.graphs(chosen, LEARNT):
            graph.write(tmp_path)
        folder = tmp_path / "vae_decoder_tiny" / "1"
    clip, reference = code.Clip(), code.Clip()
    latents = random(1, 16, 2, 6, 10).numpy()
    made = code.Decoder(folder, threads=1).decode(clip, latents).astype(int)
    assert clip.bytes == tiny_vae.cache_bytes(chosen, 6, 10)
    wanted = code.Decoder(REPOSITORY / "vae_decoder_tiny" / "1", threads=1).decode(reference, latents)
    assert np.abs(made - wanted).max() <= (0 if precision == "fp32" else 2)


def test_a_profile_without_one_has_no_graphs() -> None:
    chosen = profile_file.load("nano")
    without: Any = type(chosen)(**{**vars(chosen), "tiny_vae": None})
    assert list(tiny_vae.graphs(without, LEARNT)) == []


def test_the_fast_video_of_nano_resembles_its_quality_video() -> None:
    """Of a picture, of the same mirrored, and of noise about it, between which it moves."""
    with torch.inference_mode():
        model = vae.vae(NANO, LEARNT)
        picture = torch.from_numpy(np.array(Image.open(CAT).convert("RGB").resize((224, 128)))).permute(2, 0, 1)
        statistics = model.config.latents_mean, model.config.latents_std
        mean, std = (torch.tensor(each).view(1, -1, 1, 1, 1) for each in statistics)
        latent = (model.encode(picture[None, :, None].float() / 127.5 - 1).latent_dist.mean - mean) / std
        noisy = latent + random(*latent.shape)
        latents = torch.cat((latent, latent.flip(4), noisy), 2).numpy()
    quality, fast = (
        code.Decoder(REPOSITORY / name / "1", threads=1).decode(code.Clip(), latents).astype(float)
        for name in ("vae_decoder", "vae_decoder_tiny")
    )
    assert quality.std(axis=(1, 2, 3)).min() > 15
    noise = ((quality - fast) ** 2).mean(axis=(1, 2, 3))
    assert (10 * np.log10(255**2 / noise)).min() >= 15
    whole = [0, 4, 8]  # the others lie between these
    apart = ((quality[whole, None] - fast[None, whole]) ** 2).mean(axis=(2, 3, 4))
    assert apart.argmin(axis=1).tolist() == [0, 1, 2]
