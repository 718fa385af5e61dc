"""Addresses that are not of internet hosts, from IANA's special-purpose registries. Data.

Sources, as of October 2025: "IANA IPv4 Special-Purpose Address Registry" and "IPv6 Special-Purpose Address Space"
(iana.org/assignments/iana-ipv4-special-registry, iana-ipv6-special-registry; RFC 6890, RFC 8190), and multicast by the
address spaces themselves. Python's own table is updated late, and differs between releases.

Blocks that are globally reachable are here too (AS112, AMT, anycast of protocols): no vendor's host has such an
address, and a machine of our own network may answer there. A block within another one is not listed.
"""

from ipaddress import IPv4Network, IPv6Network

IPV4 = tuple(
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private use
        "100.64.0.0/10",  # shared address space
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local
        "172.16.0.0/12",  # private use
        "192.0.0.0/24",  # IETF protocol assignments: DS-Lite, dummy, anycasts of PCP and TURN, NAT64 discovery
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # relays of 6to4, deprecated
        "192.168.0.0/16",  # private use
        "192.175.48.0/24",  # AS112, direct delegation
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and limited broadcast
    )
)

IPV6 = tuple(
    IPv6Network(block)
    for block in (
        "::/8",  # unspecified, loopback, IPv4-mapped, NAT64 (checked by the IPv4 address in it)
        "100::/64",  # discard-only
        "100:0:0:1::/64",  # dummy
        "2001::/23",  # IETF protocol assignments: Teredo, anycasts, benchmarking, AMT, AS112, ORCHID, ORCHIDv2, DRIP
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",  # AS112, direct delegation
        "3fff::/20",  # documentation
        "5f00::/16",  # segment routing
        "fc00::/7",  # unique-local
        "fe80::/10",  # link-local
        "fec0::/10",  # site-local, deprecated
        "ff00::/8",  # multicast
    )
)
