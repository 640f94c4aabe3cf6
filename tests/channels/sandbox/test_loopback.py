"""What counts as this machine."""

from __future__ import annotations

import socket

import pytest

from channels.sandbox.loopback import NotLoopback, is_loopback_url, listening_socket, loopback_host


@pytest.mark.parametrize(
    ("host", "literal"),
    [("localhost", "127.0.0.1"), ("127.0.0.1", "127.0.0.1"), ("127.9.9.9", "127.9.9.9"), ("[::1]", "::1")],
)
def test_loopback_hosts(host: str, literal: str) -> None:
    """The loopback networks and localhost, which is never looked up."""
    assert loopback_host(host) == literal


@pytest.mark.parametrize(
    "host",
    [
        "",
        "0.0.0.0",  # noqa: S104 -- what must be refused
        "::",
        "10.0.0.1",
        "localhost.evil.example",
        "0x7f000001",
        "127.1",
    ],
)
def test_everything_else(host: str) -> None:
    """Other networks, every-address, other names and short forms are refused."""
    with pytest.raises(NotLoopback):
        loopback_host(host)


@pytest.mark.parametrize(
    ("url", "ok"),
    [
        ("http://127.0.0.1:80/x?y", True),
        ("https://localhost/x", True),
        ("http://[::1]:8080/", True),
        ("http://user@127.0.0.1/", True),
        ("http://127.0.0.1@evil.example/", False),
        ("http://evil.example/127.0.0.1", False),
        ("ftp://127.0.0.1/", False),
        ("/relative", False),
        ("http://127.0.0.1:99999/", False),
        ("http://[::1", False),
    ],
)
def test_addresses(url: str, ok: bool) -> None:
    """Only absolute http(s) addresses whose host is loopback."""
    assert is_loopback_url(url) is ok


def test_a_claimed_port_cannot_be_bound_twice() -> None:
    """The socket listens at once, so that a second process asking for the port is sent elsewhere."""
    first, moved = listening_socket("127.0.0.1", 0)
    port = first.getsockname()[1]
    second, moved_too = listening_socket("127.0.0.1", port)
    assert (moved, moved_too) == (False, True)
    assert second.getsockname()[1] != port
    for one in (first, second):
        assert one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        one.close()
