"""What never leaves a provider: keys, and addresses with signatures."""

from pathlib import Path

import pytest
from prometheus_client import generate_latest

from tests.support.log_capture import captured
from tests.support.provider_and_simulator import Provided, provided


@pytest.mark.parametrize("how", ["", "bad-key", "garbage", "lost", "refused"])
async def test_the_key_is_only_in_requests(rig: Provided, how: str) -> None:
    rig.play(submit=how, status=400, words=f"the key {rig.simulator.key} is bad, see https://vendor.example/task-1")
    with captured() as lines:
        result = await rig.generate()
    text = str(result.events) + generate_latest(rig.registry).decode()
    assert rig.simulator.key not in "".join((text, *lines.json, *lines.text))
    assert "vendor.example" not in str(result.events)
    assert result.events[-1].WhichOneof("event") == "done" or result.failed.message


async def test_the_key_is_not_sent_to_hosts_of_outputs_and_uploads(tmp_path: Path, vendor: str) -> None:
    async with provided(vendor, tmp_path, change=lambda values, _: values.update(inline_bytes=10)) as rig:
        assert (await rig.generate()).done  # The simulator looks at the headers there.
        assert rig.simulator.counts["upload"] == 1
        assert rig.simulator.paid == 1
