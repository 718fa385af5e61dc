"""Where a provider may connect to: hosts that are named, and of their addresses only public ones.

A vendor tells us URLs, and a URL that leads into our own network would make us its hands there. So a name must be on
the list, and what it resolves to must be a public address; a private one is let through only where the list names that
very address, as it does for a simulator. The check is of the address that is then connected to, not of another look-up.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Collection

import httpx

REMEMBERED_S = 30.0
"""A thousand tasks poll one host; they need not resolve it a thousand times."""
TRIES = 3
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_UNICAST = ipaddress.ip_network("2000::/3")
"""All of IPv6 that is routed on the internet. Outside it the library calls much global that leads into a network."""


class NotAllowed(httpx.ConnectError):
    """The destination is not on the list, or not public. Nothing was sent."""


class Destinations:
    """A list of `host`, `*.domain` (not the domain itself), or `address`, each for any port, or with `:port`."""

    def __init__(self, allowed: Collection[str]) -> None:
        self._allowed = frozenset(entry.lower() for entry in allowed)

    def check(self, url: httpx.URL) -> None:
        """Raises NotAllowed unless the URL may be asked for: by scheme, name, and port where the list has one."""
        host, named = url.host.lower().rstrip("."), self._names(url)
        if not named or url.userinfo:
            raise NotAllowed("the host is not on the list of allowed ones")
        if url.scheme != "https" and not (url.scheme == "http" and _address(host) is not None):
            raise NotAllowed("only https is allowed, but for addresses that are listed")

    def _names(self, url: httpx.URL) -> bool:
        host, port = url.host.lower().rstrip("."), url.port
        labels = host.split(".")
        suffixes = [] if _address(host) else ["*." + ".".join(labels[cut:]) for cut in range(1, len(labels))]
        return any({name, f"{name}:{port}"} & self._allowed for name in (host, *suffixes))

    async def addresses(self, url: httpx.URL) -> list[str]:
        """Returns the addresses that a URL's host may be reached at. Raises NotAllowed, or httpx.ConnectError."""
        host = url.host
        if _address(host) is not None:
            return [host]  # It is on the list as such.
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                host, url.port or 443, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
            )
        except OSError as error:
            raise httpx.ConnectError(f"the host cannot be resolved: {error.strerror}") from error
        addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
        if not addresses or not all(_is_public(address) for address in addresses):
            raise NotAllowed("the host leads to an address that is not public")
        return addresses


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_public(text: str) -> bool:
    address = _address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return inner.is_global and not inner.is_multicast
        if address not in _UNICAST:
            return False
    return address is not None and address.is_global and not address.is_multicast


class GuardedTransport(httpx.AsyncBaseTransport):
    """Sends a request only to a destination that is allowed, and to the very address that was checked."""

    def __init__(self, destinations: Destinations, limits: httpx.Limits) -> None:
        self._destinations = destinations
        self._limits = limits
        self._of_host: dict[str, httpx.AsyncHTTPTransport] = {}
        self._resolved: dict[str, tuple[float, list[str]]] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends a request. Raises NotAllowed, and what httpx raises."""
        url = request.url
        self._destinations.check(url)
        # A pool for each name: in a pool for each address, a connection verified for one name would serve another.
        transport = self._of_host.get(url.host)
        if transport is None:
            transport = self._of_host[url.host] = httpx.AsyncHTTPTransport(limits=self._limits, retries=0)
        addresses = await self._addresses(url)
        for address in addresses[: TRIES - 1]:
            try:
                return await transport.handle_async_request(_towards(request, address))
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if address == addresses[-1]:
                    raise
        return await transport.handle_async_request(_towards(request, addresses[min(len(addresses), TRIES) - 1]))

    async def _addresses(self, url: httpx.URL) -> list[str]:
        now = asyncio.get_running_loop().time()
        expires, known = self._resolved.get(url.host, (0.0, []))
        if now >= expires:
            known = await self._destinations.addresses(url)
            self._resolved[url.host] = (now + REMEMBERED_S, known)
        return known

    async def aclose(self) -> None:
        """Closes every connection."""
        for transport in self._of_host.values():
            await transport.aclose()


def _towards(request: httpx.Request, address: str) -> httpx.Request:
    """Returns the request, to an address, still under the name that its certificate must have."""
    extensions = {**request.extensions, "sni_hostname": request.url.host}
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions=extensions,
    )
