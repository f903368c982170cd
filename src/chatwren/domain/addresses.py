"""Addresses of clients: in one spelling, and the network by which one of them counts."""

import ipaddress
import re

_MAX_WRITTEN = 64  # an IPv6 address, its zone and a port
_WITH_PORT = re.compile(r"(?:\[([^\[\]]+)\]|([0-9.]+))(?::[0-9]{1,5})?")
_IPV6_NETWORK = 64  # bits: whoever has one IPv6 address usually has the 2**64 around it

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse_address(text: str) -> IpAddress | None:
    """The IP address in `ip`, `ip:port`, `[ip]` or `[ip]:port`; None when there is none.

    An IPv4 address inside of an IPv6 one is that IPv4 address; a zone (`%eth0`) is left out.
    """
    if len(text) > _MAX_WRITTEN:
        return None
    if found := _WITH_PORT.fullmatch(text):
        text = found[1] or found[2]
    try:
        ip = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(ip, ipaddress.IPv6Address):
        return ip.ipv4_mapped or ipaddress.IPv6Address(int(ip))
    return ip


def network_of(address: str) -> str:
    """What counts as one client: an IPv4 address, or 2**64 IPv6 ones. What is no address stays as it is."""
    ip = parse_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((ip, _IPV6_NETWORK), strict=False))
    return str(ip) if ip else address
