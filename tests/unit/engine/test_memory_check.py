"""Whether a machine has the memory that a profile takes."""

from pathlib import Path

import pytest

from tools.model_code import load

code = load("profile", "memory_check")


def a_driver(folder: Path, says: str, code: int = 0) -> None:
    """A program with the name of the driver's tool that prints a text."""
    file = folder / "nvidia-smi"
    file.write_text(f"#!/bin/sh\nprintf '{says}'\nexit {code}\n")
    file.chmod(0o755)


def test_enough_memory_and_an_unknown_amount_pass() -> None:
    code.check({"gpu": 10, "cpu": 0}, "nano", {"gpu": 10, "cpu": 5})
    code.check({"gpu": 10}, "nano", {"gpu": None, "cpu": 5})
    code.check({}, "nano", {"gpu": 1, "cpu": 1})


def test_too_little_memory_names_the_profile_both_amounts_and_a_solution() -> None:
    with pytest.raises(
        code.NotEnoughMemory, match=r"NOT_ENOUGH_MEMORY.*'big' takes 24\.0 GB of GPU.* 16\.0\. .*slots=1"
    ):
        code.check({"gpu": 24 * 10**9}, "big", {"gpu": 16 * 10**9})


def test_the_memory_of_the_first_gpu_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    a_driver(tmp_path, "16384\\n81920\\n")
    assert code.gpu() == 16384 << 20


@pytest.mark.parametrize(("says", "exit_code"), [("no devices were found", 6), ("", 0), ("[N/A]\\n", 0)])
def test_a_driver_without_an_answer_is_no_reason_to_refuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, exit_code: int
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    a_driver(tmp_path, says, exit_code)
    assert code.gpu() is None


def test_the_host_reports_its_memory() -> None:
    assert 1 << 28 < code.host() < 1 << 50
