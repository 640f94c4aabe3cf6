"""Decide what is loopback: the only place where the sandbox may listen, and the only place it may call.

It resolves no names: a name could point anywhere by the time it is used. ``localhost`` alone is taken as 127.0.0.1.
Addresses: RFC 1122 section 3.2.1.3 (127.0.0.0/8) and RFC 4291 section 2.5.3 (::1).
"""

from __future__ import annotations

import errno
import functools
import ipaddress
import socket
from urllib.parse import urlsplit

_TAKEN = frozenset({errno.EADDRINUSE, errno.EACCES})


class NotLoopback(ValueError):
    """Somebody asked the sandbox to leave the machine."""


@functools.lru_cache(maxsize=256)
def loopback_host(host: str) -> str:
    """Return ``host`` as a literal loopback address. Raises NotLoopback for everything else."""
    if host.lower() == "localhost":
        return "127.0.0.1"
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        raise NotLoopback(f"{host!r} is not a loopback address; use 127.0.0.1, ::1 or localhost") from None
    if not address.is_loopback:
        raise NotLoopback(f"{host} is not a loopback address; the sandbox never leaves this machine")
    return str(address)


def is_loopback_url(url: str) -> bool:
    """Tell whether ``url`` is an absolute http(s) address on this machine."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            return False
        loopback_host(parts.hostname)
        port = parts.port
    except ValueError:
        return False
    return port != 0


def listening_socket(host: str, port: int) -> tuple[socket.socket, bool]:
    """Return a bound socket, and whether ``port`` was taken so that another one was chosen.

    port: 0 for any free port. Raises OSError where not even a free port can be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return _bound(family, host, port), False
    except OSError as exc:
        if port == 0 or exc.errno not in _TAKEN:
            raise
    return _bound(family, host, 0), True


def _bound(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        # A bound socket that does not listen yet can be bound by a second process: claim the port now.
        listener.listen(1024)
        listener.setblocking(False)  # noqa: FBT003 -- the standard library's own signature
    except OSError:
        listener.close()
        raise
    return listener
