"""Where the service is: what a person writes, and what gRPC dials for it.

One `host:port`, or several with commas between them; a name may stand for several addresses itself. Every call goes to
one that is connected and says that it serves, each in its turn.
"""

import ipaddress
import json
import re
import socket
from collections.abc import Sequence
from contextlib import suppress

SERVICE = "i2v.v1.JobService"
"""Whose health is watched: a worker, which answers at an address too, does not have it."""
CONFIG = json.dumps({"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": SERVICE}})
"""gRPC's service config. It has no retryPolicy: `patience` repeats calls, for longer and as the server asks for."""
HOST_PORT = re.compile(r"(?P<host>[^\s:/\[\],]+|\[[0-9A-Fa-f:.%\w]+\]):(?P<port>[0-9]{1,5})")
SCHEMES = ("dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:")
"""gRPC's own ways to write a target; they are taken as they are."""
FORM = "give host:port, such as 127.0.0.1:50051, or several with commas between them"


def addresses(server: str) -> list[str]:
    """Returns the addresses that a person wrote, each `host:port`, or the one target in gRPC's own spelling.

    Raises:
        ValueError: it is none; the message says how one is written.
    """
    if server.startswith(SCHEMES):
        return [server]
    found = [each.strip() for each in server.split(",")]
    for each in found:
        match = HOST_PORT.fullmatch(each)
        if not match or not 0 < int(match["port"]) < 65536:
            raise ValueError(f"{each!r} is no address; {FORM}")
    return found


def options(of: Sequence[str], *, tls: bool) -> tuple[tuple[str, str], ...]:
    """Returns the channel options that spread calls over addresses. One address alone needs none.

    With TLS every server of a list must show a certificate for the host that is named first.
    """
    first = of[0].rpartition(":")[0].strip("[]")
    if len(of) == 1:
        with suppress(ValueError):
            ipaddress.ip_address(first)
            return ()
    named_first = (("grpc.ssl_target_name_override", first),) if tls and len(of) > 1 else ()
    return (("grpc.service_config", CONFIG), *named_first)


def target(of: Sequence[str]) -> str:
    """Returns what gRPC dials for addresses. Blocks while names are looked up, if there are several addresses.

    A name that stands alone is left to gRPC, which looks it up again whenever a connection is lost.

    Raises:
        OSError: none of the names is known.
        ValueError: some of the addresses are IPv4 alone and others IPv6 alone, which gRPC cannot mix.
    """
    if len(of) == 1:
        return of[0]
    resolved: dict[str, dict[socket.AddressFamily, str]] = {}
    unknown: OSError | None = None
    for each in of:
        host, _, port = each.rpartition(":")
        try:
            found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
        except OSError as error:  # that one may be away, its name with it
            unknown = error
            continue
        resolved[each] = {family: str(address[0]) for family, _, _, _, address in reversed(found)}
    if not resolved and unknown is not None:
        raise unknown
    for family, scheme, form in ((socket.AF_INET, "ipv4", "{}:{}"), (socket.AF_INET6, "ipv6", "[{}]:{}")):
        if all(family in each for each in resolved.values()):
            dialled = [form.format(ways[family], each.rpartition(":")[2]) for each, ways in resolved.items()]
            return f"{scheme}:{','.join(dict.fromkeys(dialled))}"
    raise ValueError("the addresses are partly IPv4 and partly IPv6; give those of one kind")
