"""The runtime over PyTorch against the library, the reference and the other runtime, on pictures of a few latents."""

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.reference.small import wan
from tests.reference.test_reference import VIDEOS, Video, farthest, loaded, random
from tests.support.torch_runtime import (
    PER_FRAME,
    SIZE,
    Exports,
    a_runtime,
    a_slot,
    addresses,
    begin,
    code,
    latents,
    prompt,
    rollout,
    settings,
    tokens,
)
from tools.export import causal_transformer, wan_transformer
from tools.export import profile_file as profiles
from tools.export.module_weights import LoadedWeights
from tools.export.profile import Precision
from tools.export.weights import Weights
from tools.model_code import REPOSITORY, load

embedding = load("transformer", "position_and_time")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Exports:
    return Exports(tmp_path_factory.mktemp("small"))


class Library:
    """The library's own modules, eager, over caches that are concatenated again for each forward pass."""

    def __init__(self, folder: Path, precision: Precision) -> None:
        self.model = wan_transformer.transformer(*loaded(folder, True, precision))
        self.context = wan_transformer.Context(self.model)(torch.from_numpy(prompt()), torch.from_numpy(tokens()))
        self.block = causal_transformer.Block(self.model)
        dim = wan().sizes.width
        self.empty = [
            torch.zeros(0, dim, dtype=causal_transformer.DTYPES[precision]) for _ in range(2 * wan().sizes.layers)
        ]
        self.caches = self.empty

    def forward(self, x: np.ndarray, timestep: float, start: int, past: int, *, keep: bool) -> np.ndarray:
        frames, sizes = x.shape[2], wan().sizes
        cos, sin = embedding.rotary(sizes.head_width, start, frames, SIZE[0] // 2, SIZE[1] // 2)
        new = frames * PER_FRAME
        caches = [torch.cat((each[: past * PER_FRAME], each.new_zeros(new, each.shape[1]))) for each in self.caches]
        flow, *after = self.block(
            torch.from_numpy(x),
            torch.from_numpy(embedding.waves(sizes.time_width, timestep)),
            torch.from_numpy(cos),
            torch.from_numpy(sin),
            torch.arange(past * PER_FRAME, past * PER_FRAME + new),
            list(self.context),
            caches,
        )
        if keep:
            self.caches = after
        made: np.ndarray = flow.numpy()
        return made


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("bf16", 0.06), ("fp16", 0.006)])
def test_every_forward_equals_the_librarys(
    export: Exports, tmp_path: Path, precision: Precision, tolerance: float
) -> None:
    slot = a_runtime(export(precision=precision)).slot()
    begin(slot)
    forwards = [(1, 0.0, 0, 0, True), (2, 1000.0, 1, 1, False), (2, 625.0, 1, 1, False), (2, 0.0, 1, 1, True)]
    forwards += [(2, 937.5, 1022, 3, False), (4, 10.5, 3, 3, True)]
    with torch.inference_mode():
        library = Library(tmp_path, precision)
        for frames, timestep, start, past, keep in forwards:
            x = latents(start, frames)
            wanted = library.forward(x, timestep, start, past, keep=keep)
            assert wanted.std() > 0.1
            assert farthest(slot.forward(x, timestep, start, past, keep=keep), wanted) < tolerance


@pytest.mark.parametrize("video", VIDEOS.values(), ids=VIDEOS)
def test_a_video_equals_the_references(export: Exports, video: Video) -> None:
    folder = export(picture=video.picture)
    runtime = code.TorchRuntime(folder, settings(folder, video.way, video.frames), "cpu")
    assert farthest(rollout(runtime, video.request()), video.by_the_reference()) < 2e-5


@pytest.mark.parametrize("given", [True, False], ids=["picture", "text"])
def test_a_video_equals_that_of_the_other_runtime(tmp_path: Path, given: bool) -> None:
    nano, folder = profiles.load("nano"), REPOSITORY / "transformer" / "1"
    changed = replace(nano, engine=replace(nano.engine, runtime="torch"))
    for artefact in causal_transformer.graphs(changed, LoadedWeights(Weights.find(nano.shipped))):
        artefact.write(tmp_path)
    stated = load("transformer", "transformer_settings").Settings.read(folder)
    request = load("transformer", "generation_request").Request(
        prompt_embeddings=random(*stated.prompt_shape, key=1).numpy(),
        image_tokens=random(*stated.image_shape, key=2).numpy() if given else None,
        image_latent=random(1, stated.channels, 1, 4, 6, key=3).numpy() if given else None,
        latent_size=(4, 6),
        latent_frames=7,
        seed=5,
    )
    onnx = load("transformer", "network_runtime_onnx").OnnxRuntime(folder, stated, threads=1, device="cpu")
    torch_runtime = code.TorchRuntime(tmp_path / "transformer" / "1", replace(stated, runtime="torch"), "cpu")
    assert farthest(rollout(torch_runtime, request), rollout(onnx, request)) < 1e-4


def test_a_forward_that_is_not_kept_does_not_change_the_cache(export: Exports) -> None:
    slot = a_slot(export())
    first = slot.forward(latents(7), 500.0, 3, 3, keep=False)
    slot.forward(latents(8, 4), 1000.0, 3, 3, keep=False)
    assert slot.forward(latents(7), 500.0, 3, 3, keep=False).tobytes() == first.tobytes()


# Which of the frames 0, 1, 2 are removed, (first, count) each; and how many of the rest are attended to.
SAME: dict[str, list[tuple[list[tuple[int, int]], int]]] = {
    "the last": [([(2, 1)], 2), ([], 2)],
    "all but the middle": [([(0, 1)], 1), ([(0, 1), (1, 1)], 1), ([(2, 1), (0, 1)], 1)],
    "all but the last": [([(0, 2)], 1), ([(1, 1), (0, 1)], 1), ([(0, 1), (0, 1)], 1)],
    "all": [([(0, 3)], 0), ([], 0), ([(0, 2), (0, 1)], 0)],
}


@pytest.mark.parametrize("ways", SAME.values(), ids=SAME)
def test_removed_frames_are_not_attended_to(export: Exports, ways: list[tuple[list[tuple[int, int]], int]]) -> None:
    made = []
    for forgotten, past in ways:
        slot = a_slot(export())
        for each in forgotten:
            slot.forget(*each)
        made.append([slot.forward(latents(7), 500.0, 3, past, keep=True)])
        made[-1].append(slot.forward(latents(8, 2), 500.0, 4, past + 1, keep=False))
    whole = a_slot(export()).forward(latents(7), 500.0, 3, 3, keep=False)
    for flow, after in made:
        assert farthest(flow, made[0][0]) < 1e-5
        assert farthest(after, made[0][1]) < 1e-5
        assert farthest(flow, whole) > 1e-3


def test_the_remaining_frames_keep_their_order_in_time(export: Exports) -> None:
    once, twice = a_slot(export()), a_slot(export())
    once.forget(0, 1)  # frame 2 moves into the first place
    once.forward(latents(7), 500.0, 3, 2, keep=False)
    once.forget(0, 1)  # so this removes frame 1
    twice.forget(0, 2)
    one, other = (slot.forward(latents(7), 500.0, 3, 1, keep=False) for slot in (once, twice))
    assert farthest(one, other) < 1e-6


def test_buffers_are_reused_until_the_size_changes(export: Exports) -> None:
    slot = a_slot(export())
    places, held = addresses(slot), slot.bytes
    first = slot.forward(latents(7), 500.0, 3, 3, keep=True)
    for _ in range(2):
        slot.forget(1, 2)
        slot.forward(latents(8), 500.0, 4, 2, keep=True)
        slot.end()
        begin(slot)
        for frame in range(3):
            slot.forward(latents(frame), 0.0, frame, frame, keep=True)
        assert slot.forward(latents(7), 500.0, 3, 3, keep=True).tobytes() == first.tobytes()
    assert addresses(slot) == places
    begin(slot, size=(8, 6))
    assert slot.bytes > held
    again = slot.forward(latents(9, 2, (8, 6)), 300.0, 0, 0, keep=True)
    begin(fresh := a_runtime(export()).slot(), size=(8, 6))
    assert fresh.forward(latents(9, 2, (8, 6)), 300.0, 0, 0, keep=True).tobytes() == again.tobytes()
    begin(slot)
    assert slot.bytes == held


def test_slots_do_not_affect_each_other(export: Exports) -> None:
    runtime = a_runtime(export())

    def video(key: int, made: list[np.ndarray]) -> None:
        torch.set_num_threads(1)  # holds for a thread
        begin(slot := runtime.slot(), key=key)
        for frame in range(6):
            for timestep in (1000.0, 500.0, 0.0):
                made.append(slot.forward(latents(key + frame), timestep, frame, frame, keep=timestep == 0))

    alone: list[list[np.ndarray]] = [[], []]
    together: list[list[np.ndarray]] = [[], []]
    for key in range(2):
        video(key, alone[key])
    threads = [threading.Thread(target=video, args=(key, together[key])) for key in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(together[0]) == len(alone[0]) == 18
    assert all(np.array_equal(*each) for key in range(2) for each in zip(alone[key], together[key], strict=True))


def test_a_picture_has_an_effect_until_the_end_of_its_video(export: Exports) -> None:
    slot = a_slot(export())
    seen = slot.forward(latents(7), 500.0, 0, 0, keep=False)
    begin(slot, picture=False)
    unseen = slot.forward(latents(7), 500.0, 0, 0, keep=False)
    fresh = a_slot(export(), picture=False)
    assert fresh.forward(latents(7), 500.0, 0, 0, keep=False).tobytes() == unseen.tobytes()
    assert farthest(seen, unseen) > 1e-2


@pytest.mark.parametrize(
    ("frames", "start", "past"), [(1, 3, 4), (5, 3, 3), (1, 1024, 3), (2, 1023, 3)], ids=lambda value: str(value)
)
def test_frames_without_room_in_the_cache_are_refused(export: Exports, frames: int, start: int, past: int) -> None:
    slot = a_slot(export())
    with pytest.raises(ValueError, match="latent frames"):
        slot.forward(latents(7, frames), 500.0, start, past, keep=False)
