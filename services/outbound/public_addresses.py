"""Which addresses are those of the internet."""

import ipaddress

from services.outbound import special_addresses

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_UNICAST = ipaddress.ip_network("2000::/3")
"""The part of IPv6 that is routed on the internet."""


def address_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Returns the address that a host is; None: it is a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def is_public_address(text: str) -> bool:
    """Whether an address is one of the internet, by IANA's registries."""
    address = address_of(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is None:
            return address in _UNICAST and not any(address in block for block in special_addresses.IPV6)
        address = inner
    return address is not None and not any(address in block for block in special_addresses.IPV4)
