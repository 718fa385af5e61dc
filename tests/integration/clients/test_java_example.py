"""The Java example is generated, compiled and run before a running stack."""

from pathlib import Path

import pytest

from tests.support.client_programs import CLIENTS, PICTURE, absent, environment, generate, run
from tests.support.studio_rig import Rig

JARS = Path("/usr/share/java")
missing = absent("javac", "java", "protoc", "grpc_java_plugin") + [
    name for name in ("grpc-netty", "netty-all", "perfmark-api", "protobuf") if not (JARS / f"{name}.jar").exists()
]
HOW = (
    "needs Java with gRPC: apt-get install default-jdk-headless libgrpc-java libnetty-java libperfmark-java "
    "libprotobuf-java protobuf-compiler protobuf-compiler-grpc-java-plugin, then run this test again"
)


@pytest.mark.skipif(bool(missing), reason=HOW)
async def test_it_submits_watches_and_downloads(rig: Rig, tmp_path: Path) -> None:
    await generate("java", tmp_path)
    classpath = f"{JARS}/*"
    sources = [*sorted((tmp_path / "gen").rglob("*.java")), CLIENTS / "java/MakeVideo.java"]
    quick = ("-J-XX:TieredStopAtLevel=1", "-J-XX:+UseSerialGC")  # half the time of a compiler that runs once
    await run("javac", *quick, "-nowarn", "-d", tmp_path / "classes", "-cp", classpath, *sources)
    video = tmp_path / "cat.mp4"
    command = ("java", "-cp", f"{tmp_path / 'classes'}:{classpath}", "MakeVideo", PICTURE, "it moves", video)
    printed = await run(*command, env=environment(rig))
    assert "1 ADMITTED\n" in printed and "SUCCEEDED\n" in printed, printed
    assert video.read_bytes()[4:8] == b"ftyp"
