"""Asks authorization servers and services one thing at a time, for whoever waits in a thread of its own.

Tokens are renewed once an hour, by commands, programs and the gateway alike: the standard library is enough
(as in ``docs/decisions/0006``). No redirect is followed, nothing is tried twice, and proxies come from the
settings alone, never from the environment.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from dragoman import __version__
from dragoman.core.errors import UpstreamError
from dragoman.credentials.questions import Answer, Question
from dragoman.transport.tls import context_of
from dragoman.transport.trust import authorities
from dragoman.transport.tunnel import Tunnel

_MOST = 1024 * 1024
_CONNECT_S = 10.0


def asker(
    tls_ca: Path | None = None, tunnels: Mapping[str, Tunnel] | None = None
) -> Callable[[Question], Answer]:
    """What sends questions; ``tls_ca`` is a PEM file of authorities trusted beside the system's.

    ``tunnels`` are proxies by the hosts that are reached through them.
    """
    contexts: list[ssl.SSLContext] = []

    def context() -> ssl.SSLContext:
        if not contexts:
            contexts.append(context_of(*authorities(tls_ca)))
        return contexts[0]

    return partial(_ask, context, tunnels or {})


def _ask(
    context: Callable[[], ssl.SSLContext], tunnels: Mapping[str, Tunnel], question: Question
) -> Answer:
    """The answer, whatever its status.

    Raises:
        UpstreamError: there was none; ``sent`` says whether it may have been heard.
    """
    parts = urlsplit(question.url)
    host = parts.hostname or ""
    connection: http.client.HTTPConnection
    tunnel = tunnels.get(host)
    at = (host, parts.port) if tunnel is None else (tunnel.host, tunnel.port)
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(*at, timeout=_CONNECT_S, context=context())
    else:
        connection = http.client.HTTPConnection(*at, timeout=_CONNECT_S)
    if tunnel is not None:
        shown = {"proxy-authorization": tunnel.authorization} if tunnel.authorization else {}
        connection.set_tunnel(host, parts.port, shown)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {"user-agent": f"dragoman/{__version__}", "connection": "close", **question.headers}
    connected = False
    try:
        connection.connect()
        connected = True
        connection.sock.settimeout(question.timeout_s)
        method = "GET" if question.body is None else "POST"
        body = None if question.body is None else question.body.encode()
        connection.request(method, target, body, headers)
        with connection.getresponse() as response:
            content = response.read(_MOST)
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, content, found)
    except (OSError, http.client.HTTPException, ValueError) as error:
        # What the library says of a header or a URL that it does not send quotes it, and there the token.
        words = str(error) if isinstance(error, OSError) else ""
        reason = getattr(error, "strerror", None) or words or type(error).__name__
        raise UpstreamError(
            "upstream",
            f"{host} cannot be reached: {reason}.",
            sent="maybe" if connected else "no",
            code="network_error",
            retryable=True,
        ) from None
    finally:
        connection.close()
