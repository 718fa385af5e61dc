"""Every alert fires while its cause is there and resolves afterwards, as promtool evaluates the rules."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.promtool import PROMTOOL, needs_prometheus
from tools import service_level_rules

ROOT = Path(__file__).resolve().parents[3]
RULES = sorted((ROOT / "deploy/monitoring/rules").glob("*.yaml"))
ALERTS = [rule for file in RULES for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]
ALERTS = [rule for rule in ALERTS if "alert" in rule]
SUBMIT = 'grpc_method="SubmitJob", grpc_service="i2v.v1.JobService", grpc_type="unary"'


@dataclass(frozen=True, slots=True)
class Case:
    """The series of a fault, one sample a minute: it fires at `fires`, and no longer at `quiet` (minutes)."""

    alert: str
    series: dict[str, str]
    """Prometheus' notation: `0+1x5` are 0, 1, … 5, `0x5` is six times 0; `_` is no sample."""
    fires: int
    quiet: int


def gauge(name: str, bad: str, good: str, minutes: int) -> dict[str, str]:
    return {name: f"{bad}x{minutes} {good}x60"}


def counter(name: str, minutes: int) -> dict[str, str]:
    """Grows by 2 a second, then rests for longer than any window of its alerts."""
    return {name: f"0+120x{minutes} {120 * minutes}x300"}


def shares(bad: str, good: str, minutes: int) -> dict[str, str]:
    """Bad and good events grow equally; then good ones alone."""
    rest = f"{60 * minutes}+600x400"
    return {bad: f"0+60x{minutes} {60 * minutes}x400", good: f"0+60x{minutes} {rest}"}


def certificate(bad: str, good: str) -> dict[str, str]:
    """Ends at `bad`, in seconds after the start, and is then replaced by one that ends at `good`."""
    return gauge('i2v_certificate_expiry_timestamp_seconds{job="i2v-api", certificate="server"}', bad, good, 20)


CASES = (
    Case("ProcessDown", gauge('up{job="i2v-api", instance="a:1"}', "0", "1", 10), 5, 15),
    Case("WorkersGone", gauge('i2v_workers{state="alive"}', "0", "2", 10), 5, 15),
    Case("WorkerSilent", gauge('i2v_workers{state="silent"}', "1", "0", 10), 5, 15),
    Case("BackgroundTaskFails", counter('i2v_background_failures_total{job="i2v-api", task="health"}', 10), 5, 60),
    Case("DiskFills", gauge('i2v_disk_free_bytes{place="spool", instance="a:1"}', "1e9", "9e9", 10), 8, 15),
    Case("MigrationPending", gauge('i2v_schema_state{job="i2v-worker", state="behind"}', "1", "0", 10), 5, 15),
    Case("OldProgramsRun", gauge('i2v_schema_state{job="i2v-api", state="ahead"}', "1", "0", 400), 390, 410),
    Case("ClocksDiffer", gauge('i2v_clock_offset_seconds{instance="a:1"}', "-180", "0.01", 20), 15, 25),
    Case("ConfigurationRefused", gauge('i2v_config_usable{config="plans"}', "0", "1", 10), 5, 15),
    Case(
        "IssuerUnreachable",
        {
            'i2v_issuer_reads_total{result="failed"}': "0+1x40 40x60",
            'i2v_issuer_reads_total{result="read"}': "5x40 5+1x60",
        },
        39,
        60,
    ),
    Case("CertificateExpires", certificate("1e6", "9e6"), 10, 30),
    Case("CertificateExpiresSoon", certificate("1e5", "1e6"), 10, 30),
    Case(
        "CallsFail",
        shares(
            'grpc_server_handled_total{grpc_method="GetJob", grpc_code="Internal"}',
            'grpc_server_handled_total{grpc_method="GetJob", grpc_code="OK"}',
            30,
        ),
        25,
        60,
    ),
    Case("CallersAtTheirLimits", counter('i2v_calls_rejected_total{reason="INTAKE_FULL"}', 30), 25, 60),
    Case(
        "DownloadsFail",
        shares(
            'i2v_studio_requests_total{method="GET", status="500"}',
            'i2v_studio_requests_total{method="GET", status="200"}',
            30,
        ),
        25,
        60,
    ),
    Case("FragmentsUnplayable", {"i2v_studio_live_unplayable_total": "0x10 5x200"}, 15, 60),
    Case(
        "SocketEventsFail",
        shares(
            'i2v_studio_socket_events_total{event="resume", outcome="failed"}',
            'i2v_studio_socket_events_total{event="resume", outcome="done"}',
            30,
        ),
        25,
        60,
    ),
    Case("SocketEventsFail", counter("i2v_studio_socket_unreadable_total", 30), 25, 60),
    Case("BacklogOld", gauge('i2v_queue_oldest_timestamp_seconds{backend="nano"}', "1", "0", 30), 25, 40),
    Case("BacklogGrows", {'i2v_jobs_queued{backend="nano"}': "100+10x60 0x60"}, 50, 70),
    Case("BackendDown", gauge('i2v_backend_ready{backend="nano"}', "0", "1", 10), 5, 15),
    Case(
        "TritonOut",
        gauge('i2v_triton_ready{backend="nano", server="10.0.0.1:8001"}', "0", "1", 20)
        | {'i2v_backend_ready{backend="nano"}': "1x60"},
        10,
        25,
    ),
    Case("BackendStaysDrained", gauge('i2v_backend_drained{backend="nano"}', "1", "0", 300), 290, 310),
    Case("CheckpointsFail", counter('i2v_checkpoint_failures_total{model="nano"}', 40), 35, 80),
    Case(
        "RenditionsFail",
        shares(
            'i2v_renditions_total{variant="poster", result="failed"}',
            'i2v_renditions_total{variant="poster", result="made"}',
            90,
        ),
        80,
        200,
    ),
    Case("RetentionStopped", {'i2v_retention_round_timestamp_seconds{kind="jobs"}': "0x300 18000+60x60"}, 290, 320),
    Case("RetentionBehind", gauge('i2v_retention_due{kind="jobs"}', "20000", "0", 400), 380, 410),
    Case("CollectorLate", gauge('i2v_retention_oldest_timestamp_seconds{kind="bytes"}', "1", "0", 2170), 2165, 2190),
    Case("StoreDamaged", {'i2v_scrub_faults_total{fault="missing"}': "0+1x3 3x1600"}, 2, 1500),
    Case("WebhooksLate", gauge("i2v_webhooks_due_seconds", "300", "0", 10), 5, 15),
    Case(
        "WebhooksUndelivered",
        {
            'i2v_webhook_tries_total{result="failed", reason="RECEIVER_UNREACHABLE"}': "0+10x60 600x60",
            'i2v_webhook_tries_total{result="delivered", reason=""}': "9x60 9+10x60",
            'i2v_webhook_endpoints{state="failing"}': "5x120",
        },
        55,
        80,
    ),
    Case("WebhookEndpointPaused", {'i2v_webhook_endpoints_paused_total{reason="gone"}': "0x1 1x200"}, 10, 100),
    Case("LedgerImbalance", gauge("i2v_ledger_imbalance_accounts", "1", "0", 10), 2, 15),
    Case("LedgerNotAudited", {"i2v_ledger_audit_timestamp_seconds": "0x30 1800+60x60"}, 20, 40),
    Case("PaidCallsUnknown", gauge("i2v_jobs_reconciling", "1", "0", 60), 50, 70),
    Case(
        "OutcomesUnknown",
        counter('i2v_vendor_tasks_total{vendor="fal", model="m", reason="ANSWER_LOST", charge="unknown"}', 10),
        8,
        60,
    ),
    Case(
        "LimitNearItsEnd",
        counter('i2v_limit_warnings_total{measure="cost", subject="tenant", percent="90"}', 3),
        2,
        100,
    ),
    Case("VendorBroken", gauge('i2v_vendor_breaker_open{vendor="fal"}', "1", "0", 10), 5, 20),
    Case(
        "VendorOutOfCredit",
        counter('i2v_vendor_tasks_total{vendor="fal", model="m", reason="NO_CREDIT", charge="none"}', 10),
        5,
        40,
    ),
    Case(
        "VendorKeyRefused",
        counter('i2v_vendor_tasks_total{vendor="fal", model="m", reason="BAD_KEY", charge="none"}', 10),
        5,
        40,
    ),
    Case("VendorMixesAnswers", counter('i2v_vendor_mixed_answers_total{vendor="fal", kind="look"}', 10), 5, 60),
    Case(
        "AnswersLost",
        shares(
            'i2v_vendor_requests_total{vendor="fal", kind="look", outcome="lost"}',
            'i2v_vendor_requests_total{vendor="fal", kind="look", outcome="2xx"}',
            30,
        ),
        25,
        60,
    ),
    Case(
        "TritonQueueLong",
        {
            'nv_inference_queue_duration_us{model="transformer"}': "0+100e6x20 2000e6x60",
            'nv_inference_exec_count{model="transformer"}': "0+1x90",
        },
        15,
        40,
    ),
    Case(
        "ModelDead",
        gauge('i2v_engine_model_ready{backend="triton", server="a:1", part="vae_decoder"}', "0", "1", 10),
        3,
        15,
    ),
    Case(
        "SharedMemoryFull",
        {
            'i2v_shared_memory_free_bytes{instance="t:1"}': "5e7x20 5e8x60",
            'i2v_shared_memory_bytes{instance="t:1"}': "1e9x80",
        },
        10,
        30,
    ),
    Case("DecoderFull", gauge('i2v_vae_decoder_sequences{model="vae_decoder", instance="t:1"}', "8", "3", 20), 10, 30),
    Case(
        "SubmitsFail",
        shares(
            f'grpc_server_handled_total{{{SUBMIT}, grpc_code="Unavailable"}}',
            f'grpc_server_handled_total{{{SUBMIT}, grpc_code="OK"}}',
            20,
        ),
        15,
        400,
    ),
    Case(
        "SubmitsSlow",
        {
            f'grpc_server_handling_seconds_bucket{{{SUBMIT}, le="0.25"}}': "0x20 0+600x400",
            f"grpc_server_handling_seconds_count{{{SUBMIT}}}": "0+60x20 1200+600x400",
        },
        15,
        300,
    ),
    Case(
        "FirstFragmentsLate",
        {
            'i2v_job_first_fragment_seconds_bucket{model="nano", le="60.0"}': "0x20 0+600x400",
            'i2v_job_first_fragment_seconds_count{model="nano"}': "0+60x20 1200+600x400",
        },
        15,
        300,
    ),
    Case(
        "JobsFail",
        shares(
            'i2v_jobs_ended_total{model="nano", state="failed", reason="ENGINE_FAILED"}',
            'i2v_jobs_ended_total{model="nano", state="succeeded", reason=""}',
            20,
        ),
        15,
        300,
    ),
)
OF_THE_CALLER = {'i2v_jobs_ended_total{model="nano", state="failed", reason="MODERATION"}': "0+60x400"}


def groups_of(alert: str) -> list[dict[str, Any]]:
    """Returns the alert, with the recorded series that it may read. The other rules would cost minutes in all."""
    found = []
    for file in RULES:
        for group in yaml.safe_load(file.read_text())["groups"]:
            rules = [rule for rule in group["rules"] if rule.get("alert", alert) == alert]
            found.append(group | {"rules": rules})
    names = {rule["expr"] for group in found for rule in group["rules"] if "alert" in rule}
    read = re.compile(r"i2v:\w+").findall(" ".join(names))
    return [
        group
        | {"rules": [rule for rule in group["rules"] if "alert" in rule or rule["record"].startswith(tuple(read))]}
        for group in found
    ]


def evaluated(tmp_path: Path, series: dict[str, str], alert: str, minutes: dict[int, bool]) -> None:
    """Evaluates the rules by promtool: whether the alert fires at these minutes."""
    test: dict[str, Any] = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": f'count(ALERTS{{alertname="{alert}", alertstate="firing"}}) > bool 0 or vector(0)',
                "eval_time": f"{minute}m",
                "exp_samples": [{"labels": "{}", "value": int(fires)}],
            }
            for minute, fires in minutes.items()
        ],
    }
    rules = tmp_path / "rules.yaml"
    rules.write_text(yaml.safe_dump({"groups": groups_of(alert)}))
    file = tmp_path / "test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(rules)], "tests": [test]}))
    done = subprocess.run([str(PROMTOOL), "test", "rules", file], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_prometheus
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.alert)
def test_an_alert_fires_while_its_cause_is_there(case: Case, tmp_path: Path) -> None:
    evaluated(tmp_path, case.series, case.alert, {case.fires: True, case.quiet: False})


@needs_prometheus
def test_failures_of_callers_burn_no_budget(tmp_path: Path) -> None:
    evaluated(tmp_path, OF_THE_CALLER, "JobsFail", {100: False, 390: False})


@needs_prometheus
def test_a_backend_whose_tritons_an_autoscaler_has_stopped_calls_no_one(tmp_path: Path) -> None:
    series = {'i2v_backend_ready{backend="triton"}': "0x20", 'i2v_triton_listed{backend="triton"}': "0x10 1x10"}
    evaluated(tmp_path, series, "BackendDown", {5: False, 15: True})


@needs_prometheus
def test_rules_are_valid() -> None:
    done = subprocess.run([str(PROMTOOL), "check", "rules", *RULES], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_prometheus
def test_the_alert_on_submissions_fires_within_two_minutes_of_an_outage(tmp_path: Path) -> None:
    series = {
        f'grpc_server_handled_total{{{SUBMIT}, grpc_code="OK"}}': "0+600x120 72000x10",
        f'grpc_server_handled_total{{{SUBMIT}, grpc_code="Unavailable"}}': "0x120 600+600x10",
    }
    evaluated(tmp_path, series, "SubmitsFail", {120: False, 122: True})


def test_a_page_waits_for_a_minute_at_most() -> None:
    assert {rule.get("for", "0s") for rule in ALERTS if rule["labels"]["severity"] == "page"} <= {"0s", "1m"}


def test_every_alert_has_a_case_and_every_case_an_alert() -> None:
    assert {rule["alert"] for rule in ALERTS} == {case.alert for case in CASES}


def test_every_alert_has_a_severity_a_summary_and_a_runbook() -> None:
    for rule in ALERTS:
        assert rule["labels"]["severity"] in ("page", "ticket", "info"), rule
        assert rule["annotations"]["summary"].endswith("."), rule
        assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{rule['alert']}.md"
        assert (ROOT / rule["annotations"]["runbook_url"]).is_file()


def test_every_runbook_belongs_to_an_alert_or_is_listed() -> None:
    pages = {page.stem for page in (ROOT / "docs/runbooks").glob("*.md")} - {"README"}
    listed = (ROOT / "docs/runbooks/README.md").read_text()
    assert {rule["alert"] for rule in ALERTS} <= pages
    assert all(f"({page}.md)" in listed for page in pages)


def test_the_service_levels_are_those_of_the_code() -> None:
    assert service_level_rules.FILE.read_text() == service_level_rules.text(), "python -m tools.service_level_rules"
