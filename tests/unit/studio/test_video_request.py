"""What a request for a video over HTTP asks for."""

import base64
from collections.abc import Mapping

import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st
from i2v.v1 import catalog_pb2, job_pb2

from services.studio.refused_request import RefusedRequest
from services.studio.videos import job_spec, video_request
from services.studio.videos.video_json import job_name, video, video_id
from services.studio.videos.video_request import VideoRequest

ASSET = "assets/" + "a" * 64
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(sorted(video_request.FIELDS)), JSON))
def test_any_json_is_read_or_refused(fields: Mapping[str, object]) -> None:
    try:
        wanted = video_request.read(fields)
    except RefusedRequest as refused:
        assert refused.status == 400
    else:
        assert wanted.prompt.strip()


def test_seconds_and_seeds_are_texts_or_numbers_as_clients_send_them() -> None:
    for seconds, seed in (("4", "7"), (4, 7)):
        wanted = video_request.read({"prompt": "x", "seconds": seconds, "seed": seed, "size": "1280x720"})
        assert wanted == VideoRequest("x", seconds=4.0, seed=7, size=(1280, 720))


def test_a_load_client_may_say_that_it_wants_one_video() -> None:
    for one in (1, "1", None):
        assert video_request.read({"prompt": "x", "num_outputs_per_prompt": one}) == VideoRequest("x")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_outputs_per_prompt", 2),
        ("num_outputs_per_prompt", "0"),
        ("num_outputs_per_prompt", True),
        ("num_outputs_per_prompt", 1.0),
        ("seconds", "nan"),
        ("seconds", "1e999"),
        ("seconds", True),
        ("seconds", -1),
        ("seconds", 1e-9),
        ("seed", -1),
        ("seed", 2**63),
        ("seed", 1.5),
        ("size", "0x720"),
        ("size", "１２８０x７２０"),
        ("size", [1280, 720]),
        ("prompt", ""),
        ("prompt", "x" * 20_001),
        ("prompt", "half a pair: \ud800"),
        ("model", "\udfff"),
        ("model", 7),
        ("input_reference", "assets/abc"),
        ("input_reference", {"file_id": "../../etc/passwd"}),
        ("input_reference", {"image_url": "data:image/png;base64,%%%"}),
        ("input_reference", {"image_url": "data:text/html;base64,aGk="}),
        ("input_reference", {"image_url": "file:///etc/passwd"}),
    ],
)
def test_a_value_of_the_wrong_form_is_refused_with_its_field(field: str, value: object) -> None:
    with pytest.raises(RefusedRequest) as caught:
        video_request.read({"prompt": "x", field: value})
    assert caught.value.param.startswith(field)


def test_a_picture_comes_as_a_file_a_data_url_or_an_asset() -> None:
    url = "data:image/png;base64," + base64.b64encode(b"bytes").decode()
    assert video_request.read({"prompt": "x"}, b"bytes").picture == b"bytes"
    assert video_request.read({"prompt": "x", "input_reference": {"image_url": url}}).picture == b"bytes"
    assert video_request.read({"prompt": "x", "input_reference": {"file_id": ASSET}}).asset == ASSET
    with pytest.raises(RefusedRequest, match="empty"):
        video_request.read({"prompt": "x"}, b"")


def a_model(name: str, **fields: object) -> catalog_pb2.Model:
    fields = {"operations": [catalog_pb2.Model.IMAGE_TO_VIDEO]} | fields
    return catalog_pb2.Model(name=f"models/{name}", **fields)  # type: ignore[arg-type]


def test_the_cheapest_local_model_that_takes_work_is_chosen() -> None:
    remote = a_model("remote", remote=catalog_pb2.Model.Remote(provider="fal"))
    dear = a_model("dear", price_per_second=job_pb2.Money(amount_micros=9))
    cheap = a_model("cheap", price_per_second=job_pb2.Money(amount_micros=1))
    drained = a_model("drained", drained=True)
    models = [remote, drained, dear, cheap]
    assert job_spec.choose(models, with_picture=True) is cheap
    assert job_spec.choose([remote, drained], with_picture=True) is remote
    with pytest.raises(RefusedRequest, match="from a text alone"):
        job_spec.choose(models, with_picture=False)


def test_a_size_is_a_resolution_of_a_remote_model() -> None:
    wanted = VideoRequest("x", model="m", seconds=2.5, size=(1280, 720), seed=3)
    local = job_spec.spec(wanted, a_model("m"), ASSET)
    assert (local.size.width, local.size.height, local.resolution) == (1280, 720, "")
    assert (local.duration, local.seed) == (Duration(seconds=2, nanos=500_000_000), 3)
    assert local.image_to_video == job_pb2.ImageToVideo(image=ASSET, prompt="x")
    remote = job_spec.spec(wanted, a_model("m", remote=catalog_pb2.Model.Remote()), "")
    assert (remote.HasField("size"), remote.resolution, remote.text_to_video.prompt) == (False, "720p", "x")


def test_a_length_is_rounded_to_milliseconds() -> None:
    for seconds, length in ((0.9999999999, Duration(seconds=1)), (2.0004, Duration(seconds=2))):
        assert job_spec.spec(VideoRequest("x", model="m", seconds=seconds), None, "").duration == length


def test_states_become_those_of_the_shape_and_ids_name_the_job_alone() -> None:
    assert job_name(video_id("jobs/abc")) == "jobs/abc"
    job = job_pb2.Job(name="jobs/abc", state=job_pb2.Job.CANCELLED, progress=0.999)
    job.end_time.GetCurrentTime()
    job.spec.text_to_video.prompt = "x"
    assert (video(job)["status"], video(job)["error"]["code"], video(job)["progress"]) == ("failed", "cancelled", 99)
    for state in (job_pb2.Job.RUNNING, job_pb2.Job.CANCELLING, job_pb2.Job.RECONCILING):
        assert video(job_pb2.Job(state=state))["status"] == "in_progress"
