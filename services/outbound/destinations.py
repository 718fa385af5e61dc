"""Where a provider may connect to: hosts that are named, and of their addresses only public ones.

Vendors send us URLs, and a URL into our own network would make us send requests there on its behalf. So a name must
be on the list, and what it resolves to must be a public address; a private one is let through only where the list
names that very address, as it does for a simulator. The check is of the address that is then connected to, not of
another look-up.
"""

import asyncio
import socket
import ssl
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass, field
from functools import cached_property
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from services.outbound.public_addresses import address_of, is_public_address

REMEMBERED_S = 30.0
"""A thousand tasks poll one host; they need not resolve it a thousand times."""
HOSTS = 64
"""Host names with kept connections and addresses, at most: a vendor may use a new host for each video."""
TRIES = 3


Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Looks up the addresses of a host name, for connections to a port. Raises OSError, or RuntimeError."""


async def looked_up(host: str, port: int) -> list[str]:
    """Looks up a name in one of the event loop's threads."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return [str(each[4][0]) for each in found]


class NotAllowed(httpx.ConnectError):
    """The destination is not on the list, or not public. Nothing was sent."""


class Destinations:
    """A list of `host`, `*.domain` (not the domain itself), or `address`, each for any port, or with `:port`."""

    def __init__(
        self,
        allowed: Collection[str],
        *,
        is_public: Callable[[str], bool] = is_public_address,
        resolve: Resolve = looked_up,
    ) -> None:
        """`is_public` decides whether an address is one of the internet; `resolve` looks up names."""
        self._allowed = frozenset(entry.lower() for entry in allowed)
        self._is_public = is_public
        self._resolve = resolve

    def check(self, url: httpx.URL) -> None:
        """Raises NotAllowed unless the URL may be requested: by scheme, name, and port where the list has one."""
        host, named = url.host.lower().rstrip("."), self.names(url)
        if not named or url.userinfo:
            raise NotAllowed("the host is not on the list of allowed ones")
        if url.scheme != "https" and not (url.scheme == "http" and address_of(host) is not None):
            raise NotAllowed("only https is allowed, but for addresses that are listed")

    def names(self, url: httpx.URL) -> bool:
        """Whether the list has the host of a URL."""
        host, port = url.host.lower().rstrip("."), url.port or (80 if url.scheme == "http" else 443)
        labels = host.split(".")
        suffixes = [] if address_of(host) else ["*." + ".".join(labels[cut:]) for cut in range(1, len(labels))]
        return any({name, f"{name}:{port}"} & self._allowed for name in (host, *suffixes))

    async def addresses(self, url: httpx.URL) -> list[str]:
        """Returns the addresses that a URL's host may be reached at. Raises NotAllowed, or httpx.ConnectError."""
        if address_of(url.host) is not None:
            return [url.host]  # It is on the list as such.
        return await self._allowed_addresses(url, self._is_public)

    async def _allowed_addresses(self, url: httpx.URL, is_allowed: Callable[[str], bool]) -> list[str]:
        try:
            found = await self._resolve(url.host, url.port or 443)
        except (OSError, RuntimeError) as error:  # or no thread can be started
            raise httpx.ConnectError(f"the host cannot be resolved: {error}") from error
        addresses = list(dict.fromkeys(found))
        if not addresses or not all(is_allowed(address) for address in addresses):
            raise NotAllowed("the host leads to an address that is not public")
        return addresses


@dataclass
class _Pool:
    """The connections to one host name, and the addresses of that name."""

    transport: httpx.AsyncHTTPTransport
    under_way: int = 0
    """Requests with answers that are not read yet."""
    addresses: list[str] = field(default_factory=list)
    expires: float = 0.0


class _Body(httpx.AsyncByteStream):
    """The body of an answer; it reports when it is closed."""

    def __init__(self, body: httpx.AsyncByteStream, closed: Callable[[], None]) -> None:
        self._body = body
        self._closed = closed

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._body:
            yield chunk

    async def aclose(self) -> None:
        try:
            await self._body.aclose()
        finally:
            closed, self._closed = self._closed, lambda: None
            closed()


class GuardedTransport(httpx.AsyncBaseTransport):
    """Sends a request only to a destination that is allowed, and to the very address that was checked."""

    def __init__(
        self,
        destinations: Destinations,
        limits: httpx.Limits,
        *,
        remembered_s: float = REMEMBERED_S,
        hosts: int = HOSTS,
    ) -> None:
        """`remembered_s` is how long the addresses of a name are used without another look-up; `hosts` is how many
        host names have kept connections, at most.
        """
        self._destinations = destinations
        self._limits = limits
        self._remembered_s = remembered_s
        self._hosts = hosts
        # A pool for each name: in a pool for each address, a connection verified for one name would serve another.
        self._pools: OrderedDict[str, _Pool] = OrderedDict()
        """In the order of their last use."""

    @property
    def pools(self) -> int:
        """The number of host names with a pool."""
        return len(self._pools)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends a request. Raises NotAllowed, and what httpx raises."""
        self._destinations.check(request.url)
        pool = self._pool(request.url.host)
        pool.under_way += 1

        def ended() -> None:
            pool.under_way -= 1

        try:
            await self._shorten()
            response = await self._send(pool, request)
        except BaseException:
            ended()
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _Body(response.stream, ended)
        return response

    async def _send(self, pool: _Pool, request: httpx.Request) -> httpx.Response:
        addresses = await self._addresses(pool, request.url)
        for address in addresses[: TRIES - 1]:
            try:
                return await pool.transport.handle_async_request(_towards(request, address))
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if address == addresses[-1]:
                    raise
        return await pool.transport.handle_async_request(_towards(request, addresses[min(len(addresses), TRIES) - 1]))

    def _pool(self, host: str) -> _Pool:
        pool = self._pools.get(host)
        if pool is None:
            transport = httpx.AsyncHTTPTransport(verify=self._trust, limits=self._limits, retries=0)
            pool = self._pools[host] = _Pool(transport)
        self._pools.move_to_end(host)
        return pool

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        """One for all pools: each needs megabytes, and tens of milliseconds."""
        try:
            return httpx.create_ssl_context()
        except OSError as error:  # the authorities' file cannot be opened
            raise httpx.ConnectError(f"no connection can be made: {error}") from error

    async def _shorten(self) -> None:
        """Closes the least recently used pools, but none with a request in progress."""
        while self.pools > self._hosts:
            # Searched again each time: while one is being closed, pools are added, removed and used.
            idle = next((host for host, pool in self._pools.items() if not pool.under_way), None)
            if idle is None:
                return
            # Remove it from the map first: a request that arrives while it closes gets another pool.
            await self._pools.pop(idle).transport.aclose()

    async def _addresses(self, pool: _Pool, url: httpx.URL) -> list[str]:
        now = asyncio.get_running_loop().time()
        if now >= pool.expires:
            pool.addresses = await self._destinations.addresses(url)
            pool.expires = now + self._remembered_s
        return pool.addresses

    async def aclose(self) -> None:
        """Closes every connection."""
        while self._pools:
            _, pool = self._pools.popitem()
            await pool.transport.aclose()


def guarded_client(transport: GuardedTransport, timeout: httpx.Timeout | None = None) -> httpx.AsyncClient:
    """Returns a client over a transport: no proxy, no .netrc, no unchecked redirects, no cookies.

    The environment must not change where money goes, and a host must not make the client store data.
    """
    nothing = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    return httpx.AsyncClient(
        transport=transport, trust_env=False, follow_redirects=False, cookies=nothing, timeout=timeout
    )


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
