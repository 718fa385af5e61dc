"""A simulated language model: /v1/chat/completions over plain HTTP, answers by script.

    python -m tools.simulators.llm --port 8089 [--key KEY] [--faults busy,garbage]

Without a script it writes a prompt out of the scene that it is sent. `POST /script` with a JSON list of the names in
FAULTS sets the answers to the next calls.
"""

import argparse
import asyncio
import contextlib
import json
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

MODEL = "simulated-llm"
HEAD_BYTES = 64 * 1024
BODY_BYTES = 1024 * 1024
DRIP_S = 0.01


@dataclass(frozen=True)
class Step:
    """What one call gets."""

    status: int = 200
    body: bytes | None = None
    """None: a completion out of the scene."""
    headers: tuple[tuple[str, str], ...] = ()
    silent: bool = False
    """Never answers."""
    dropped: bool = False
    """Closes the connection instead of answering."""
    dripping: bool = False
    """Sends one byte after the other and never comes to an end."""


def says(
    content: Any,
    *,
    usage: Any = (120, 45),
    refusal: str | None = None,
    finish: str = "stop",
) -> Step:
    """A completion with this content. `usage`: tokens read and written, or anything else as it is; None for none."""
    message = {"role": "assistant", "content": content, "refusal": refusal}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    document = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": MODEL, "choices": [choice]}
    if isinstance(usage, tuple):
        usage = {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}
    if usage is not None:
        document["usage"] = usage
    return Step(body=json.dumps(document).encode())


def writes(prompt: Any, negative_prompt: Any = "", *, usage: Any = (120, 45), **more: Any) -> Step:
    """A completion whose content is the JSON that was requested, and perhaps more."""
    return says(json.dumps({"prompt": prompt, "negative_prompt": negative_prompt, **more}), usage=usage)


def fails(status: int, code: str | None = None, message: str = "", retry_after: str = "") -> Step:
    """An error in the usual envelope."""
    body = {"error": {"message": message or f"error {status}", "type": code or "error", "param": None, "code": code}}
    headers = (("retry-after", retry_after),) if retry_after else ()
    return Step(status, json.dumps(body).encode(), headers)


SPENT = "You exceeded your current quota, please check your plan and billing details."
FAULTS = {
    "quota": fails(429, "insufficient_quota", SPENT),
    "payment": fails(402, None, "Payment required."),
    "busy": fails(429, "rate_limit_exceeded", "Rate limit reached; see your billing page to raise it.", "1"),
    "key": fails(401, "invalid_api_key", "Incorrect API key provided."),
    "down": fails(503, None, "The engine is overloaded."),
    "broken": fails(500),
    "garbage": says("%%% ??? {{"),
    "empty": says(""),
    "text": says("The old boat rocks gently while the camera drifts along the pier."),
    "refusal": says(None, refusal="I'm sorry, I can't help with that."),
    "silence": Step(silent=True),
    "drop": Step(dropped=True),
    "drip": Step(dripping=True),
}


@dataclass
class LlmSimulator:
    """A server on 127.0.0.1."""

    key: str = ""
    """The key that callers must send; empty: none."""
    script: deque[Step] = field(default_factory=deque)
    """The next answers, one a call; then the simulator's own."""
    calls: list[dict[str, Any]] = field(default_factory=list)
    """Bodies of the calls that came."""
    headers: list[dict[str, str]] = field(default_factory=list)
    """Their headers, names in small letters."""
    port: int = 0
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator["LlmSimulator"]:
        """Serves within the block, on `port` or on a free one."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._converse(reader, writer)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, asyncio.CancelledError):
            pass  # The caller or this process ends: there is nothing to report.
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        length = min(int(headers.get("content-length") or 0), BODY_BYTES)
        body = await reader.readexactly(length)
        await self._answer(self._step(method, path, headers, body), reader, writer)

    def _step(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Step:
        if (method, path) == ("POST", "/script"):
            return self._scripted(body)
        if (method, path) != ("POST", "/v1/chat/completions"):
            return fails(404, None, f"there is no {path}")
        self.headers.append(headers)
        self.calls.append(json.loads(body))
        shown = headers.get("authorization", "")
        if self.key and shown != f"Bearer {self.key}":
            return fails(
                401, "invalid_api_key", f"Incorrect API key provided: {shown}."
            )  # Some endpoints answer like this.
        step = self.script.popleft() if self.script else Step()
        if step.body is None and step.status == 200 and not (step.silent or step.dropped or step.dripping):
            return says(written(self.calls[-1]), usage=counted(self.calls[-1]))
        return step

    def _scripted(self, body: bytes) -> Step:
        with contextlib.suppress(ValueError):
            names = json.loads(body)
            if isinstance(names, list) and all(isinstance(name, str) and name in FAULTS for name in names):
                self.script.extend(FAULTS[name] for name in names)
                return Step(body=json.dumps({"scripted": len(self.script)}).encode())
        return fails(400, None, f"a script is a JSON list of names out of {', '.join(FAULTS)}")

    async def _answer(self, step: Step, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if step.dropped:
            return
        if step.silent:
            await reader.read()  # Until the caller hangs up.
            return
        body = step.body or b""
        lines = [f"HTTP/1.1 {step.status} Simulated", "content-type: application/json", "connection: close"]
        lines += [f"{name}: {value}" for name, value in step.headers]
        if not step.dripping:
            lines.append(f"content-length: {len(body)}")
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        await writer.drain()
        while step.dripping:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(DRIP_S)


def written(call: dict[str, Any]) -> str:
    """A prompt out of the scene that a call carries, in the form that its instructions ask for."""
    instructions, data = (message["content"] for message in call["messages"])
    scene = json.loads(data.splitlines()[1])["scene"]
    begin = " ".join(word for word in scene.split() if word.isalnum())[:60].strip()
    prompt = f"{begin}: a slow push-in, everything stirs a little."
    return json.dumps({"prompt": prompt, "negative_prompt": "blur"}) if "JSON" in instructions else prompt


def counted(call: dict[str, Any]) -> tuple[int, int]:
    return sum(len(message["content"]) for message in call["messages"]) // 4, 40


async def main(arguments: list[str]) -> None:
    """Serves until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m tools.simulators.llm", description=__doc__.split("\n")[0])
    parser.add_argument("--port", type=int, default=8089, help="0: a free one")
    parser.add_argument("--key", default="", help="what callers must show")
    parser.add_argument("--faults", default="", help=f"what the first calls get: {', '.join(FAULTS)}")
    given = parser.parse_args(arguments)
    names = [name for name in given.faults.split(",") if name]
    if unknown := [name for name in names if name not in FAULTS]:
        parser.error(f"there is no fault {unknown[0]!r}; there are {', '.join(FAULTS)}")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    script = deque(FAULTS[name] for name in names)
    async with LlmSimulator(key=given.key, script=script, port=given.port).serving() as simulator:
        sys.stdout.write(f"simulated language model {MODEL} at {simulator.url}\n")
        sys.stdout.flush()
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
