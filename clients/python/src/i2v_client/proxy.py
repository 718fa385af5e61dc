"""The proxy that the environment names for a server. gRPC uses it even for this machine; the client does not."""

import ipaddress
import os
import re
from urllib.parse import urlsplit

NAMES = ("grpc_proxy", "https_proxy", "http_proxy")
"""The variables that gRPC reads, in its order. It ignores them in upper case."""
EXCEPTIONS = ("no_grpc_proxy", "no_proxy")
SCHEME = re.compile(r"^(dns:(//[^/]*/)?|ipv4:|ipv6:)")
"""Schemes that may precede the addresses of a gRPC target."""


def options(server: str) -> tuple[tuple[str, int], ...]:
    """Returns the channel options for a direct connection to servers on this machine; none for others."""
    return (("grpc.enable_http_proxy", 0),) if all(map(_is_here, _hosts(server))) else ()


def named_for(server: str) -> str:
    """Returns the proxy that gRPC uses for a server, with the variable that names it; empty if it uses none."""
    # Here, because it loads HTTP, e-mail and more, and only the text of an error needs it.
    from urllib.request import proxy_bypass

    excepted = _first(EXCEPTIONS)[1]
    if options(server) or all(proxy_bypass(host, {"no": excepted}) for host in _hosts(server)):
        return ""
    name, proxy = _first(NAMES)
    # Without its user and password.
    return f"{urlsplit(proxy).netloc.rpartition('@')[2]}, which {name} names" if name else ""


def _first(names: tuple[str, ...]) -> tuple[str, str]:
    """Returns the first variable that is not empty, and its value."""
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
