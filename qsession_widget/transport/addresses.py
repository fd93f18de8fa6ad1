"""Addresses of servers: which are this machine's own, and how they are shown."""

from __future__ import annotations

import re
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

Verify = bool | str
"""Whether to check a server's certificate; a path is that of trusted authorities."""

_CREDENTIALS = re.compile(r"//[^/\s'\"]*@")


def is_here(url: str) -> bool:
    """Whether an address is this machine's own, in any form: 127.0.0.2, ::1, a.localhost, 127.1."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    address: IPv4Address | IPv6Address | None
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        try:
            # Short forms, as the C library parses them.
            address = ip_address(socket.inet_aton(host)) if host[:1].isdigit() else None
        except OSError:
            address = None
    if address is None:
        return host == "localhost" or host.endswith(".localhost")
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified)


def without_credentials(text: str) -> str:
    """Remove the names and passwords from the addresses in a text."""
    return _CREDENTIALS.sub("//***@", text)
