"""TLS as the event loop's clients speak it: whom they trust, and what a refusal means."""

from __future__ import annotations

import ssl

from dragoman.transport import failures
from dragoman.transport.failures import Fault

# OpenSSL's verify results (x509_vfy.h).
CERTIFICATE: dict[int, Fault] = {
    9: failures.TLS_NOT_YET_VALID,
    10: failures.TLS_EXPIRED,
    18: failures.TLS_UNTRUSTED,
    19: failures.TLS_UNTRUSTED,
    20: failures.TLS_UNTRUSTED,
    21: failures.TLS_UNTRUSTED,
    62: failures.TLS_WRONG_HOST,
    64: failures.TLS_WRONG_HOST,
}


def context_of(system: list[bytes], own: list[bytes]) -> ssl.SSLContext:
    """A client's context that trusts these authorities; HTTP/1.1 is all that it offers."""
    if system:
        context = ssl.create_default_context(cadata=_text(system + own))
    else:
        context = ssl.create_default_context()
        if own:
            context.load_verify_locations(cadata=_text(own))
    return context


def _text(blocks: list[bytes]) -> str:
    return b"\n".join(blocks).decode("ascii")
