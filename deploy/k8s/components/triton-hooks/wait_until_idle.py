"""Waits until this pod's Triton has made no video for a while, at most as many seconds as its argument says.

Workers hear from DNS that the pod stops, some seconds later: until then a new video may come. A pod's preStop hook: the
server gets its stop signal only afterwards. It needs nothing but Python.
"""

import re
import sys
import time
import urllib.request

METRICS = "http://127.0.0.1:8002/metrics"
BUSY = re.compile(r"^(?:i2v_transformer_videos|i2v_vae_decoder_sequences)(?:\{[^}]*\})? (\S+)$", re.MULTILINE)
LOOK_S = 1.0
QUIET_S = 15.0
"""Seconds without a video after which none comes."""


def busy(metrics: str) -> bool:
    """Returns whether a page of metrics says that videos are being made."""
    return any(float(number) > 0 for number in BUSY.findall(metrics))


def main(arguments: list[str], url: str = METRICS, quiet_s: float = QUIET_S) -> int:
    """Returns the exit code: 0 when it is idle or does not answer, 1 when the time is over."""
    idle_since = time.monotonic()
    until = idle_since + float(arguments[0])
    while (now := time.monotonic()) < until:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                if busy(answer.read().decode()):
                    idle_since = now + LOOK_S
                elif now >= idle_since + quiet_s:
                    return 0
        except OSError:
            return 0
        time.sleep(LOOK_S)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
