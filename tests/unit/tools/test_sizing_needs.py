"""tools.sizing: what follows from the costs, and what the command prints."""

from dataclasses import replace
from pathlib import Path

import pytest

from tools.sizing import costs
from tools.sizing.__main__ import main, scale
from tools.sizing.fleet import Target
from tools.sizing.needs import LEAST_REPLICAS, WORKER_JOBS, Demand, needs
from tools.sizing.postgres_limit import bottleneck, shares

COSTS = costs.load()
TARGET = Target(0.95, 10.0)
PAGE = Path(__file__).resolve().parents[3] / "docs/sizing.md"


def test_what_was_not_measured_is_marked() -> None:
    assert {kind.name for kind in COSTS.kinds.values() if kind.measured} == {"nano", "remote"}


def test_twice_the_jobs_need_twice_the_database_and_bytes() -> None:
    one, two = (needs([Demand(COSTS.kinds["nano"], per_s)], COSTS, TARGET) for per_s in (0.5, 1.0))
    for field in ("postgres_cores", "wal_per_s", "table_bytes_a_day", "stored_bytes_a_day", "commits_per_s"):
        assert getattr(two, field) == pytest.approx(2 * getattr(one, field)), field


def test_a_load_without_jobs_needs_the_least_replicas_and_nothing_else() -> None:
    nothing = needs([Demand(COSTS.kinds["remote"], 0.0)], COSTS, TARGET)
    assert (nothing.apis, nothing.workers, nothing.gpus) == (LEAST_REPLICAS, LEAST_REPLICAS, 0)
    assert nothing.postgres_cores == nothing.stored_bytes_a_day == 0


def test_a_vendors_jobs_need_workers_for_all_that_run_and_no_server() -> None:
    remote = replace(COSTS.kinds["remote"], run_s=1000.0, worker_s=0.0)
    found = needs([Demand(remote, 1.0)], COSTS, TARGET)
    assert found.slots == {} and found.gpus == 0
    assert found.workers == 1000 / WORKER_JOBS


def test_processors_follow_the_busiest_time_and_volumes_the_mean() -> None:
    flat, peaked = (needs([Demand(COSTS.kinds["remote"], 1.0, peak)], COSTS, TARGET) for peak in (1.0, 2.0))
    assert peaked.api_cores == pytest.approx(2 * flat.api_cores)
    assert peaked.stored_bytes_a_day == pytest.approx(flat.stored_bytes_a_day)


def test_the_bottleneck_is_the_resource_that_is_used_most() -> None:
    few = needs([Demand(COSTS.kinds["remote"], 0.1)], COSTS, TARGET)
    assert bottleneck(few).used == max(shares(few).values()) < 1
    flushes = replace(few, commits_per_s=1e6)
    assert bottleneck(flushes).name == "commits that notify, one flush each" and bottleneck(flushes).used > 1


def test_the_command_prints_what_each_kind_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--jobs-per-minute", "10", "--kind", "nano", "--kind", "remote=30"]) == 0
    printed = capsys.readouterr().out
    assert "a minute: 10 nano, 30 remote" in printed
    assert "slots of `nano`" in printed and "slots of `remote`" not in printed
    assert "Not measured" not in printed


def test_the_command_says_what_is_estimated(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--kind", "causal"]) == 0
    assert capsys.readouterr().out.startswith("Not measured but estimated: causal.")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--kind", "unknown"], "there is no kind 'unknown'; there are nano, remote, causal"),
        (["--kind", "nano=many"], "'many' is no number of jobs a minute"),
        (["--percentile", "100"], "a percentile is above 0 and below 100"),
        (["--jobs-per-minute", "-1"], "waits and rates are not negative"),
    ],
)
def test_a_wrong_call_is_refused(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(arguments)
    assert refused.value.code == 2
    assert says in capsys.readouterr().err


def test_the_page_shows_the_tables_that_the_command_prints() -> None:
    assert "\n".join(scale(COSTS, TARGET)) in PAGE.read_text()
