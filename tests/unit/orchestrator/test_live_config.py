"""New versions of the model cards and plans hold while the process runs; what cannot be used changes nothing."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from services.orchestrator.catalog_files import CatalogFiles, PlansFile
from services.orchestrator.live_config import LiveConfig, LiveFiles
from services.orchestrator.metrics import PrometheusMeter
from services.settings import BadSetting
from tests.support.served_orchestrator import GOLDEN

CARDS = (GOLDEN / "models.toml").read_text()
PLANS = (GOLDEN / "plans.toml").read_text()


class Files:
    """The files of one process, in a folder, and the metrics of their reloads."""

    def __init__(self, folder: Path) -> None:
        self.plans, self.cards = folder / "plans.toml", folder / "models.toml"
        self.plans.write_text(PLANS)
        self.cards.write_text(CARDS)
        self.registry = CollectorRegistry()
        meter = PrometheusMeter(self.registry)
        self.live_plans = LiveFiles("plans", PlansFile(self.plans), meter)
        self.config = LiveConfig(
            CatalogFiles(self.cards, folder / "remote", (), None),
            PlansFile(self.plans),
            PrometheusMeter(CollectorRegistry()),
        )

    def look(self, *, at_once: bool = False) -> bool:
        return self.live_plans.refresh(at_once=at_once)

    def metric(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, {"config": "plans", **labels})

    @property
    def versions(self) -> list[str]:
        [family] = [each for each in self.registry.collect() if each.name == "i2v_config_version"]
        return [sample.labels["version"] for sample in family.samples]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_a_new_version_is_used_after_the_second_check_that_finds_it(files: Files) -> None:
    before = files.versions
    files.plans.write_text(PLANS + "[plans.new]\n")
    assert (files.look(), "new" in files.live_plans.value) == (False, False)
    assert (files.look(), "new" in files.live_plans.value) == (True, True)
    assert not files.look(), "it is taken once"
    assert len(files.versions) == 1 and files.versions != before


def test_a_file_that_is_being_written_is_not_read(files: Files) -> None:
    whole = PLANS + "[plans.one]\n[plans.two]\n"
    for end in (len(whole) // 3, len(whole) // 2, len(whole) - len("[plans.two]\n")):
        files.plans.write_text(whole[:end])
        assert not files.look()
    files.plans.write_text(whole)
    assert not files.look() and "one" not in files.live_plans.value
    assert files.look() and {"one", "two"} <= set(files.live_plans.value)
    assert files.metric("i2v_config_reload_failures_total") == 0


def test_on_request_a_new_version_is_used_immediately(files: Files) -> None:
    files.plans.write_text(PLANS + "[plans.new]\n")
    assert files.look(at_once=True) and "new" in files.live_plans.value


def test_a_version_that_cannot_be_used_is_reported_once_and_the_old_one_stays(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    before, version = files.live_plans.value, files.versions
    files.plans.write_text(PLANS.replace("10_000", "-1", 1))
    with caplog.at_level(logging.ERROR):
        for _ in range(4):
            assert not files.look()
    assert files.live_plans.value is before and files.versions == version
    [record] = caplog.records
    assert (
        f"{files.plans} cannot be used: line 7: limit 3 of the plan 'test' has most = '-1'" in record.__dict__["cause"]
    )
    assert files.metric("i2v_config_usable") == 0
    assert files.metric("i2v_config_reload_failures_total") == 1
    files.plans.write_text(PLANS)
    assert not any(files.look() for _ in range(2))
    assert files.metric("i2v_config_usable") == 1, "the version that holds is back"
    files.plans.write_text(PLANS + "[plans.new]\n")
    assert [files.look(), files.look()] == [False, True]


def test_a_missing_file_is_reported_and_may_return(files: Files) -> None:
    files.plans.unlink()
    assert not any(files.look() for _ in range(3))
    assert files.metric("i2v_config_reload_failures_total") == 1 and "test" in files.live_plans.value
    files.plans.write_text(PLANS + "[plans.new]\n")
    assert [files.look(), files.look()] == [False, True]
    assert files.metric("i2v_config_usable") == 1


def test_an_exchanged_link_is_detected_as_kubernetes_makes_it(tmp_path: Path) -> None:
    for name, text in (("..1", PLANS), ("..2", PLANS + "[plans.new]\n")):
        (tmp_path / name).mkdir()
        file = tmp_path / name / "plans.toml"
        file.write_text(text)
        os.utime(file, (1, 1))
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "plans.toml").symlink_to("..data/plans.toml")
    live = LiveFiles("plans", PlansFile(tmp_path / "plans.toml"), PrometheusMeter(CollectorRegistry()))
    (tmp_path / "..new").symlink_to("..2")
    (tmp_path / "..new").rename(tmp_path / "..data")
    assert [live.refresh(at_once=False), live.refresh(at_once=False)] == [False, True]
    assert "new" in live.value


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"[plans.a]\nweight = 0\n", "line 2: the plan 'a' has weight = '0'"),
        (b"[plans.a]\nweight =\n", "line 2: this is not valid TOML"),
        (b"[plans.a]\n# \xff\n", "line 2: this is not UTF-8"),
        (b"#" * (256 * 1024) + b"\n[plans.a]\n", "it has more than 262144 bytes"),
    ],
)
def test_a_process_does_not_start_with_files_that_cannot_be_used(tmp_path: Path, content: bytes, what: str) -> None:
    file = tmp_path / "plans.toml"
    file.write_bytes(content)
    with pytest.raises(BadSetting, match=f"^{file} cannot be used: {what}"):
        LiveFiles("plans", PlansFile(file), PrometheusMeter(CollectorRegistry()))
    file.unlink()
    with pytest.raises(BadSetting, match=f"^{file} cannot be read: No such file or directory"):
        LiveFiles("plans", PlansFile(file), PrometheusMeter(CollectorRegistry()))


def test_the_problems_of_model_cards_have_their_lines(tmp_path: Path) -> None:
    models, remote = tmp_path / "models.toml", tmp_path / "remote"
    remote.mkdir()
    models.write_text(CARDS.replace("fps = 8", "fps = 0").replace("[1, 2]", "[1, 1]"))
    files = CatalogFiles(models, remote, ("vendor",), None)
    with pytest.raises(BadSetting) as refused:
        files.load()
    lines = CARDS.splitlines()
    durations, fps = lines.index("durations_s = [1, 2]") + 1, lines.index("fps = 8") + 1
    assert f"{models} cannot be used: line {durations}: the card 'test-model' has durations_s" in str(refused.value)
    assert f"; line {fps}: the card 'test-model' has fps = '0'; it is a whole number from 1 to 120" in str(
        refused.value
    )
    models.write_text(CARDS)
    card = (GOLDEN / "remote.toml").read_text() + 'successor = "newer"\n'
    (remote / "vendor.toml").write_text(card)
    last = len(card.splitlines())
    with pytest.raises(
        BadSetting, match=f"vendor.toml cannot be used: line {last}: the card .* 'newer', which is no card"
    ):
        files.load()


@asynccontextmanager
async def watched(config: LiveConfig, every_s: float) -> AsyncIterator[asyncio.Queue[None]]:
    reports: asyncio.Queue[None] = asyncio.Queue()

    async def report() -> None:
        reports.put_nowait(None)

    task = asyncio.create_task(config.watch(every_s, report))
    try:
        yield reports
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_cards_and_plans_change_together_or_alone_and_each_change_is_reported(files: Files) -> None:
    config = files.config
    async with watched(config, 0.01) as reports:
        await reports.get()
        files.plans.write_text(PLANS + "[plans.new]\n")
        await reports.get()
        assert "new" in config.plans and len(config.plans) == len(list(config.plans)) == 3
        kept = config.catalog()
        files.cards.write_text(CARDS.replace("test-model", "renamed"))
        files.plans.write_text("[plans]\n")
        await reports.get()
        assert set(config.catalog().cards) == {"renamed"}
        assert set(kept.cards) == {"test-model"}, "who has a catalog keeps it as it was"
        assert "new" in config.plans, "a bad file of plans does not hold up the cards"


async def test_a_process_checks_its_files_immediately_on_request(files: Files) -> None:
    async with watched(files.config, 3600) as reports:
        await reports.get()
        files.plans.write_text(PLANS + '[plans.new]\nmodels = ["sora"]\n')
        files.config.reload()
        await reports.get()
        assert "new" in files.config.plans


async def test_names_without_a_card_cause_a_warning(files: Files, caplog: pytest.LogCaptureFixture) -> None:
    files.plans.write_text(PLANS + '[plans.new]\nmodels = ["sora"]\n')
    async with watched(files.config, 3600) as reports:
        await reports.get()
        files.config.reload()
        await reports.get()
    problems = [record.__dict__["cause"] for record in caplog.records if record.levelno == logging.WARNING]
    assert problems == ["the plan 'new' allows the model 'sora', which no card has"]


async def test_an_error_in_a_report_does_not_end_the_checks(files: Files) -> None:
    calls: asyncio.Queue[None] = asyncio.Queue()

    async def report() -> None:
        calls.put_nowait(None)
        raise RuntimeError("the database is away")

    task = asyncio.create_task(files.config.watch(0.01, report))
    await calls.get()
    files.plans.write_text(PLANS + "[plans.new]\n")
    await calls.get()
    assert "new" in files.config.plans
    task.cancel()
    await asyncio.wait({task})
