"""`python -m services.health_probe [URL]`: the health command of a container.

It asks the health port of the process in the same container whether the process is ready, or the URL of another
server. Exits with 0 if the answer is a success. Otherwise it exits with 1, and one line says why.
"""

import http.client
import sys
from urllib.parse import urlsplit

READY = "http://127.0.0.1:8081/readyz"
TIMEOUT_S = 4.0
LONGEST = 500
"""Bytes of an answer that are shown."""


def main(arguments: list[str]) -> int:
    """Returns the exit code: 0 if it is ready, 1 if it is not, 2 at a wrong call."""
    url = urlsplit(arguments[0] if arguments else READY)
    if len(arguments) > 1 or url.scheme != "http" or url.hostname is None:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", url.path)
        answer = connection.getresponse()
        text = answer.read(LONGEST).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        sys.stderr.write(f"{url.netloc} does not answer: {error}\n")
        return 1
    finally:
        connection.close()
    if answer.status // 100 == 2:
        return 0
    sys.stderr.write(f"{url.netloc} answers with {answer.status}: {text}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
