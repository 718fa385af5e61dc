"""The prompt writer as a server: who may call, what it accepts, how often it pays, and how it starts and stops."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import httpx2
import pytest
from i2v.provider.v1 import prompt_pb2, prompt_pb2_grpc
from prometheus_client import CollectorRegistry

from tests.support.prompt_writer_and_simulator import CALLER, KEY, Rig, Start, starting
from tools.simulators.llm import FAULTS, MODEL, LlmSimulator, Step, writes

Request, Response = prompt_pb2.WritePromptRequest, prompt_pb2.WritePromptResponse


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    async with starting() as starts:
        yield starts


@pytest.fixture
async def rig(start: Start) -> Rig:
    return await start()


async def test_environment_variables_of_the_library_have_no_effect(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_API_KEY", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/elsewhere")
    rig = await start()
    assert (await rig.write()).source == Response.JSON
    assert "elsewhere" not in str(rig.llm.headers)


async def test_many_prompts_are_written_at_the_same_time(rig: Rig) -> None:
    answers = await asyncio.gather(*[rig.write(scene=f"Scene number {n} at the pier") for n in range(150)])
    assert [answer.prompt.split(":")[0] for answer in answers] == [f"Scene number {n} at the pier" for n in range(150)]


async def test_a_prompt_requested_by_name_is_paid_once(rig: Rig) -> None:
    rig.next(FAULTS["quota"])
    with pytest.raises(grpc.aio.AioRpcError):
        await rig.write(request_id="job-1")  # and what failed is tried again
    first, *others = await asyncio.gather(*[rig.write(request_id="job-1") for _ in range(5)])
    assert all(each == first for each in others) and await rig.write(request_id="job-1") == first
    assert (len(rig.llm.calls), first.cost_micros > 0) == (2, True)
    other = await rig.write(request_id="job-1", scene="Another scene.")
    assert other.prompt != first.prompt
    await rig.write(request_id="job-2")
    await rig.write()
    await rig.write()
    assert len(rig.llm.calls) == 6


async def test_a_caller_that_returns_gets_the_prompt_written_meanwhile(rig: Rig) -> None:
    rig.next(Step(silent=True))
    gone = asyncio.create_task(rig.write(request_id="job-1"))
    await asyncio.wait({gone}, timeout=0.5)
    gone.cancel()
    await asyncio.wait({gone})
    back = asyncio.create_task(rig.write(request_id="job-1"))
    done, _ = await asyncio.wait({back}, timeout=0.2)
    assert (done, len(rig.llm.calls)) == (set(), 1), "it waits for the same call"
    back.cancel()
    await asyncio.wait({back})


async def test_the_simulator_answers_without_a_script(rig: Rig) -> None:
    for kind in (Request.ANIMATION, Request.TALKING):
        answer = await rig.write(kind=kind)
        assert (answer.source, answer.warning) == (Response.JSON, "")
        assert answer.prompt.startswith("An old fisherman mends")


WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "no kind": ({"kind": 0}, "kind", "KIND_UNKNOWN"),
    "another kind": ({"kind": 7}, "kind", "KIND_UNKNOWN"),
    "no scene": ({"scene": ""}, "scene", "SCENE_EMPTY"),
    "blank scene": ({"scene": " \n"}, "scene", "SCENE_EMPTY"),
    "long scene": ({"scene": "x" * 4001}, "scene", "TEXT_TOO_LONG"),
    "long story": ({"story": "x" * 8001}, "story", "TEXT_TOO_LONG"),
    "control": ({"scene": "a\x00b"}, "scene", "TEXT_MALFORMED"),
    "details": ({"details": {f"k{n}": "v" for n in range(17)}}, "details", "TOO_MANY_DETAILS"),
    "long key": ({"details": {"k" * 65: "v"}}, "details", "TEXT_TOO_LONG"),
    "no key": ({"details": {"": "v"}}, "details", "DETAIL_UNNAMED"),
    "long value": ({"details": {"k": "v" * 513}}, "details['k']", "TEXT_TOO_LONG"),
    "too few": ({"max_characters": 14}, "max_characters", "MAX_CHARACTERS_OUT_OF_RANGE"),
    "too many": ({"max_characters": 2501}, "max_characters", "MAX_CHARACTERS_OUT_OF_RANGE"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_a_request_beyond_its_limits_is_refused_and_nothing_is_sent(rig: Rig, case: str) -> None:
    changes, field, reason = WRONG[case]
    failure = await rig.fails(**changes)
    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    assert [(each.field, each.reason) for each in failure.violations] == [(field, reason)]
    assert rig.llm.calls == []


async def test_a_request_at_its_limits_is_accepted(rig: Rig) -> None:
    details = {f"{n:064}": "v" * 512 for n in range(16)}
    answer = await rig.write(scene="x " * 2000, story="й" * 8000, details=details, max_characters=2500)
    assert answer.source == Response.JSON
    rig.next(writes("123456789012345"))
    assert (await rig.write(scene="x", max_characters=15)).prompt == "123456789012345"


@pytest.mark.parametrize("key", [None, "another-key", CALLER + "x"])
async def test_a_caller_without_the_credential_is_refused(rig: Rig, key: str | None) -> None:
    metadata = (("authorization", f"Bearer {key}"),) if key else ()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await rig.stub.WritePrompt(Request(), metadata=metadata)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_without_a_language_model_the_template_writes(start: Start) -> None:
    rig = await start(llm_url="", input_price_micros=-1, output_price_micros=-1)
    answer = await rig.write()
    assert (answer.source, answer.llm, answer.cost_micros) == (Response.TEMPLATE, "", 0)
    assert answer.warning == "No language model is connected: a template wrote the prompt."
    assert answer == await rig.write()


async def process(*arguments: str, **variables: str) -> asyncio.subprocess.Process:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("I2V_")}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", *arguments,
        env={**clean, "PYTHONPATH": os.pathsep.join(sys.path), **variables},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def test_both_processes_start_answer_and_stop(tmp_path: Path) -> None:
    key_file, caller_file = tmp_path / "key", tmp_path / "caller"
    key_file.write_text(f"{KEY}\n")
    caller_file.write_text(f"{CALLER}\n")
    simulator = await process("tools.simulators.llm", "--port", "0", "--key", KEY, "--faults", "busy,garbage,text")
    assert simulator.stdout is not None
    url = (await simulator.stdout.readline()).decode().split()[-1]
    writer = await process(
        "services.providers.prompt",
        I2V_PROMPT_LISTEN="127.0.0.1:0",
        I2V_PROMPT_METRICS_LISTEN="127.0.0.1:0",
        I2V_PROMPT_ACCESS_KEY_FILE=str(caller_file),
        I2V_PROMPT_LLM_URL=url,
        I2V_PROMPT_LLM_MODEL=MODEL,
        I2V_PROMPT_LLM_KEY_FILE=str(key_file),
        I2V_PROMPT_INPUT_PRICE_MICROS="150000",
        I2V_PROMPT_OUTPUT_PRICE_MICROS="600000",
        I2V_PROMPT_LOG_LEVEL="DEBUG",
    )
    assert writer.stderr is not None
    output = b""
    while b'"ready"' not in output:
        line = await writer.stderr.readline()
        assert line, output
        output += line
    port = json.loads(output.splitlines()[-1])["port"]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub: Any = prompt_pb2_grpc.PromptWriterStub(channel)  # type: ignore[no-untyped-call, unused-ignore]
        rig = Rig(LlmSimulator(), stub, [], CollectorRegistry())
        answer = await rig.write()
    assert (answer.source, answer.cost_micros) == (Response.TEXT, 90)
    for running in (writer, simulator):
        running.send_signal(signal.SIGINT)
    rest = (await writer.communicate())[1]
    await simulator.communicate()
    assert (writer.returncode, simulator.returncode) == (0, 0)
    assert KEY.encode() not in output + rest
    assert CALLER.encode() not in output + rest


async def test_the_simulator_is_scripted_over_http_and_describes_a_script() -> None:
    async with LlmSimulator().serving() as simulator, httpx2.AsyncClient(trust_env=False) as client:
        script = simulator.url.replace("/v1", "/script")
        assert (await client.post(script, content=b'["busy", "quota"]')).json() == {"scripted": 2}
        assert list(simulator.script) == [FAULTS["busy"], FAULTS["quota"]]
        for wrong in (b"", b"{}", b'["nonsense"]', b"[[]]"):
            answer = await client.post(script, content=wrong)
            assert (answer.status_code, "busy" in answer.text) == (400, True)


async def test_an_invalid_setting_ends_the_process_with_one_line() -> None:
    writer = await process("services.providers.prompt", I2V_PROMPT_LLM_URL="http://models.example/v1")
    _, output = await writer.communicate()
    assert writer.returncode == 1
    assert output.decode() == (
        "prompt writer: I2V_PROMPT_LLM_URL is not encrypted; take https://, or set I2V_PROMPT_LLM_PLAINTEXT\n"
    )
