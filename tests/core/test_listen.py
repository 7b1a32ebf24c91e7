"""Where the endpoint may listen, and which Host headers are its own."""

from __future__ import annotations

import pytest

from pdwatch.core.listen import ListenAddress, host_allowed, parse_listen

LOCAL = ListenAddress(host="127.0.0.1", port=9464)
EVERYWHERE = ListenAddress(host="0.0.0.0", port=9464)
NAMED = ListenAddress(host="Box.example", port=9464)


@pytest.mark.parametrize(
    ("text", "host", "port", "loopback"),
    [
        ("127.0.0.1:9464", "127.0.0.1", 9464, True),
        ("127.8.8.8:0", "127.8.8.8", 0, True),
        ("localhost:1", "localhost", 1, True),
        ("[::1]:9464", "::1", 9464, True),
        ("0.0.0.0:9464", "0.0.0.0", 9464, False),
        ("[::]:9464", "::", 9464, False),
        ("box.example:65535", "box.example", 65535, False),
        ("localhost.example:80", "localhost.example", 80, False),
    ],
)
def test_an_address_is_read_and_known_to_be_loopback_or_not(
    text: str, host: str, port: int, *, loopback: bool
) -> None:
    read = parse_listen(text)
    assert read == ListenAddress(host=host, port=port)
    assert read.loopback is loopback


@pytest.mark.parametrize(
    "text", ["", "9464", ":9464", "localhost", "localhost:", "a b:1", "::1:80", "h:65536", "http://h:1"]
)
def test_what_is_no_address_and_port_is_refused(text: str) -> None:
    assert parse_listen(text) is None


@pytest.mark.parametrize(
    ("header", "listen", "allowed"),
    [
        pytest.param("localhost", None, True, id="curl on the socket"),
        pytest.param("localhost:9464", LOCAL, True, id="localhost"),
        pytest.param("LocalHost:9464", LOCAL, True, id="in other letters"),
        pytest.param("127.0.0.1:9464", LOCAL, True, id="the address"),
        pytest.param("127.0.0.1:80", LOCAL, True, id="through a forwarded port"),
        pytest.param("[::1]:9464", LOCAL, True, id="the other loopback"),
        pytest.param("evil.example:9464", LOCAL, False, id="a name that was rebound"),
        pytest.param("localhost.evil.example", LOCAL, False, id="one that begins like ours"),
        pytest.param("127.0.0.1.evil.example", LOCAL, False, id="one that begins like our address"),
        pytest.param("evil.example", None, False, id="a name on the socket"),
        pytest.param("10.1.2.3:9464", LOCAL, False, id="an address that it does not listen on"),
        pytest.param("10.1.2.3:9464", EVERYWHERE, True, id="an address where it listens on all"),
        pytest.param("evil.example", EVERYWHERE, False, id="a name where it listens on all"),
        pytest.param("box.example:9464", NAMED, True, id="the name that it was told"),
        pytest.param("", LOCAL, False, id="none"),
        pytest.param("[::1", LOCAL, False, id="half an address"),
        pytest.param("evil.example@localhost", LOCAL, False, id="a user"),
    ],
)
def test_a_request_is_answered_only_under_names_that_cannot_be_rebound(
    header: str, listen: ListenAddress | None, *, allowed: bool
) -> None:
    assert host_allowed(header, listen) is allowed
