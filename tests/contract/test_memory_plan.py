"""The memory plan, compared with figures counted by hand and with real arrays."""

from dataclasses import replace

import pytest

from tools.export import memory_plan, profile_card
from tools.export.profile_file import load, with_engine


def item(made: memory_plan.MemoryPlan, model: str, what: str) -> memory_plan.Item:
    (found,) = [each for each in made.items if each.model == model and each.what.startswith(what)]
    return found


def test_the_cache_of_the_small_model_is_what_its_authors_code_takes() -> None:
    """Self-Forcing: 30 layers, keys and values, 21 * 1560 tokens, 12 heads of 128, two bytes each."""
    made = memory_plan.memory_plan(load("self-forcing-1.3b"))
    assert (made.width, made.height) == (832, 480)
    assert item(made, "transformer", "KV cache").size == 30 * 2 * 32760 * 12 * 128 * 2
    assert item(made, "transformer", "keys and values").size == 30 * 2 * 512 * 12 * 128 * 2


@pytest.mark.parametrize(
    ("name", "part", "billions"),
    [
        ("causal-forcing-1.3b", "transformer", 1.42),
        ("wan2.1-i2v-14b", "transformer", 16.4),
        ("wan2.1-i2v-1.3b", "transformer", 1.56),
        ("wan2.1-i2v-14b", "image_encoder", 0.63),
    ],
)
def test_weights_are_as_many_as_those_of_the_published_models(name: str, part: str, billions: float) -> None:
    assert item(memory_plan.memory_plan(load(name)), part, "weights").size / 2 == pytest.approx(
        billions * 1e9, rel=0.01
    )


def test_a_bidirectional_forward_keeps_the_keys_and_values_of_one_layer() -> None:
    """Over torch, of 21 * 1560 tokens, 40 heads of 128, two bytes each; ONNX Runtime has its own among activations."""
    profile = load("wan2.1-i2v-14b")
    scratch = item(memory_plan.memory_plan(profile), "transformer", "keys and values of a forward")
    assert (scratch.size, scratch.phase) == (2 * 32760 * 40 * 128 * 2, "generate")
    two, onnx = (memory_plan.memory_plan(with_engine(profile, [change])) for change in ("slots=2", "runtime=onnx"))
    assert item(two, "transformer", "keys and values of a forward").size == 2 * scratch.size
    assert onnx.total("gpu") == memory_plan.memory_plan(profile).total("gpu") - scratch.size


def test_weights_of_umt5_that_would_overflow_in_half_precision_are_counted_in_full_precision() -> None:
    """5.68 billion numbers, of which 24 * 4096 * 10240 in four bytes."""
    size = item(memory_plan.memory_plan(load("wan2.1-i2v-14b")), "text_encoder", "weights").size
    assert size == pytest.approx(2 * 5.68e9 + 2 * 24 * 4096 * 10240, rel=0.01)


def test_slots_and_a_window_set_the_size_of_the_cache() -> None:
    profile = load("causal-forcing-1.3b")
    one, long = memory_plan.memory_plan(profile), memory_plan.memory_plan(load("causal-forcing-1.3b-long"))
    two = memory_plan.memory_plan(with_engine(profile, ["slots=2"]))
    assert item(two, "transformer", "KV cache").size == 2 * item(one, "transformer", "KV cache").size
    assert item(long, "transformer", "KV cache").size == item(one, "transformer", "KV cache").size
    assert two.total("gpu") > one.total("gpu")


def test_a_text_encoder_on_the_host_or_on_demand_saves_gpu_memory() -> None:
    profile = load("causal-forcing-1.3b")
    whole, host, lent = (
        memory_plan.memory_plan(with_engine(profile, changes))
        for changes in ([], ["text_device=cpu", "text_precision=fp32"], ["text_on_demand=true"])
    )
    text = item(whole, "text_encoder", "weights").size
    assert whole.total("gpu") - host.total("gpu") == text + memory_plan.CONTEXT_BYTES
    assert host.total("cpu") == pytest.approx(4 * 5.68e9, rel=0.01)
    assert item(lent, "transformer", "KV cache").phase == "generate"  # given back at the end of a video, then
    assert whole.total("gpu") - lent.total("gpu") > 6e9


def test_a_profile_on_the_cpu_needs_no_gpu_memory() -> None:
    made = memory_plan.memory_plan(load("nano"))
    assert made.total("gpu") == 0
    assert 0.1e9 < made.total("cpu") < 2e9


def test_half_the_precision_is_half_the_cache() -> None:
    nano = load("nano")
    half = replace(nano, engine=replace(nano.engine, precision="fp16"))
    sizes = [item(memory_plan.memory_plan(each), "transformer", "KV cache").size for each in (nano, half)]
    assert sizes[0] == 2 * sizes[1]


def test_the_plan_prints_each_use_and_the_sum() -> None:
    lines = list(memory_plan.memory_plan(load("wan2.1-i2v-14b")).lines())
    assert lines[0] == "memory at 832x480:"
    assert any("text_encoder" in line and "13.38 GB" in line for line in lines)
    assert lines[-1].split()[:3] == ["gpu", "in", "all"]


def test_the_card_carries_the_plan_and_the_engine() -> None:
    profile = load("causal-forcing-1.3b-long")
    made = memory_plan.memory_plan(profile)
    card = profile_card.table(profile, made)
    assert (card["memory_bytes"], card["steps"], card["precision"]) == (made.total("gpu"), 4, "bf16")
    assert (card["experimental"], card["qualities"]) == (True, ("quality", "fast"))
