"""THIRD_PARTY.md lists the installed packages and the libraries inside them."""

import importlib.metadata

import av
import pytest

from tools import third_party

PAGE = third_party.FILE.read_text()


def test_the_page_is_what_its_tool_writes() -> None:
    assert third_party.text() == PAGE, "python -m tools.third_party writes it"


@pytest.mark.parametrize("name", third_party.packages())
def test_every_package_is_named_with_the_version_that_is_locked_and_installed(name: str) -> None:
    version = importlib.metadata.version(name)
    assert third_party.locked()[name] == version
    assert f"| `{name}` | {version} | " in PAGE


def test_every_library_in_a_wheel_is_named_with_its_licence() -> None:
    inside = {library for name in third_party.packages() for library in third_party.natives(name)}
    assert {"libx264", "libx265", "libavcodec", "libheif", "libde265"} <= inside
    for library in inside:
        assert f"| `{library}` | " in PAGE
    assert inside == set(third_party.NATIVE), "no row is left for a library that is gone"


def test_the_encoder_under_the_gpl_is_the_one_that_is_used_and_nothing_else_is_hidden() -> None:
    assert "libx264" in av.codecs_available
    assert not {"libfdk_aac", "libxvid", "libopenh264"} & set(av.codecs_available)
    assert "GPL-2.0-or-later" in PAGE and "OpenH264" in PAGE
