"""Tensors into a module: all of them, in their shapes, or none and an error that names every one amiss."""

from collections.abc import Mapping

import torch
from torch import nn

from tools.export.weights.checkpoint_kind import kind_from
from tools.export.weights.error import WeightsError, some
from tools.export.weights.source import Source

FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


def load_into(
    module: nn.Module,
    tensors: Mapping[str, torch.Tensor],
    *,
    part: str,
    source: Source,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Puts tensors into a module, as `dtype`; the module may be on the meta device, and is not afterwards.

    Memory is shared with `tensors` where they are of that dtype already. Buffers keep what the module computed.

    Raises:
        WeightsError: tensors are missing, unknown, of another shape, quantised, or hold NaN or infinity. The module is
            then as it was.
    """
    wanted: dict[str, torch.Tensor] = module.state_dict(keep_vars=True)
    buffers = {name for name, _ in module.named_buffers(remove_duplicate=False)}
    by_tensor: dict[int, str] = {id(wanted[name]): name for name in wanted if name in tensors}
    missing: list[str] = []
    misshapen: list[str] = []
    quantised: list[str] = []
    endless: list[str] = []
    filled: dict[str, torch.Tensor] = {}
    converted: dict[int, torch.Tensor] = {}  # what is tied stays one tensor, also in another dtype
    named = kind_from(source).to_file

    for name, place in wanted.items():
        given = tensors.get(by_tensor.get(id(place), name))
        if given is None:
            if name in buffers:
                filled[name] = place
            else:
                missing.append(named(name))
        elif given.shape != place.shape:
            shapes = f"{tuple(given.shape)} where the model has {tuple(place.shape)}"
            misshapen.append(f"{named(name)} {shapes}")
        elif given.dtype not in FLOATS:
            quantised.append(f"{named(name)} {given.dtype}")
        else:
            if id(given) not in converted:
                converted[id(given)] = given.to(dtype)
                if not _finite(converted[id(given)]):
                    endless.append(named(name))
            filled[name] = converted[id(given)]
    amiss = {
        "missing": missing,
        "unknown to the model": [named(name) for name in tensors if name not in wanted and name not in buffers],
        "of another shape": misshapen,
        "quantised, which is not read": quantised,
        f"NaN or infinite as {dtype}": endless,
    }
    if any(amiss.values()):
        raise WeightsError(
            f"{part}: the tensors of {source} are not the model's.\n"
            + "".join(f"  {len(names)} {what}: {some(names)}\n" for what, names in amiss.items() if names)
            + "Give the file that this profile is made for, or take the profile that the file is made for."
        )
    module.load_state_dict(filled, assign=True)
    _tie(module, wanted)
    _renew_buffers(module)


def _finite(tensor: torch.Tensor) -> bool:
    # The least and the greatest carry NaN and infinity, and need no copy of what may be gigabytes.
    return tensor.numel() == 0 or all(bool(each.isfinite()) for each in tensor.aminmax())


def _tie(module: nn.Module, before: Mapping[str, torch.Tensor]) -> None:
    """Makes one parameter again of what was one under several names: loading gives each name its own."""
    first: dict[int, nn.Parameter] = {}
    for name, place in before.items():
        if isinstance(place, nn.Parameter):
            owner, _, leaf = name.rpartition(".")
            holder = module.get_submodule(owner)
            setattr(holder, leaf, first.setdefault(id(place), getattr(holder, leaf)))


def _renew_buffers(module: nn.Module) -> None:
    """Computes the buffers that no file holds, where the meta device took them."""
    from diffusers.models.transformers.transformer_wan import WanRotaryPosEmbed

    for each in module.modules():
        lost = [name for name, buffer in each.named_buffers(recurse=False) if buffer.is_meta]
        if lost and isinstance(each, WanRotaryPosEmbed):
            fresh = WanRotaryPosEmbed(each.attention_head_dim, each.patch_size, each.max_seq_len)
            for name in lost:
                setattr(each, name, getattr(fresh, name))
        elif lost == ["position_ids"]:
            each.position_ids = torch.arange(each.position_ids.shape[-1]).expand((1, -1))
        elif lost:
            raise TypeError(f"{type(each).__name__} computes {some(lost)} itself; make it off the meta device")
