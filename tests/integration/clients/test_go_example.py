"""The Go example is generated, compiled and run before a running stack, with Debian's packages of Go."""

import shutil
from pathlib import Path

import pytest

from tests.support.client_programs import CLIENTS, PICTURE, absent, environment, generate, run
from tests.support.studio_rig import Rig

PACKAGES = Path("/usr/share/gocode")
missing = absent("go") + [
    name for name in ("grpc", "protobuf") if not (PACKAGES / "src/google.golang.org" / name / "cmd").exists()
]
HOW = (
    "needs Go with gRPC: apt-get install golang-go golang-google-grpc-dev golang-google-protobuf-dev "
    "golang-github-golang-protobuf-1-5-dev, then run this test again"
)


@pytest.mark.skipif(bool(missing), reason=HOW)
async def test_it_submits_watches_and_downloads(rig: Rig, tmp_path: Path) -> None:
    program = tmp_path / "src/i2v.example"
    program.mkdir(parents=True)
    shutil.copy(CLIENTS / "go/make_video.go", program)
    env = environment(rig) | {"GO111MODULE": "off", "GOPATH": f"{tmp_path}:{PACKAGES}"}
    await generate("go", program, env)
    await run("go", "build", "-o", tmp_path / "make-video", ".", cwd=program, env=env)
    video = tmp_path / "cat.mp4"
    printed = await run(tmp_path / "make-video", PICTURE, "it moves", video, env=env)
    assert "1 *i2v.JobEvent_Admitted\n" in printed and "JobEvent_Succeeded\n" in printed, printed
    assert video.read_bytes()[4:8] == b"ftyp"
