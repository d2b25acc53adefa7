"""Takes the address to listen on, before anything else is opened: a port that is taken costs nothing.

A first start makes an administrator's key and shows it once; it must not do so and then fail.
"""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack
from typing import Any

from dragoman.core.errors import HouseError


def take_address(host: str, port: int) -> list[socket.socket]:
    """Bound sockets, one for each address that ``host`` has here; they do not listen yet.

    Raises:
        HouseError: the port is taken, or the address is not one to listen on.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise _cannot(host, port, error) from None
    refusal: OSError | None = None
    with ExitStack() as taken:
        sockets: list[socket.socket] = []
        for family, kind, protocol, _, address in dict.fromkeys(found):
            try:
                bound = _bound(socket.socket(family, kind, protocol), address)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    raise _cannot(host, port, error) from None
                refusal = error  # a family that this machine has not
                continue
            sockets.append(taken.enter_context(bound))
            if port == 0:
                break  # another family would get another number
        if not sockets:
            assert refusal is not None, "each address was either taken or refused"
            raise _cannot(host, port, refusal)
        taken.pop_all()
    return sockets


def _bound(one: socket.socket, address: tuple[Any, ...]) -> socket.socket:
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if one.family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(address)
    except OSError:
        one.close()
        raise
    one.set_inheritable(True)
    return one


def _cannot(host: str, port: int, error: OSError) -> HouseError:
    if error.errno == errno.EADDRINUSE:
        message = f"Port {port} is taken: choose another with --port N."
    else:
        message = (
            f"{host}:{port} cannot be listened on ({error.strerror or error}): "
            "choose another with --host and --port."
        )
    return HouseError("server", message, code="address_unavailable")
