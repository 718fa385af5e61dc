"""Which proxy the environment names for a server. gRPC goes through it even to this machine; the client does not."""

import ipaddress
import os
import re
from urllib.parse import urlsplit
from urllib.request import proxy_bypass

NAMES = ("grpc_proxy", "https_proxy", "http_proxy")
"""Where gRPC looks, in its order. In capitals it does not look."""
EXCEPTIONS = ("no_grpc_proxy", "no_proxy")
SCHEME = re.compile(r"^(dns:(//[^/]*/)?|ipv4:|ipv6:)")
"""What may stand before the addresses of a gRPC target."""


def options(server: str) -> tuple[tuple[str, int], ...]:
    """Returns what a channel needs to go directly to servers on this machine; nothing for others."""
    return (("grpc.enable_http_proxy", 0),) if all(map(_is_here, _hosts(server))) else ()


def named_for(server: str) -> str:
    """Returns the proxy that gRPC takes to a server, with the variable that names it; empty if it takes none."""
    excepted = _first(EXCEPTIONS)[1]
    if options(server) or all(proxy_bypass(host, {"no": excepted}) for host in _hosts(server)):
        return ""
    name, proxy = _first(NAMES)
    # Without its user and password.
    return f"{urlsplit(proxy).netloc.rpartition('@')[2]}, which {name} names" if name else ""


def _first(names: tuple[str, ...]) -> tuple[str, str]:
    """Returns the first of the variables that says something, and what it says."""
    return next(((name, value) for name in names if (value := os.environ.get(name))), ("", ""))


def _hosts(server: str) -> list[str]:
    """Returns the hosts of addresses, `host:port,host:port`, also as gRPC itself writes targets."""
    addresses = SCHEME.sub("", server).split(",")
    return [re.sub(r":\d+$", "", address.strip()).strip("[]") for address in addresses]


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost") or host.startswith("unix:")
