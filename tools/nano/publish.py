"""`python -m tools.nano.publish`: what was learnt, as the files that an export reads, in half precision.

They are under tools/nano/weights in the layout of diffusers, and `make models` builds the graphs of them. `--restore`
is the way back: on a machine that has none of the training's state, later stages go on from what is shipped.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan
from safetensors.torch import load_file, save_file

from tools.export import profile_file
from tools.nano import train

WEIGHTS = Path(__file__).parent / "weights"


def main() -> int:
    """Publishes, or restores; 0 when it is done."""
    parser = argparse.ArgumentParser(prog="python -m tools.nano.publish", description=__doc__)
    parser.add_argument("--restore", action="store_true", help="make state for training of the shipped weights")
    if parser.parse_args().restore:
        restore()
    else:
        publish()
    return 0


def publish() -> None:
    """Writes every part that is trained."""
    mover = train.Mover()
    if not train.trained(mover, "steady", "average"):
        sys.exit("run `python -m tools.nano.train steady` first")
    reader, _ = train.the_reader()
    train.trained(reader, "text")
    put("text_encoder", reader.encoder.state_dict())
    put("image_encoder", mover.image.model.state_dict())
    put("transformer", mover.transformer.state_dict())
    vae = train.the_vae("clips")
    put("vae", normalised(vae, train.statistics()).state_dict())
    tiny = train.the_tiny_vae()
    train.trained(tiny, "tiny")
    put("tiny_vae", {f"decoder.{name}": each for name, each in tiny.state_dict().items()})
    (WEIGHTS / "tokenizer").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(train.ROOT / "text/tokenizer.json", WEIGHTS / "tokenizer/tokenizer.json")
    (WEIGHTS / "training.json").write_text(json.dumps(history(), indent=1) + "\n")


def restore() -> None:
    """Makes of the shipped weights what `latents`, `steady` and `tiny` begin with.

    The statistics of the latents are then those of every Wan VAE, under which the weights are published.
    """
    mover, made = train.Mover(), train.the_vae()
    mover.transformer.load_state_dict(shipped("transformer"))
    mover.image.model.load_state_dict(shipped("image_encoder"))
    made.load_state_dict(shipped("vae"))
    folder = train.ROOT / "text"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(WEIGHTS / "tokenizer/tokenizer.json", folder / "tokenizer.json")
    reader, _ = train.the_reader()
    reader.encoder.load_state_dict(shipped("text_encoder"), strict=False)  # of tensors that are the same, one is there
    for stage, module in (("clips", made), ("text", reader), ("onset", mover)):
        (train.ROOT / stage).mkdir(parents=True, exist_ok=True)
        torch.save({"module": module.state_dict()}, train.ROOT / stage / "state.pt")
    known = {"mean": torch.tensor(made.config.latents_mean), "std": torch.tensor(made.config.latents_std)}
    torch.save(known, train.ROOT / "clips/statistics.pt")


def shipped(part: str) -> dict[str, torch.Tensor]:
    """The tensors of a published part."""
    return {name: each.float() for name, each in load_file(WEIGHTS / part / "model.safetensors").items()}


def put(part: str, tensors: Mapping[str, torch.Tensor]) -> None:
    """Writes one part; of tensors that are the same, one."""
    folder, kept, seen = WEIGHTS / part, dict[str, torch.Tensor](), set[int]()
    folder.mkdir(parents=True, exist_ok=True)
    for name, each in tensors.items():
        if each.data_ptr() not in seen:
            seen.add(each.data_ptr())
            kept[name] = each.detach().half().contiguous()
    save_file(kept, folder / "model.safetensors")
    print(f"{part:14} {sum(each.numel() for each in kept.values()):9,} parameters")


def normalised(vae: AutoencoderKLWan, known: Mapping[str, torch.Tensor]) -> AutoencoderKLWan:
    """The VAE with the statistics of its latents in its outermost layers, so that those of Wan2.1 also apply to it.

    Its readers then normalise by the published mean and deviation, as it does for every Wan VAE.
    """
    mean, std = (known[name].double() for name in ("mean", "std"))
    target_mean, target_std = (
        torch.tensor(each, dtype=torch.float64) for each in (vae.config.latents_mean, vae.config.latents_std)
    )
    gain = target_std / std
    channels = vae.config.z_dim
    with torch.no_grad():
        out, back = vae.quant_conv, vae.post_quant_conv
        weight, bias = out.weight.double(), out.bias.double()
        weight[:channels] *= gain.view(-1, 1, 1, 1, 1)
        bias[:channels] = (bias[:channels] - mean) * gain + target_mean
        out.weight.copy_(weight)
        out.bias.copy_(bias)
        weight, bias = back.weight.double(), back.bias.double()
        shift = mean - target_mean / gain  # z = z' / gain + shift
        back.bias.copy_(bias + (weight[:, :, 0, 0, 0] * shift).sum(1))
        back.weight.copy_(weight / gain.view(1, -1, 1, 1, 1))
    return vae


def history() -> dict[str, object]:
    """How the parts were trained, for the model card: seed, sizes, and the last line of every log."""
    last = {}
    for stage in train.STAGES:
        log = train.ROOT / stage / "log.jsonl"
        if log.is_file():
            last[stage] = json.loads(log.read_text().splitlines()[-1])
    return {"seed": train.SEED, "profile": profile_file.load("nano").name, "last": last}


if __name__ == "__main__":
    sys.exit(main())
