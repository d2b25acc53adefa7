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
    """A client's context that trusts these authorities; HTTP/1.1 is all that it offers.

    Made here and not by ``ssl.create_default_context``, which writes session keys where the
    environment says (``SSLKEYLOGFILE``, F11), and which from Python 3.13 on refuses authorities
    that earlier ones, and other clients, accept.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # names and certificates are checked
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A named authority counts whether or not it is a root.
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    context.set_alpn_protocols(["http/1.1"])
    if not system:
        context.load_default_certs()
    if system or own:
        context.load_verify_locations(cadata=b"\n".join(system + own).decode("ascii"))
    return context
