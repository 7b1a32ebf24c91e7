"""Where the HTTP endpoint listens, and which Host headers it answers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address

_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):(?P<port>[0-9]{1,5})")
_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]*)?")
_LAST_PORT = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenAddress:
    """A TCP address; ``host`` is a name or an IP address without brackets, port 0 is any that is free."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return _is_loopback(self.host.lower())


def parse_listen(text: str) -> ListenAddress | None:
    """Read ``127.0.0.1:9090``, ``localhost:0`` or ``[::1]:9090``; None when it is no such address."""
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found["port"]) > _LAST_PORT:
        return None
    return ListenAddress(host=found["host"].strip("[]"), port=int(found["port"]))


def host_allowed(header: str, listen: ListenAddress | None) -> bool:
    """Tell whether a request with this Host header is meant for the endpoint.

    A page that rebinds its own name to 127.0.0.1 sends that name (DNS rebinding); it can't send another.
    So names other than localhost are refused, unless the endpoint was told to listen on one. Where it listens
    beyond loopback any IP address will do: an address can't be rebound.

    Args:
        header: The Host header, with or without a port.
        listen: Where the endpoint listens on TCP; None for its socket alone.
    """
    found = _HOST.fullmatch(header)
    if found is None:
        return False
    host = found["host"].strip("[]").lower()
    if _is_loopback(host):
        return True
    if listen is None or listen.loopback:
        return False
    return host == listen.host.lower() or _is_address(host)


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ip_address(host).is_loopback)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
