"""A new connection: the name, the first address that answers, and the TLS handshake.

A host with several addresses is tried at the next one each quarter of a second while the earlier
tries go on (RFC 8305): an address family that leads nowhere costs that, and not the whole
time to connect.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import TypeVar

from dragoman.transport import failures
from dragoman.transport.direct_request import Origin
from dragoman.transport.failures import Fault
from dragoman.transport.names import Address, Names
from dragoman.transport.tls import CERTIFICATE
from dragoman.transport.tunnel import Tunnel, open_tunnel

STAGGER_S = 0.25

_P = TypeVar("_P", bound=asyncio.BaseProtocol)


async def dial(
    origin: Origin,
    names: Names,
    context: ssl.SSLContext | None,
    limit: asyncio.Timeout,
    make: Callable[[], _P],
    tunnel: Tunnel | None = None,
) -> _P | Fault:
    """A protocol whose connection stands, TLS included; or why there is none.

    ``limit`` bounds all of it together, the proxy's part included where ``tunnel`` says one. Being cancelled
    closes every socket that was opened.
    """
    try:
        async with limit:
            first = origin if tunnel is None else Origin(tunnel.host, tunnel.port, secure=False)
            try:
                addresses = await names.addresses(first)
            except (OSError, UnicodeError):
                return failures.DNS
            try:
                sock = await _connected(addresses)
            except OSError as error:
                names.forget(first)
                if tunnel is not None:
                    return failures.PROXY
                return failures.REFUSED if _refused(error) else _unreached(error)
            if tunnel is not None:
                try:
                    fault = await open_tunnel(sock, origin, tunnel)
                except BaseException:
                    sock.close()
                    raise
                if fault is not None:
                    sock.close()
                    return fault
            return await _spoken(sock, origin.host, context, make)
    except TimeoutError:
        names.forget(origin)
        return failures.CONNECT_TIMEOUT


async def _spoken(
    sock: socket.socket,
    host: str,
    context: ssl.SSLContext | None,
    make: Callable[[], _P],
) -> _P | Fault:
    """The protocol over a socket that is connected; from here on the loop closes it."""
    name = host if context is not None else None
    try:
        _, protocol = await asyncio.get_running_loop().create_connection(
            make, sock=sock, ssl=context, server_hostname=name
        )
    except ssl.SSLCertVerificationError as error:
        return CERTIFICATE.get(error.verify_code, failures.TLS_CERTIFICATE)
    except (OSError, ValueError):
        return failures.TLS_HANDSHAKE if context is not None else failures.UNREACHABLE
    return protocol


async def _connected(addresses: list[Address]) -> socket.socket:
    """A socket to the first address that answers.

    Raises:
        OSError: none does; a refusal, if there was one, tells most.
    """
    if len(addresses) == 1:
        return await _connect(addresses[0])
    left: Iterator[Address] = iter(addresses)
    trying: set[asyncio.Task[socket.socket]] = set()
    errors: list[OSError] = []
    try:
        while True:
            address = next(left, None)
            if address is not None:
                trying.add(asyncio.create_task(_connect(address)))
            elif not trying:
                raise next((each for each in errors if _refused(each)), errors[0])
            done, trying = await asyncio.wait(
                trying,
                timeout=None if address is None else STAGGER_S,
                return_when=asyncio.FIRST_COMPLETED,
            )
            sockets = []
            for task in done:
                error = task.exception()
                if error is None:
                    sockets.append(task.result())
                elif isinstance(error, OSError):
                    errors.append(error)
                else:
                    raise error
            for sock in sockets[1:]:
                sock.close()
            if sockets:
                return sockets[0]
    finally:
        for task in trying:
            task.add_done_callback(_close)
            task.cancel()


async def _connect(address: Address) -> socket.socket:
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)  # noqa: FBT003 - the name is the standard library's
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, address.address)
    except BaseException:
        sock.close()
        raise
    return sock


def _close(task: asyncio.Task[socket.socket]) -> None:
    """Of a try that was no longer wanted and still came through."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()


def _refused(error: OSError) -> bool:
    return isinstance(error, ConnectionRefusedError)


def _unreached(error: OSError) -> Fault:
    # The system's own patience may be shorter than ours.
    return failures.CONNECT_TIMEOUT if isinstance(error, TimeoutError) else failures.UNREACHABLE
