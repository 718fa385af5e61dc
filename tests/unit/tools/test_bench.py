"""The arithmetic of the benchmark: it compares pairs of one run, not figures of two runs."""

from datetime import UTC, datetime

from i2v.v1 import job_pb2

from tools import bench_submit, bench_trace, bench_watch


def test_submissions_are_compared_round_by_round() -> None:
    floor = [bench_submit.Round(median, 5.0, rate) for median, rate in ((1.0, 1000.0), (4.0, 100.0), (1.0, 1000.0))]
    ours = [bench_submit.Round(median, 9.0, rate) for median, rate in ((3.0, 600.0), (9.0, 60.0), (3.0, 600.0))]
    median, p99, flat_out = bench_submit.compared("", ours, floor)
    assert median.met and median.measured == "+2.0 ms (3.0 ms, 1.0 ms)"
    assert p99.met and p99.measured == "9.0 ms"
    assert flat_out.met and flat_out.measured == "0.60 (600/s, 1000/s)"


def test_submissions_that_cost_too_much_miss_their_targets() -> None:
    slow = bench_submit.compared("", [bench_submit.Round(3.6, 30.0, 500.0)], [bench_submit.Round(1.0, 5.0, 1000.0)])
    assert [row.met for row in slow] == [False, False, False]


def test_many_watchers_are_compared_with_few() -> None:
    few = [bench_watch.Round(4.0, 10.0, 8.0, 1)] * 2
    late, long = bench_watch.rows(few, [bench_watch.Round(9.0, 30.0, 8.8, 1), bench_watch.Round(5.0, 30.0, 8.8, 1)])
    assert late.met and late.measured == "3.0 times (30 ms, 10 ms; median 7 ms)"
    assert long.met and long.measured == "+10.0% (8.80 s, 8.00 s)"
    late, long = bench_watch.rows(few, [bench_watch.Round(9.0, 31.0, 8.9, 1)] * 2)
    assert not late.met and not long.met


def test_a_trace_is_the_time_between_a_videos_events() -> None:
    def event(at_s: float, **body: object) -> job_pb2.JobEvent:
        made = job_pb2.JobEvent(**body)  # type: ignore[arg-type]
        made.create_time.FromDatetime(datetime.fromtimestamp(100 + at_s, UTC))
        return made

    stages = [
        event(at, progressed=job_pb2.Progressed(stage=stage))
        for at, stage in ((0.3, "encode-inputs"), (0.4, "generate"))
    ]
    fragments = [event(at, fragment_ready=job_pb2.FragmentReady()) for at in (1.0, 1.5, 2.0)]
    ends = [event(1.9, progressed=job_pb2.Progressed(stage="finish")), event(2.1, succeeded=job_pb2.Succeeded())]
    begins = [event(0.1, admitted=job_pb2.Admitted()), event(0.2, started=job_pb2.Started())]
    spans = bench_trace.moments(100.0, 102.15, [*begins, *stages, *fragments, *ends]).spans()
    rounded = {name: round(seconds, 3) for name, seconds in spans.items()}
    assert rounded == {
        "admitted": 0.1,
        "started": 0.1,
        "encode-inputs": 0.1,
        "generate": 0.1,
        "first fragment": 0.6,
        "last fragment": 1.0,
        "succeeded": 0.1,
        "seen": 0.05,
    }
