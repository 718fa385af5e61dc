"""Writes the recording rules and burn-rate alerts of the service levels: `python -m tools.service_level_rules`.

Method: multi-window, multi-burn-rate alerts, Google SRE Workbook, chapter 5. An alert fires while a long and a short
window both burn the error budget faster than its factor: the long one proves that it matters, the short one that it
goes on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from services.reasons import REASONS, Advice, Code

FILE = Path(__file__).resolve().parents[1] / "deploy/monitoring/rules/service-levels.yaml"
HEAD = "# Written by `python -m tools.service_level_rules`; docs/service-levels.md explains the levels.\n"
BURNS = (("page", 14.4, "1h", "5m"), ("page", 6.0, "6h", "30m"), ("ticket", 1.0, "3d", "6h"))
"""Severity, factor, long window, short window. A budget of 30 days lasts 30 days / factor."""
WINDOWS = ("5m", "30m", "1h", "6h", "3d")
SUBMIT = 'grpc_method=~"SubmitJobs?"'
FAULTS = "Internal|Unknown|Unavailable|DataLoss|DeadlineExceeded"


@dataclass(frozen=True, slots=True)
class Level:
    """A service level: which share of events must be good."""

    name: str
    alert: str
    objective: float
    """0 to 1."""
    bad: str
    """PromQL of the rate of bad events, with WINDOW for its window."""
    all: str
    promise: str

    @property
    def record(self) -> str:
        """The start of the names of its recorded series; the window follows."""
        return f"i2v:{self.name}:bad_share_rate"


def of_the_caller() -> str:
    """Returns the reasons of failed jobs that only another request avoids, as a regular expression."""
    jobs = (reason for reason in REASONS.values() if {Code.JOB, Code.JOB_RETRYABLE} & set(reason.codes))
    return "|".join(sorted(str(reason) for reason in jobs if reason.advice is Advice.CHANGE))


def levels() -> Sequence[Level]:
    """Returns the service levels."""
    return (
        Level(
            "submit_availability",
            "SubmitsFail",
            0.999,
            f'(sum(rate(grpc_server_handled_total{{{SUBMIT}, grpc_code=~"{FAULTS}"}}[WINDOW])) or vector(0))',
            f"sum(rate(grpc_server_handled_total{{{SUBMIT}}}[WINDOW]))",
            "Of all submissions, 99.9 % are answered without a fault of the service.",
        ),
        Level(
            "submit_latency",
            "SubmitsSlow",
            0.99,
            f"(sum(rate(grpc_server_handling_seconds_count{{{SUBMIT}}}[WINDOW])) - "
            f'sum(rate(grpc_server_handling_seconds_bucket{{{SUBMIT}, le="0.25"}}[WINDOW])))',
            f"sum(rate(grpc_server_handling_seconds_count{{{SUBMIT}}}[WINDOW]))",
            "Of all submissions, 99 % are answered within 0.25 seconds.",
        ),
        Level(
            "first_fragment",
            "FirstFragmentsLate",
            0.95,
            "(sum(rate(i2v_job_first_fragment_seconds_count[WINDOW])) - "
            'sum(rate(i2v_job_first_fragment_seconds_bucket{le="60.0"}[WINDOW])))',
            "sum(rate(i2v_job_first_fragment_seconds_count[WINDOW]))",
            "Of all videos, 95 % have their first fragment within 60 seconds of admission.",
        ),
        Level(
            "job_success",
            "JobsFail",
            0.99,
            f'(sum(rate(i2v_jobs_ended_total{{state="failed", reason!~"{of_the_caller()}"}}[WINDOW])) or vector(0))',
            "sum(rate(i2v_jobs_ended_total[WINDOW]))",
            "Of all jobs, 99 % end without a fault of the service or of a vendor.",
        ),
    )


def groups() -> Sequence[Mapping[str, Any]]:
    """Returns the groups of rules, in Prometheus' form."""
    recorded, alerts = [], []
    for level in levels():
        for window in WINDOWS:
            share = f"{level.bad} / {level.all}".replace("WINDOW", window)
            recorded.append({"record": level.record + window, "expr": share})
        for severity, factor, long, short in BURNS:
            bound = f"{factor * (1 - level.objective):.6g}"
            alerts.append(
                {
                    "alert": level.alert,
                    "expr": f"{level.record}{long} > {bound} and {level.record}{short} > {bound}",
                    "labels": {"severity": severity, "window": long},
                    "annotations": {
                        "summary": f"{level.promise} Over the last {long} it was {{{{ $value | humanizePercentage }}}} "
                        "that were not.",
                        "runbook_url": f"docs/runbooks/{level.alert}.md",
                    },
                }
            )
    return (
        {"name": "i2v-service-levels", "interval": "30s", "rules": recorded},
        {"name": "i2v-burn-rates", "rules": alerts},
    )


def text() -> str:
    """Returns the file's text."""
    return HEAD + str(yaml.safe_dump({"groups": list(groups())}, sort_keys=False, width=1000))


def main() -> None:
    """Writes the file."""
    FILE.write_text(text())


if __name__ == "__main__":
    main()
