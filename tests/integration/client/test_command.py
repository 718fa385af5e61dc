"""The command line as a process, before a scripted server: what it says and what it refuses."""

import asyncio
import json
import os
import signal

import pytest
from i2v.v1 import job_pb2, library_pb2

from i2v_client import job_spec
from tests.support.client_command import GENERATE, Command
from tests.support.scripted_server import KEY, OUTPUT, PICTURE, THE_EVENTS, VIDEO, Rig, asset_name, usd

Job = job_pb2.Job


async def test_the_command_makes_a_video_and_says_what_it_is_and_cost(rig: Rig, i2v: Command) -> None:
    asked = ("--model", "nano", "--duration", "5", "--size", "224x128", "--seed", "7", "--fit", "pad")
    ended = await i2v(*GENERATE, *asked, "--out", "out.mp4")
    assert ended.out.splitlines() == [
        "video  out.mp4",
        "size   224x128, 81 frames, 5.06 s",
        "cost   0.005000 USD",
        "job    jobs/7",
    ]
    assert "fragment 0 arrived, 9 frames, 50%" in ended.err
    assert "\x1b" not in ended.err + ended.out
    assert ended.code == 0
    assert (i2v.folder / "out.mp4").read_bytes() == VIDEO
    [submitted] = rig.script.asked_for(job_pb2.SubmitJobRequest)
    expected = job_spec(
        "It moves.",
        image=asset_name(PICTURE),
        duration_s=5,
        size=(224, 128),
        seed=7,
        fit=job_pb2.ImageToVideo.PAD,
    )
    assert submitted.spec == expected


async def test_a_capability_and_its_highest_price_may_stand_for_the_model(rig: Rig, i2v: Command) -> None:
    await i2v(*GENERATE, "--capability", "wan-2.5", "--price-max", "0.50", "--detach")
    [submitted] = rig.script.asked_for(job_pb2.SubmitJobRequest)
    assert (submitted.spec.model, submitted.spec.capability) == ("", "wan-2.5")
    assert submitted.spec.price_max == job_pb2.Money(amount_micros=500_000, currency_code="USD")


@pytest.mark.parametrize("price", ["-1", "NaN", "1e30", "cheap"])
async def test_a_highest_price_that_is_none_is_refused_before_anything_is_sent(
    rig: Rig, i2v: Command, price: str
) -> None:
    ended = await i2v(*GENERATE, "--capability", "wan-2.5", "--price-max", price)
    assert (ended.code, "--price-max" in ended.err) == (2, True)
    assert rig.script.asked_for(job_pb2.SubmitJobRequest) == []


async def test_a_text_alone_makes_a_video_too(rig: Rig, i2v: Command) -> None:
    assert (await i2v("generate", "--prompt", "A wave.", "--detach")).out == "jobs/7\n"
    [submitted] = rig.script.asked_for(job_pb2.SubmitJobRequest)
    assert submitted.spec.text_to_video.prompt == "A wave."


async def test_a_program_gets_one_json_object_a_line(i2v: Command) -> None:
    lines = [json.loads(line) for line in (await i2v(*GENERATE, "--json")).out.splitlines()]
    assert [line.get("sequence") for line in lines] == ["1", "2", "3", "4", "5", "6", None]
    assert (lines[-1]["name"], lines[-1]["state"]) == ("jobs/7", "SUCCEEDED")
    refused = await i2v("job", "8", "--json")
    assert json.loads(refused.err)["error"]["reason"] == "NOT_FOUND"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("jobs", "--limit", "3"), ["jobs/0", "jobs/2", "QUEUED"]),
        (("job", "7"), ["SUCCEEDED", "0.005000 USD", OUTPUT.asset]),
        (("watch", "7"), ["charged  0.005000 USD"]),
        (("models",), ["nano", "image-to-video", "224x128", "5 s", "0.001000 USD"]),
        (("usage",), ["Plan free.", "user spend month  0.000007", "0.000005"]),
        (
            ("preview", "--image", "cat.png", "--prompt", "It moves."),
            [
                "price           0.005000 USD",
                "0.095000 USD",
                "81 frames",
                "video by nano  5 x 0.001000 USD  0.005000 USD",
                "user spend month",
                "tenant seconds day",
                "2.5 s",
                "unlimited",
                "2026-12-01 00:00:00Z",
                "QUOTE",
            ],
        ),
        (("cancel", "7"), ["CANCELLING"]),
        (("delete", "7", "jobs/8", "--stop"), ["jobs/7 was deleted.", "jobs/8 was deleted."]),
        (("upload", "cat.png"), [asset_name(PICTURE)]),
        (("download", OUTPUT.asset, "--out", "a.mp4"), [f"a.mp4: {len(VIDEO)} bytes"]),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
async def test_each_command_says_what_it_found(i2v: Command, arguments: tuple[str, ...], says: list[str]) -> None:
    ended = await i2v(*arguments)
    assert ended.code == 0, ended.err
    assert [text for text in says if text not in ended.out] == []


async def test_wrong_use_is_2(i2v: Command) -> None:
    assert (await i2v(*GENERATE, "--size", "big")).code == 2
    assert (await i2v(*GENERATE, "--out", "nowhere/a.mp4")).code == 2


@pytest.mark.parametrize("seconds", ["nan", "inf", "1e300", "0", "-1", "many"])
async def test_a_duration_that_is_none_is_refused_before_anything_is_sent(rig: Rig, i2v: Command, seconds: str) -> None:
    ended = await i2v(*GENERATE, "--duration", seconds)
    assert (ended.code, rig.script.asked) == (2, [])
    assert "--duration" in ended.err


async def test_a_text_that_is_not_utf8_is_refused_before_anything_is_sent(rig: Rig, i2v: Command) -> None:
    ended = await i2v("generate", "--image", "cat.png", "--prompt", os.fsdecode(b"It m\xf6ves."))
    assert (ended.code, rig.script.asked) == (2, [])
    assert "'--prompt': this is not UTF-8" in ended.err
    assert (await i2v("job", os.fsdecode(b"\xff"))).code == 2
    batch = await i2v("batch", "--data_path", ".", "--output_folder", "out", "--prompt", os.fsdecode(b"\xff"))
    assert (batch.code, "'--prompt': this is not UTF-8" in batch.err) == (2, True)


async def test_the_picture_is_not_overwritten(rig: Rig, i2v: Command) -> None:
    (i2v.folder / "link.mp4").symlink_to("cat.png")
    for same in ("cat.png", "./cat.png", str(i2v.folder / "cat.png"), "link.mp4"):
        ended = await i2v(*GENERATE, "--out", same)
        assert (ended.code, rig.script.asked) == (2, [])
        assert "is the file of --image itself" in ended.err
    assert (i2v.folder / "cat.png").read_bytes() == PICTURE


async def test_another_file_is_overwritten(i2v: Command) -> None:
    (i2v.folder / "cat.mp4").write_bytes(b"the one before")
    assert (await i2v(*GENERATE)).code == 0
    assert (i2v.folder / "cat.mp4").read_bytes() == VIDEO


async def test_a_bad_file_is_named_as_it_was_typed(i2v: Command) -> None:
    (i2v.folder / "bad.gif").write_bytes(b"GIF89a")
    (i2v.folder / "a.png").write_bytes(PICTURE)
    speaks = ("generate", "--operation", "talking-avatar", "--prompt", "It speaks.")
    uploaded, made, spoken, masked = await asyncio.gather(
        i2v("upload", "bad.gif"),
        i2v("generate", "--image", "bad.gif", "--prompt", "It moves."),
        i2v(*speaks, "--image", "a.png", "--audio", "bad.gif"),
        i2v("--user", "bob", *speaks, "--image", "a.png", "--audio", "a.png", "--mask", "bad.gif"),
    )
    assert [each.code for each in (uploaded, made, spoken, masked)] == [3, 3, 3, 3]
    assert uploaded.err.startswith("bad.gif: is a GIF picture")
    assert made.err.startswith("--image: is a GIF picture")
    assert spoken.err.startswith("--audio: is a GIF picture")
    assert masked.err.startswith("--mask: is a GIF picture")


async def test_a_bad_file_is_a_field_of_the_job_for_a_program(i2v: Command) -> None:
    (i2v.folder / "bad.gif").write_bytes(b"GIF89a")
    speaks = ("generate", "--json", "--operation", "talking-avatar", "--prompt", "It speaks.")
    ended = await i2v(*speaks, "--image", "cat.png", "--audio", "bad.gif")
    error = json.loads(ended.err)["error"]
    assert [each["field"] for each in error["violations"]] == ["spec.talking_avatar.audio"]
    assert error["message"] == "spec.talking_avatar.audio: is a GIF picture"


@pytest.mark.parametrize("prompt", [" ", "\u200b\u2060", "\u3164", "\t\n"], ids=ascii)
@pytest.mark.parametrize("option", ["--prompt", "--scene"])
async def test_a_text_of_which_nothing_is_seen_is_refused_before_anything_is_sent(
    rig: Rig, i2v: Command, option: str, prompt: str
) -> None:
    ended = await i2v("generate", "--image", "cat.png", option, prompt)
    assert (ended.code, rig.script.asked) == (2, [])
    assert f"'{option}': this text has no visible character" in ended.err


async def test_a_file_without_authorities_is_wrong_use_and_speaks_of_tls(i2v: Command) -> None:
    (i2v.folder / "ca.pem").write_text("no certificate")
    ended = await i2v("--ca-file", "ca.pem", "jobs")
    assert ended.code == 2
    assert "--ca-file names ca.pem, which holds no certificates in PEM" in ended.err


async def test_tls_to_a_server_that_speaks_none_is_said(rig: Rig, i2v: Command) -> None:
    ended = await i2v("--tls", "jobs")
    assert ended.code == 5
    assert ended.err.startswith(f"The server at {rig.address} cannot be reached: it does not speak TLS.\nTLS failed. ")
    assert "Is it running?" not in ended.err


async def test_a_server_that_is_no_such_one_is_said_to_be_none(i2v: Command) -> None:
    async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(page, "127.0.0.1", 0) as other:
        ended = await i2v("--server", f"127.0.0.1:{other.sockets[0].getsockname()[1]}", "jobs")
    assert (ended.code, "it does not speak gRPC.\nIs this the port of the API" in ended.err) == (5, True), ended.err


async def test_a_picture_may_come_through_a_pipe(rig: Rig, i2v: Command) -> None:
    pipe = i2v.folder / "pipe"
    os.mkfifo(pipe)
    writer = await asyncio.create_subprocess_exec("cp", "cat.png", "pipe", cwd=i2v.folder)
    ended = await i2v("upload", "pipe")
    await writer.wait()
    assert (ended.code, rig.script.uploads) == (0, [PICTURE]), ended.err


async def test_a_pipe_without_an_end_is_refused(rig: Rig, i2v: Command) -> None:
    ended = await i2v("upload", "/dev/zero")
    assert (ended.code, rig.script.asked) == (2, [])
    assert ended.err == "/dev/zero: a pipe may have at most 50 MB; name a file\n"


async def test_ctrl_c_leaves_a_pipe_that_nobody_writes_into(i2v: Command) -> None:
    os.mkfifo(i2v.folder / "pipe")
    process = await i2v.start("upload", "pipe")
    # Its other end can be opened as soon as the command has opened its own, and is kept silent.
    silent = await asyncio.to_thread(os.open, i2v.folder / "pipe", os.O_WRONLY)
    process.send_signal(signal.SIGINT)
    ended = await asyncio.wait_for(i2v.end(process), 60)
    os.close(silent)
    assert (ended.code, ended.err) == (130, "Interrupted.\n")


async def test_a_key_is_no_argument(i2v: Command) -> None:
    assert (await i2v("--key", KEY, "jobs")).code == 2


async def test_a_job_that_goes_on_elsewhere_is_shown_to_go_on(rig: Rig, i2v: Command) -> None:
    lost = [*THE_EVENTS[:4], job_pb2.JobEvent(sequence=5, started=job_pb2.Started(attempt=2))]
    lost.append(job_pb2.JobEvent(sequence=6, continued=job_pb2.Continued(block=3, progress=0.5)))
    lost.append(job_pb2.JobEvent(sequence=7, succeeded=job_pb2.Succeeded(output=OUTPUT, charged=usd(5000))))
    rig.script.events = lost
    ended = await i2v("watch", "7")
    assert "attempt 2 begins\n" in ended.err
    assert "continues from block 3, 50%\n" in ended.err


async def test_the_quality_that_was_chosen_is_asked_for(rig: Rig, i2v: Command) -> None:
    ended = await i2v("generate", "--prompt", "A wave.", "--quality", "fast", "--detach")
    assert ended.code == 0
    [submitted] = rig.script.asked_for(job_pb2.SubmitJobRequest)
    assert submitted.spec.quality == job_pb2.JobSpec.FAST


async def test_what_the_library_says_of_the_video_is_sent_with_the_job(rig: Rig, i2v: Command) -> None:
    tags = ("--tag", "roof", "--tag", "Kätzchen 🐈")
    said = ("--title", "Über den Dächern", "--description", "猫が屋根を歩く", "--source-module", "story_writer", *tags)
    ended = await i2v("generate", "--prompt", "A wave.", *said, "--detach")
    assert ended.code == 0, ended.err
    [submitted] = rig.script.asked_for(job_pb2.SubmitJobRequest)
    assert submitted.spec.details == library_pb2.LibraryDetails(
        title="Über den Dächern",
        description="猫が屋根を歩く",
        tags=["roof", "Kätzchen 🐈"],
        source_module="story_writer",
    )


async def test_without_a_word_for_the_library_none_is_sent(rig: Rig, i2v: Command) -> None:
    assert (await i2v("generate", "--prompt", "A wave.", "--detach")).code == 0
    [submitted] = rig.script.asked_for(job_pb2.SubmitJobRequest)
    assert not submitted.spec.HasField("details")
