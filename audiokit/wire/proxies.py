"""Who asks, when a proxy asks on somebody's behalf: X-Forwarded-For and X-Forwarded-Proto.

Both are what every proxy writes, though no standard defines them.  Anybody can send them, so they count only from
an address that is trusted, and no further than the chain of trusted addresses reaches.  Pure; raises nothing.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Dict, Optional, Tuple

# An address as proxies write it: bare, with a port, or IPv6 in brackets.
_HOP = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::\d{1,5})?|(\d+\.\d+\.\d+\.\d+)(?::\d{1,5})?|([0-9A-Fa-f:.]+)", re.ASCII)


class Proxies:
    """The networks (of the module `ipaddress`) whose word about their clients is taken."""

    def __init__(self, networks: Tuple[Any, ...]) -> None:
        self._networks = networks

    def trust(self, address: str) -> bool:
        """Whether what comes from this address may speak for others."""
        if not self._networks:
            return False
        host = _address(address)
        return host is not None and self._has(host)

    def _has(self, host: Any) -> bool:
        return any(host.version == network.version and host in network for network in self._networks)

    def client(self, peer: str, fields: Dict[str, str]) -> str:
        """The address a trusted `peer` speaks for: the right-most hop that is not trusted.

        Where the chain breaks off (a hop is no address, or none is left) it is the last that was good.
        """
        found = peer
        for hop in reversed(fields.get("x-forwarded-for", "").split(",")):
            host = _address(hop.strip(" \t"))
            if host is None:
                break
            found = str(host)
            if not self._has(host):
                break
        return found

    def scheme(self, fields: Dict[str, str]) -> Optional[str]:
        """http or https, as the nearest proxy says it; None where it says neither."""
        word = fields.get("x-forwarded-proto", "").rpartition(",")[2].strip(" \t").lower()
        return word if word in ("http", "https") else None


def _address(text: str) -> Any:
    """An address without zone and port, IPv4 in IPv6's clothes as what it is; None for anything else."""
    found = _HOP.fullmatch(text.partition("%")[0])
    if found is None:
        return None
    try:
        host = ipaddress.ip_address(found.group(1) or found.group(2) or found.group(3))
    except ValueError:
        return None
    return getattr(host, "ipv4_mapped", None) or host
