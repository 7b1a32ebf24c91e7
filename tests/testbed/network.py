"""Ports, addresses and links: chosen so that they meet nothing else on the machine."""

from __future__ import annotations

import socket
import struct
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LOOPBACK = "127.0.0.1"
_POOL = IPv4Network("10.208.0.0/12")
"""Pod networks come out of this; each has 254 addresses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One line of the kernel's routing table."""

    link: str
    network: IPv4Network


def parse_routes(text: str) -> list[Route]:
    """Parse ``/proc/net/route``, whose numbers are the addresses' bytes as this machine reads them."""

    def address(number: str) -> IPv4Address:
        return IPv4Address(struct.pack("=I", int(number, 16)))

    rows = (line.split() for line in text.splitlines()[1:])
    return [
        Route(link=row[0], network=IPv4Network((int(address(row[1])), str(address(row[7]))))) for row in rows
    ]


def routes() -> list[Route]:
    """Return the routes of the network namespace that we are in."""
    return parse_routes(Path("/proc/net/route").read_text())


def pod_network(digest: str, taken: Iterable[Route]) -> IPv4Network:
    """Choose a network of 254 pod addresses for the testbed with this digest that overlaps no route.

    The digest rather than the routes keeps two testbeds apart, since one without pods has no routes.
    """
    networks = list(_POOL.subnets(new_prefix=24))
    start = int(digest, 16) % len(networks)
    occupied = [route.network for route in taken if route.network.prefixlen > 0]
    candidates = (network for network in networks[start:] + networks[:start])
    return next(network for network in candidates if not any(map(network.overlaps, occupied)))


def links_into(network: IPv4Network, among: Iterable[Route]) -> frozenset[str]:
    """Return the names of the links that lead to pods of this network."""
    return frozenset(route.link for route in among if route.network.subnet_of(network))


def free_ports(count: int) -> Sequence[int]:
    """Return distinct ports on the loopback address that nobody listens on, as the kernel gives them out."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return [int(each.getsockname()[1]) for each in sockets]


def cni_configuration(network: IPv4Network) -> dict[str, object]:
    """Return the CNI network: a veth pair a pod, routed by the machine, without address translation."""
    addresses = {
        "type": "host-local",
        "ranges": [[{"subnet": str(network)}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    return {
        "cniVersion": "0.4.0",
        "name": "pdwatch-testbed",
        "plugins": [{"type": "ptp", "ipMasq": False, "ipam": addresses}],
    }
