"""Where a connection comes from, and whether it may from there.

Behind a reverse proxy every connection comes from the proxy, which says for whom in ``X-Forwarded-For`` or
``Forwarded`` (RFC 7239). Anybody can send these headers, so they count from ``trusted_proxies`` alone, and are read
from the right: the first address that is no trusted proxy's is the client's, what stands left of it the client may
have made up. ``X-Forwarded-Host`` and ``X-Forwarded-Proto`` are never looked at.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable, Sequence

from hotmic.errors import ConfigError, NotAuthorized

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_FOR = re.compile(r'(?:^|[;,])\s*for\s*=\s*(?:"([^"]*)"|([^;,"\s]*))', re.IGNORECASE)


class Addresses:
    """The address rules.

    Args:
        allowed: Ranges that may connect, such as ``10.0.0.0/8``; empty for all.
        trusted: Ranges of the reverse proxies whose word counts.

    Raises:
        ConfigError: An entry is no range of addresses.
    """

    def __init__(self, *, allowed: Iterable[str] = (), trusted: Iterable[str] = ()) -> None:
        self._allowed = [_network("allowed_addresses", entry) for entry in allowed]
        self._trusted = [_network("trusted_proxies", entry) for entry in trusted]

    def check(self, address: str) -> None:
        """Pass if a client may connect from an address.

        Raises:
            NotAuthorized: It may not.
        """
        if self._allowed and not _is_in(address, self._allowed):
            raise NotAuthorized("Connections from this address are not allowed.")

    def client(self, peer: str, headers: Callable[[str], Sequence[str]]) -> str:
        """Return the address of the client behind a connection.

        Args:
            peer: The other end of the connection.
            headers: Returns all values of a header.

        Raises:
            NotAuthorized: Trusted proxies say two different things of it.
        """
        peer = _plain(peer)
        if not _is_in(peer, self._trusted):
            return peer
        ways = []
        if values := headers("X-Forwarded-For"):
            ways.append([part.strip() for part in ",".join(values).split(",")])
        if values := headers("Forwarded"):
            ways.append([quoted or bare for quoted, bare in _FOR.findall(",".join(values))])
        found = {self._nearest(peer, hops) for hops in ways}
        if len(found) > 1:
            # A proxy writes one of them and passes the other on as the client sent it.
            raise NotAuthorized("The headers Forwarded and X-Forwarded-For name different addresses.")
        return found.pop() if found else peer

    def _nearest(self, peer: str, hops: Sequence[str]) -> str:
        """Return the last hop that is no trusted proxy; where one cannot be read, the proxy that wrote it."""
        last = peer
        for hop in reversed(hops):
            address = _plain(_without_port(hop))
            if _parse(address) is None:
                return last
            if not _is_in(address, self._trusted):
                return address
            last = address
        return last


def household(address: str) -> str:
    """Return what counts as one address: an IPv6 network of 64 bits, all of which one client may use (RFC 4862)."""
    found = _parse(address)
    if not isinstance(found, ipaddress.IPv6Address) or found.ipv4_mapped is not None:
        return address
    return str(ipaddress.IPv6Network((int(found), 64), strict=False))


def _network(key: str, entry: str) -> Network:
    try:
        return ipaddress.ip_network(entry)
    except ValueError as error:
        message = f"{key}: {entry[:80]!r} is no address and no range of addresses such as 10.0.0.0/8 or fd00::/8."
        raise ConfigError(message, key=key, value=entry, allowed="addresses and ranges") from error


def _without_port(hop: str) -> str:
    """Return a hop's address; both headers may add a port, and IPv6 then stands in brackets."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


def _plain(address: str) -> str:
    """Return one spelling of an address: IPv4 as such when it came mapped into IPv6, without a zone."""
    found = _parse(address)
    if found is None:
        return address
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)


def _parse(address: str) -> Address | None:
    try:
        return ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None


def _is_in(address: str, networks: Iterable[Network]) -> bool:
    found = _parse(address)
    return found is not None and any(found in network for network in networks)
