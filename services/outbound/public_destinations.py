"""Where a request may go whose URL a caller has chosen: to any host of the internet, and to private hosts by name."""

from collections.abc import Callable, Collection
from ipaddress import IPv6Address

import httpx

from services.outbound.destinations import Destinations, NotAllowed, Resolve, looked_up
from services.outbound.public_addresses import address_of, is_public_address


def _is_of_a_network(text: str) -> bool:
    """Whether an address may be that of another machine: of the internet, or of a private network."""
    address = address_of(text)
    if address is None:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    special = address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast
    return not special and (address.is_private or is_public_address(text))


class PublicDestinations(Destinations):
    """Every host by https whose addresses are all public, and the hosts of a list, by http too.

    The list has the forms of `Destinations`. A listed name may lead to addresses of private networks, but to none of
    this machine and to no link-local one, where clouds have their metadata. A listed address may be any.
    """

    def __init__(
        self,
        private: Collection[str] = (),
        *,
        is_public: Callable[[str], bool] = is_public_address,
        resolve: Resolve = looked_up,
    ) -> None:
        """`is_public` decides whether an address is one of the internet; `resolve` looks up names."""
        super().__init__(private, is_public=is_public, resolve=resolve)

    def check(self, url: httpx.URL) -> None:
        """Raises NotAllowed unless the URL may be requested, as far as its text says."""
        if url.userinfo:
            raise NotAllowed("a URL has no user and no password")
        listed = self.names(url)
        if url.scheme != "https" and not (listed and url.scheme == "http"):
            raise NotAllowed("only https is allowed")
        if listed:
            return
        if not url.host or (address_of(url.host) is not None and not self._is_public(url.host)):
            raise NotAllowed("the address is not public")

    async def addresses(self, url: httpx.URL) -> list[str]:
        """Returns the addresses that a URL's host may be reached at. Raises NotAllowed, or httpx.ConnectError."""
        if address_of(url.host) is not None:
            return [url.host]  # checked above
        listed = self.names(url)
        return await self._allowed_addresses(url, _is_of_a_network if listed else self._is_public)
