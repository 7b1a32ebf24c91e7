"""Ports, addresses and links that meet nothing else on the machine."""

from __future__ import annotations

import socket
import sys
from ipaddress import IPv4Address, IPv4Network

from hypothesis import given
from hypothesis import strategies as st

from tests.testbed.network import Route, free_ports, links_into, parse_routes, pod_network


def kernel_line(link: str, destination: str, mask: str) -> str:
    """Write a route as /proc/net/route does: addresses are hexadecimal, in this machine's byte order."""
    numbers = [
        f"{int.from_bytes(IPv4Address(each).packed, sys.byteorder):08X}" for each in (destination, mask)
    ]
    return f"{link}\t{numbers[0]}\t00000000\t0001\t0\t0\t0\t{numbers[1]}\t0\t0\t0\n"


routes_taken = st.lists(
    st.builds(
        lambda third, prefix: Route(
            link="eth0", network=IPv4Network((f"10.208.{third}.0", prefix), strict=False)
        ),
        st.integers(0, 255),
        st.integers(14, 32),
    ),
    max_size=8,
)
digests = st.text("0123456789abcdef", min_size=8, max_size=8)


def test_the_kernel_s_table_is_read():
    table = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
    table += kernel_line("eth0", "0.0.0.0", "0.0.0.0")
    table += kernel_line("eth0", "192.168.1.0", "255.255.255.0")
    table += kernel_line("veth1a2b", "10.208.0.3", "255.255.255.255")

    assert parse_routes(table) == [
        Route(link="eth0", network=IPv4Network("0.0.0.0/0")),
        Route(link="eth0", network=IPv4Network("192.168.1.0/24")),
        Route(link="veth1a2b", network=IPv4Network("10.208.0.3/32")),
    ]


@given(digest=digests, taken=routes_taken)
def test_pods_get_a_network_that_nothing_else_uses(digest: str, taken: list[Route]):
    network = pod_network(digest, taken)

    assert network.prefixlen == 24
    assert network.subnet_of(IPv4Network("10.208.0.0/12"))
    assert not any(network.overlaps(route.network) for route in taken)


def test_a_default_route_takes_no_network_away():
    default = Route(link="eth0", network=IPv4Network("0.0.0.0/0"))

    assert pod_network("00000000", [default]) == pod_network("00000000", [])


def test_two_testbeds_without_pods_have_different_networks():
    assert pod_network("00000001", []) != pod_network("00000002", [])


def test_links_to_pods_are_told_from_others():
    pod = Route(link="veth1", network=IPv4Network("10.208.5.3/32"))
    other = Route(link="veth2", network=IPv4Network("10.208.6.3/32"))
    default = Route(link="eth0", network=IPv4Network("0.0.0.0/0"))

    assert links_into(IPv4Network("10.208.5.0/24"), [pod, other, default]) == {"veth1"}


def test_free_ports_can_be_listened_on():
    ports = free_ports(6)

    assert len(set(ports)) == 6
    for port in ports:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", port))
