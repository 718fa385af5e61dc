"""The playlists of HTTP Live Streaming (RFC 8216, and Apple's authoring specification). Pure.

URIs are relative and carry the token, so that a player needs nothing else.
"""

import math
from fractions import Fraction
from urllib.parse import quote

from services.studio.live.takes import Take

MEDIA_TYPE = "application/vnd.apple.mpegurl"
VERSION = 7
MEDIA = "video.m3u8"
AHEAD = 2
"""Target duration by that of the first fragment: engines begin with a short one, and a target must not change."""


def multivariant(take: Take, number: int, *, token: str, rate: Fraction, codecs: str, width: int, height: int) -> str:
    """Returns the playlist that names the media playlist of a take that has a segment."""
    rates = [each.fragment.size_bytes * 8 * rate / each.fragment.frames for each in take.segments]
    whole = sum(each.fragment.size_bytes for each in take.segments) * 8 * rate / take.frames
    attributes = [f"BANDWIDTH={math.ceil(max(rates))}", f"AVERAGE-BANDWIDTH={math.ceil(whole)}"]
    attributes += [f'CODECS="{codecs}"'] if codecs else []
    attributes += [f"RESOLUTION={width}x{height}", f"FRAME-RATE={float(rate):.3f}", "CLOSED-CAPTIONS=NONE"]
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{VERSION}", "#EXT-X-INDEPENDENT-SEGMENTS"]
    lines += [f"#EXT-X-STREAM-INF:{','.join(attributes)}", f"live/{number}/{MEDIA}{_query(token)}"]
    return "\n".join([*lines, ""])


def media(take: Take, *, token: str, rate: Fraction, ended: bool) -> str:
    """Returns the media playlist of a take, as far as it is made."""
    query = _query(token)
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{VERSION}", f"#EXT-X-TARGETDURATION:{target_s(take, rate)}"]
    lines += ["#EXT-X-MEDIA-SEQUENCE:0", "#EXT-X-PLAYLIST-TYPE:EVENT", "#EXT-X-INDEPENDENT-SEGMENTS"]
    lines += [
        "#EXT-X-START:TIME-OFFSET=0,PRECISE=YES"
    ]  # players begin near the end of what grows unless they are asked
    for number, segment in enumerate(take.segments):
        if segment.init == number:
            lines += ["#EXT-X-DISCONTINUITY"] if number else []
            lines += [f'#EXT-X-MAP:URI="init-{number}.mp4{query}"']
        lines += [f"#EXTINF:{float(segment.fragment.frames / rate):.6f},", f"{number}.m4s{query}"]
    return "\n".join([*lines, *(["#EXT-X-ENDLIST"] if ended else []), ""])


def target_s(take: Take, rate: Fraction) -> int:
    """Returns the target duration in whole seconds, at least that of the longest segment."""
    seconds = [each.fragment.frames / rate for each in take.segments] or [Fraction(1)]
    return max(1, math.ceil(AHEAD * seconds[0]), *(math.floor(each + Fraction(1, 2)) for each in seconds))


def _query(token: str) -> str:
    return f"?token={quote(token, safe='')}"
