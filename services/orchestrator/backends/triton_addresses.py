"""The addresses that the name of a Triton stands for: behind a headless Service, one for each of its pods."""

import asyncio
import ipaddress
import logging
import socket

RESOLVE_S = 5.0
"""Longest wait for the answer of DNS."""
NONE = {socket.EAI_NONAME, socket.EAI_NODATA}
"""Errors that say: the name stands for no address now."""

log = logging.getLogger(__name__)


async def resolve(target: str) -> list[str] | None:
    """Returns the addresses, `host:port`, of `name:port`. None: unknown, because DNS does not answer.

    A name with addresses of both kinds stands for its IPv4 ones: a pod has one of each, and is one server.
    """
    name, _, port = target.rpartition(":")
    try:
        async with asyncio.timeout(RESOLVE_S):
            found = await asyncio.get_running_loop().getaddrinfo(
                name.strip("[]"), int(port), type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
            )
    except (OSError, UnicodeError, RuntimeError) as error:  # or there is no thread to ask
        if isinstance(error, socket.gaierror) and error.errno in NONE:
            return []
        log.warning("the addresses of a Triton are unknown", extra={"target": target, "error": repr(error)})
        return None
    hosts = {kind: sorted({str(each[4][0]) for each in found if each[0] == kind}) for kind in KINDS}
    return [f"{host}:{port}" for host in hosts[socket.AF_INET]] or [
        f"[{host}]:{port}" for host in hosts[socket.AF_INET6]
    ]


KINDS = (socket.AF_INET, socket.AF_INET6)


def shared_name(address: str) -> str:
    """Returns a name of an address that means the same server on every machine."""
    host = ipaddress.ip_address(address.rpartition(":")[0].strip("[]").partition("%")[0])
    return f"{socket.gethostname()}/{address}" if host.is_loopback else address
