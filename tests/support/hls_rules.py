"""What RFC 8216 and Apple's authoring specification demand of our playlists, as assertions."""

import re
from dataclasses import dataclass, field

ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"\r\n]*"|[^",\s]+)(?:,|$)')


@dataclass
class Segment:
    uri: str
    duration_s: float
    init: str
    discontinuity: bool


@dataclass
class Media:
    target_s: int
    segments: list[Segment] = field(default_factory=list)
    ended: bool = False

    @property
    def duration_s(self) -> float:
        return sum(each.duration_s for each in self.segments)


def attributes(text: str) -> dict[str, str]:
    """Reads an attribute list (section 4.2); nothing may be left over, and no name occurs twice."""
    found = ATTRIBUTE.findall(text)
    assert "".join(f"{name}={value}," for name, value in found).rstrip(",") == text, text
    assert len({name for name, _ in found}) == len(found), text
    return dict(found)


def lines_of(text: str) -> list[str]:
    """Splits a playlist (section 4.1): UTF-8 without a mark or control characters, with `#EXTM3U` first."""
    assert not text.startswith("\ufeff")
    assert text.endswith("\n")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", text)
    lines = text.removesuffix("\n").split("\n")
    assert lines[0] == "#EXTM3U"
    assert all(line.strip() == line and line for line in lines)
    return lines


def one_tag(lines: list[str], tag: str) -> str:
    found = [line.removeprefix(f"#{tag}").removeprefix(":") for line in lines if re.match(rf"#{tag}(:|$)", line)]
    assert len(found) == 1, (tag, found)
    return found[0]


def relative(uri: str) -> str:
    assert "://" not in uri and not uri.startswith("/"), uri
    assert re.search(r"\?token=live\.[\w.-]+$", uri), uri
    return uri


def multivariant(text: str) -> tuple[dict[str, str], str]:
    """Returns the attributes and the URI of the only variant."""
    lines = lines_of(text)
    assert one_tag(lines, "EXT-X-VERSION") == "7"
    one_tag(lines, "EXT-X-INDEPENDENT-SEGMENTS")
    assert "#EXTINF" not in text  # a playlist is of one kind (section 4.1)
    found = attributes(one_tag(lines, "EXT-X-STREAM-INF"))
    at = next(number for number, line in enumerate(lines) if line.startswith("#EXT-X-STREAM-INF"))
    assert re.fullmatch(r"[1-9]\d*", found["BANDWIDTH"])  # required (section 4.3.4.2)
    assert int(found["AVERAGE-BANDWIDTH"]) <= int(found["BANDWIDTH"])
    assert re.fullmatch(r'"(avc1\.[0-9A-F]{6}|hvc1\.[0-9A-Z.]+)(,mp4a\.40\.\d+)?"', found["CODECS"])  # Apple: a must
    assert re.fullmatch(r"[1-9]\d*x[1-9]\d*", found["RESOLUTION"])
    assert re.fullmatch(r"\d+\.\d{3}", found["FRAME-RATE"])  # three decimals
    assert [line for line in lines if not line.startswith("#")] == [lines[at + 1]]
    return found, relative(lines[at + 1])


def media(text: str) -> Media:
    """Returns what a media playlist says."""
    lines = lines_of(text)
    assert int(one_tag(lines, "EXT-X-VERSION")) >= 6  # for EXT-X-MAP (section 7)
    assert one_tag(lines, "EXT-X-PLAYLIST-TYPE") == "EVENT"
    assert one_tag(lines, "EXT-X-MEDIA-SEQUENCE") == "0"
    assert attributes(one_tag(lines, "EXT-X-START")) == {"TIME-OFFSET": "0", "PRECISE": "YES"}
    first = next((at for at, line in enumerate(lines) if line.startswith("#EXTINF")), len(lines))
    for tag in ("EXT-X-TARGETDURATION", "EXT-X-MEDIA-SEQUENCE", "EXT-X-PLAYLIST-TYPE"):
        at = next(number for number, line in enumerate(lines) if line.startswith(f"#{tag}:"))
        assert at < first
    found = Media(int(one_tag(lines, "EXT-X-TARGETDURATION")))
    init, broken, duration = "", False, 0.0
    for line in lines:
        if line.startswith("#EXT-X-MAP:"):
            assert not found.segments or broken  # other headers only behind a discontinuity
            init = relative(attributes(line.partition(":")[2])["URI"].strip('"'))
        elif line == "#EXT-X-DISCONTINUITY":
            assert found.segments
            broken = True
        elif line.startswith("#EXTINF:"):
            assert re.fullmatch(r"#EXTINF:\d+\.\d+,", line)  # a decimal number from version 3 (section 4.3.2.1)
            duration = float(line.removeprefix("#EXTINF:").removesuffix(","))
        elif not line.startswith("#"):
            assert init and duration > 0
            assert round(duration) <= found.target_s  # section 4.3.3.1
            found.segments.append(Segment(relative(line), duration, init, broken))
            broken, duration = False, 0.0
    found.ended = "#EXT-X-ENDLIST" in lines
    return found


def grew(before: str, after: str) -> None:
    """An EVENT playlist may only get lines at its end (section 6.2.1)."""
    assert after.startswith(before.removesuffix("#EXT-X-ENDLIST\n")), (before, after)
    assert "#EXT-X-ENDLIST" not in before or after == before
