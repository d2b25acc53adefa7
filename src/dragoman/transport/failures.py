"""What can go wrong on the wire, as a table, and the ``UpstreamError`` each becomes.

Our own client tells of these faults to begin with; for a library its driver maps exceptions to
them, once, at the border. From there on nobody knows which client was used. ``sent`` follows from
the phase: before a connection stands nothing was sent; until the first byte of the reply the
provider *may* have worked (and billed); after it, it has answered. Messages name the host and the
fault, never the path, the query, a header or a library's own words.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from dragoman.core.errors import Kind, UpstreamError

Sent: TypeAlias = Literal["no", "maybe", "yes"]


class Fault(Struct, frozen=True, gc=False):
    """One way of failing: codes are R-ADD-025's, ``text`` has the host filled in."""

    kind: Kind
    code: str
    sent: Sent
    text: str
    retryable: bool = True


# Before a connection stands: nothing reached the provider.
BAD_REQUEST = Fault(
    "upstream",
    "configuration_error",
    "no",
    "The request to {host} cannot be sent: its URL, method or a header is not valid; "
    "check the provider's base URL and headers.",
    retryable=False,
)
CLOSED = Fault(
    "upstream",
    "network_error",
    "no",
    "The transport to {host} was already closed.",
    retryable=False,
)
CONNECTION_LIMIT = Fault(
    "overloaded",
    "connection_limit",
    "no",
    "No further connection to {host} is opened because the limit of upstream connections is "
    "reached.",
)
CONNECT_TIMEOUT = Fault(
    "timeout", "connection_timeout", "no", "Connecting to {host} took longer than allowed."
)
DNS = Fault("upstream", "dns_error", "no", "The host name of {host} could not be resolved.")
REFUSED = Fault("upstream", "network_error", "no", "{host} refused the connection.")
UNREACHABLE = Fault("upstream", "network_error", "no", "{host} could not be reached.")
PROXY = Fault(
    "upstream", "network_error", "no", "The proxy that is configured does not connect to {host}."
)

# A certificate does not get better by asking again; a broken handshake may.
TLS_EXPIRED = Fault(
    "upstream", "tls_error", "no", "The certificate of {host} has expired.", retryable=False
)
TLS_NOT_YET_VALID = Fault(
    "upstream", "tls_error", "no", "The certificate of {host} is not valid yet.", retryable=False
)
TLS_WRONG_HOST = Fault(
    "upstream",
    "tls_error",
    "no",
    "The certificate that {host} shows is made for another host.",
    retryable=False,
)
TLS_UNTRUSTED = Fault(
    "upstream",
    "tls_error",
    "no",
    "The certificate of {host} is self-signed or its issuer is not trusted.",
    retryable=False,
)
TLS_CERTIFICATE = Fault(
    "upstream", "tls_error", "no", "The certificate of {host} was refused.", retryable=False
)
TLS_HANDSHAKE = Fault("upstream", "tls_error", "no", "The TLS handshake with {host} failed.")

# Between the request and the head of the reply: the provider may be working on it.
FIRST_BYTE_TIMEOUT = Fault(
    "timeout",
    "read_timeout",
    "maybe",
    "{host} took the request and sent no reply in the time allowed.",
)
RESET = Fault(
    "upstream", "connection_reset", "maybe", "{host} closed the connection before it replied."
)
BROKEN = Fault(
    "upstream", "network_error", "maybe", "The connection to {host} broke before it replied."
)

# It answered, and not in HTTP that can be trusted.
MALFORMED = Fault("upstream", "provider_error", "yes", "{host} sent a reply that is not HTTP/1.1.")
HEAD_TOO_LARGE = Fault(
    "upstream",
    "provider_error",
    "yes",
    "{host} sent response headers that are too large.",
    retryable=False,
)
ENCODING = Fault(
    "upstream",
    "provider_error",
    "yes",
    "{host} compressed its reply in a way that was not asked for.",
    retryable=False,
)

# In the body.
LOST = Fault(
    "upstream",
    "stream_connection_lost",
    "yes",
    "{host} broke the connection off before the end of its reply.",
)
BODY_TIMEOUT = Fault(
    "timeout", "read_timeout", "yes", "{host} did not finish its reply in the time allowed."
)
CORRUPT = Fault(
    "upstream", "provider_error", "yes", "{host} sent a compressed body that does not decode."
)
BOMB = Fault(
    "upstream",
    "provider_error",
    "yes",
    "{host} sent a body that grows too far when decompressed.",
    retryable=False,
)
TOO_LARGE = Fault(
    "upstream",
    "provider_error",
    "yes",
    "{host} sent a reply that is larger than allowed.",
    retryable=False,
)


def failure(fault: Fault, host: str, upstream_status: int | None = None) -> UpstreamError:
    """The error that tells of this fault at this host."""
    return UpstreamError(
        fault.kind,
        fault.text.replace("{host}", host),
        upstream_status=upstream_status,
        sent=fault.sent,
        code=fault.code,
        retryable=fault.retryable,
    )
