"""The vendors of `make run SIMULATE=1`: simulators and providers as programs, started as the stack starts them."""

import asyncio
import hashlib
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from i2v.provider.v1 import provider_pb2 as pb
from i2v.provider.v1 import provider_pb2_grpc

from services.providers.vendors import VENDORS, fal, wavespeed
from tests.support.provider_and_simulator import (
    IMAGE,
    KANDINSKY,
    KLING,
    TALK,
    Given,
    VendorStream,
    a_task,
    length_s,
    messages,
    sound,
)
from tests.support.stack_runs import Kept
from tools import stack_vendors
from tools.stack_vendors import VendorProcesses

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SOUND = (pb.Input.AUDIO, "audio/wav", sound(2))
TASKS: dict[str, tuple[dict[str, Any], Sequence[Given]]] = {
    "wan-2.5": ({}, [IMAGE, SOUND]),
    "kandinsky-5-pro": (KANDINSKY, [IMAGE]),
    "kling-2.5-turbo-std": (KLING, [IMAGE]),
    "infinitetalk": (TALK, [IMAGE, SOUND]),
}
"""The fields and the inputs that `a_task` needs for each model."""


MODELS: dict[str, Mapping[str, Any]] = {"fal": fal.MODELS, "wavespeed": wavespeed.MODELS}


async def generate(started: VendorProcesses, data: Path, vendor: str, model: str) -> VendorStream:
    fields, inputs = TASKS[model]
    metadata = (("authorization", f"Bearer {(data / 'provider-key').read_text().strip()}"),)
    async with grpc.aio.insecure_channel(started.providers[vendor]) as channel:
        task = a_task(f"{vendor}-{model}", **{"model": model, **fields})
        stub: Any = provider_pb2_grpc.ProviderServiceStub(channel)
        call = stub.Generate(messages(task, inputs), metadata=metadata, timeout=120)
        return VendorStream([event async for event in call])


async def test_every_model_of_every_vendor_makes_a_video_also_after_a_restart_with_new_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{Path.cwd()}:{Path.cwd() / 'gen'}:{Path.cwd() / 'clients/python/src'}")
    asked = [(vendor, model) for vendor in VENDORS for model in MODELS[vendor]]
    refs: list[str] = []
    for _ in range(2):
        with ExitStack() as stack:
            started = await asyncio.to_thread(stack_vendors.start, stack, tmp_path, simulate=True)
            result = await asyncio.gather(*(generate(started, tmp_path, *each) for each in asked))
        for each in result:
            assert each.done.sha256 == hashlib.sha256(each.video).hexdigest()
            assert length_s(each.video) > 1
        refs += [each.ref for each in result]
    assert len(set(refs)) == 2 * len(asked)


@pytest.mark.parametrize("which", ["services.providers wavespeed", "services.providers.prompt", "tools.simulators.fal"])
def test_the_stack_and_the_programs_of_simulated_vendors_end_together(kept: Kept, which: str) -> None:
    running = kept.start("--simulate")
    output = running.read_until("Ctrl-C stops everything")
    assert "wavespeed, fal: SIMULATED" in output and "Remote models are SIMULATED" in output, output
    [killed] = [
        pid for pid, command in running.left().items() if which in command and "process_supervisor.py" not in command
    ]
    os.kill(killed, signal.SIGKILL)
    running.read_until("has died; everything is stopped")
    assert running.process.wait(30) == 1
    assert running.wait_until_gone() == {}
