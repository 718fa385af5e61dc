"""An installation of several API processes and workers on one database, which keep their addresses and names."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tools.evictions import program
from tools.evictions.fake_models import fake_models
from tools.evictions.program import Program, fresh_port

PLAN = "[plans.development]\n"
"""Without limits."""
API, WORKER = "api", "worker"


class Replicas:
    """`api-0`, `api-1`, … and `worker-0`, `worker-1`, …: each runs or not. Leaving the block kills them."""

    def __init__(
        self,
        database: str,
        data: Path,
        *,
        apis: int = 2,
        workers: int = 2,
        fps: int = 8,
        timeout_s: int = 60,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """`fps` and `timeout_s` are those of the model `test-model`; `settings` are further ones of all processes."""
        self._data = data
        self.addresses = {f"{API}-{number}": f"127.0.0.1:{fresh_port()}" for number in range(apis)}
        self.workers = [f"{WORKER}-{number}" for number in range(workers)]
        self.running: dict[str, Program] = {}
        plans = data / "plans.toml"
        plans.write_text(PLAN)
        (data / "operator-key").write_text("what-operators-show\n")
        self._settings = {
            "I2V_DATABASE_URL": database,
            "I2V_DATA": str(data),
            "I2V_TRITON": "",
            "I2V_FAKE_SLOTS": "4",
            "I2V_MODELS_FILE": str(fake_models(data, fps, timeout_s)),
            "I2V_PLANS_FILE": str(plans),
            "I2V_DEV_KEY_FILE": str(data / "dev-key"),
            "I2V_OPERATOR_KEY_FILE": str(data / "operator-key"),
            "I2V_DRAIN_S": "1",
            **(settings or {}),
        }

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in list(self.running):
            await self.kill(name)

    @property
    def names(self) -> list[str]:
        """All processes, running or not."""
        return [*self.addresses, *self.workers]

    @property
    def servers(self) -> str:
        """The addresses of the APIs, as a client takes them."""
        return ",".join(self.addresses.values())

    @property
    def key(self) -> str:
        """The key of the tenant `development`."""
        return (self._data / "dev-key").read_text().strip()

    def log(self, name: str) -> Path:
        """Returns the file with what a process logged, in all its lives."""
        return self._data / f"{name}.log"

    async def start(self, name: str, root: Path | None = None, **settings: str) -> None:
        """Starts a process, of the checkout `root` or of this one, and waits until it serves. Raises StackError."""
        role, more = name.partition("-")[0], self._settings | settings
        if role == WORKER:
            more["I2V_WORKER_NAME"] = name
        self.running[name] = await program.start(
            "services.orchestrator",
            role,
            log=self.log(name),
            prefix="I2V_",
            address=self.addresses.get(name, ""),
            root=root,
            begin=None,
            **more,
        )

    async def stop(self, name: str) -> int:
        """Stops a process as by SIGTERM, and returns its exit code."""
        return await self.running.pop(name).stop()

    async def kill(self, name: str) -> None:
        """Kills a process as by SIGKILL."""
        await self.running.pop(name).kill()

    async def migrate(self, root: Path | None = None) -> None:
        """Runs the program that a cluster's Job runs, of a checkout, and waits for its end. Raises StackError."""
        await program.run("services.orchestrator", "migrate", log=self.log("migrate"), root=root, **self._settings)
