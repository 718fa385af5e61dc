"""Many receivers of webhooks in one process, by TLS, a tenth of them dead.

`python -m tools.webhook_receivers FOLDER PORT`: each has an address of this machine's own network, all have one port.
The folder gets their certificate. A line on stdin asks for what came since the last one: a line of JSON with
`[receiver, webhook-id, seconds from the event]` of each.
"""

import asyncio
import ipaddress
import json
import ssl
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

RECEIVERS = 1000
DEAD_EACH = 10
"""One receiver of so many is dead: in turn it refuses connections, never answers, or answers 500."""
CERTIFICATE, KEY = "cert.pem", "key.pem"


def address(number: int) -> str:
    """Returns the address of a receiver."""
    return f"127.10.{number // 250}.{number % 250 + 1}"


def is_dead(number: int) -> bool:
    """Whether a receiver never takes a webhook."""
    return number % DEAD_EACH == 0


def make_certificate(folder: Path) -> None:
    """Makes a certificate for all addresses, which is its own authority."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "receivers")])
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address(n))) for n in range(RECEIVERS)])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    builder = builder.add_extension(names, critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    pem = serialization.Encoding.PEM
    (folder / CERTIFICATE).write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / KEY).write_bytes(private)


async def serve(folder: Path, port: int) -> None:
    """Serves until stdin ends."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / CERTIFICATE, folder / KEY)
    got: list[tuple[int, str, float]] = []

    async def answer(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
                headers = dict(line.split(": ", 1) for line in head[1:] if ": " in line)
                body = json.loads(await reader.readexactly(int(headers["content-length"])))
                happened = datetime.fromisoformat(body["timestamp"]).timestamp()
                got.append((number, headers["webhook-id"], time.time() - happened))
                if is_dead(number) and number // DEAD_EACH % 3 == 1:
                    await asyncio.Event().wait()
                status = "500 no" if is_dead(number) else "204 ok"
                writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n".encode())
        writer.close()

    for number in range(RECEIVERS):
        if is_dead(number) and number // DEAD_EACH % 3 == 0:
            continue  # refuses connections

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int = number) -> None:
            await answer(number, reader, writer)

        await asyncio.start_server(accept, address(number), port, ssl=context, backlog=100)
    print("ready", flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(got), flush=True)
        got.clear()


if __name__ == "__main__":
    make_certificate(Path(sys.argv[1]))
    uvloop.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
