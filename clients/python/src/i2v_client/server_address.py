"""The address of the service: as a person writes it, and as gRPC needs it.

It is one `host:port`, or several, separated by commas; a name may also have several addresses. Calls go in turn to the
servers that are connected and serve.
"""

import ipaddress
import json
import re
import socket
from collections.abc import Sequence
from contextlib import suppress

DEFAULT = "127.0.0.1:50051"
"""Where `make run` serves."""
SERVICE = "i2v.v1.JobService"
"""The service with the watched health: a worker listens on an address too, but does not have this service."""
CONFIG = json.dumps({"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": SERVICE}})
"""gRPC's service config. It has no retryPolicy: `retry` repeats calls, for longer and as the server asks for."""
HOST_PORT = re.compile(r"(?P<host>[^\s:/\[\],]+|\[[0-9A-Fa-f:.%\w]+\]):(?P<port>[0-9]{1,5})")
SCHEMES = ("dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:")
"""gRPC's own target schemes; such a target is used unchanged."""
FORM = "give host:port, such as 127.0.0.1:50051, or several, separated by commas"


def addresses(server: str) -> list[str]:
    """Returns the addresses, each `host:port`, or a single target with one of gRPC's own schemes.

    Raises:
        ValueError: it is not an address; the message gives the form.
    """
    if server.startswith(SCHEMES):
        return [server]
    found = [each.strip() for each in server.split(",")]
    for each in found:
        match = HOST_PORT.fullmatch(each)
        if not match or not 0 < int(match["port"]) < 65536:
            raise ValueError(f"{each!r} is not an address; {FORM}")
    return found


def options(of: Sequence[str], *, tls: bool) -> tuple[tuple[str, str], ...]:
    """Returns the channel options that distribute calls over addresses. A single numeric address needs none.

    With TLS every server of a list must have a certificate for the first host of the list.
    """
    first = of[0].rpartition(":")[0].strip("[]")
    if len(of) == 1:
        with suppress(ValueError):
            ipaddress.ip_address(first)
            return ()
    named_first = (("grpc.ssl_target_name_override", first),) if tls and len(of) > 1 else ()
    return (("grpc.service_config", CONFIG), *named_first)


def target(of: Sequence[str]) -> str:
    """Returns gRPC's target for addresses. With several addresses it blocks while it looks up their names.

    gRPC itself looks up a single name, and does so again whenever a connection is lost.

    Raises:
        OSError: none of the names is known.
        ValueError: some of the addresses have only IPv4 and others only IPv6, which gRPC cannot mix.
    """
    if len(of) == 1:
        return of[0]
    resolved: dict[str, dict[socket.AddressFamily, str]] = {}
    unknown: OSError | None = None
    for each in of:
        host, _, port = each.rpartition(":")
        try:
            found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
        except OSError as error:  # that replica may be gone, and its name with it
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
