"""Puts the stubs of proto/i2v/v1 into the wheel, as the package `i2v.v1`. An editable installation uses gen/."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Stubs(BuildHookInterface[Any]):
    """Makes the stubs, and removes them when the wheel has them."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        from grpc_tools import protoc

        # A source distribution has the protos in its own folder.
        found = [each for each in (Path(self.root, "proto"), Path(self.root, "../../proto")) if each.is_dir()]
        self._made = tempfile.TemporaryDirectory(prefix="i2v-stubs-")
        out = self._made.name
        files = [str(file.relative_to(found[0])) for file in sorted(found[0].glob("i2v/v1/*.proto"))]
        # protoc looks for the programs that write types there.
        os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        well_known = str(Path(protoc.__file__).with_name("_proto"))
        outs = [f"--{kind}={out}" for kind in ("python_out", "grpc_python_out")]
        types = [f"--{kind}=quiet:{out}" for kind in ("mypy_out", "mypy_grpc_out")]
        if protoc.main(["protoc", f"-I{found[0]}", f"-I{well_known}", *outs, *types, *files]) != 0:
            raise RuntimeError("the stubs cannot be made")
        folder = Path(out, "i2v/v1")
        (folder / "py.typed").touch()
        build_data["force_include"][str(folder)] = "i2v/v1"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if version != "editable":
            self._made.cleanup()
