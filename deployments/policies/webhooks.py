"""Where webhook tasks may be sent: public addresses, and the networks that the operator names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

#: Scheme, host (a name, or an address), port, and the rest: no user, no fragment, nothing that two parsers read in two
#: ways.
URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?:[/?][!-~]*)?"
)
HIGHEST_PORT = 65_535


def url_error(url: str, *, networks: Sequence[Network]) -> str:
    """Why an address can't be an endpoint's; nothing where it can. Plain HTTP stays in the operator's networks."""
    found = URL.fullmatch(url)
    if found is None or "#" in url or "\\" in url or not 0 < int(found["port"] or 1) <= HIGHEST_PORT:
        return "Give an address like https://deploy.example.org/hooks/shop, without user and fragment."
    if found["scheme"] == "http" and not networks:
        return "Give an https:// address."
    return ""


def may_reach(address: Address, *, scheme: str, networks: Sequence[Network]) -> bool:
    """Whether a call may go to this address: one of the operator's networks, or public and by HTTPS."""
    inner = _inner(address)
    if any(inner in network for network in networks if network.version == inner.version):
        return True
    return scheme == "https" and _is_public(inner)


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, or the address itself."""
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or address.sixtofour or address
    return address


def _is_public(address: Address) -> bool:
    odd = address.is_multicast or address.is_reserved or getattr(address, "is_site_local", False)
    return address.is_global and not odd
