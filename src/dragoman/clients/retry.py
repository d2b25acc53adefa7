"""Calls of other services that break off on the way are made again, and nothing else is (R-CRED-007, R-ADD-012).

Only trouble of TLS and of the connection is transient: a service that has answered, whatever it said, is not asked
again. A certificate that is wrong stays wrong.
"""

from __future__ import annotations

import http.client
import logging
import ssl
import time
from collections.abc import Callable
from typing import Any

from dragoman.core.errors import UpstreamError

log = logging.getLogger("dragoman.clients")

FIRST_S = 1.0
"""Before the first retry; each further one waits twice as long."""
MAX_RETRIES = 3
_CODES = frozenset({"tls_error", "network_error", "connection_reset", "stream_connection_lost"})


def api_call_with_retry(
    request: Any,
    max_retries: int = MAX_RETRIES,
    rebuild_service_fn: Callable[[], Any] | None = None,
    *,
    sleep: Callable[[float], object] = time.sleep,
) -> Any:
    """What a call brings.

    Args:
        request: one of Google's requests, which has ``execute()``, or any function without arguments.
        max_retries: beyond the first try; between them are 1, 2, 4 … seconds.
        rebuild_service_fn: called before each retry; a request or function that it returns takes the place
            of ``request``.
        sleep: waits.

    Raises:
        Exception: whatever the call raises that is no trouble of TLS or the connection, at once; and such
            trouble once the retries are spent.
    """
    for retry in range(max_retries + 1):
        try:
            execute = getattr(request, "execute", request)
            return execute()
        except Exception as error:
            if retry == max_retries or not is_transient(error):
                raise
            pause = FIRST_S * 2**retry
            log.warning(
                "api_retry: %s; again in %g s (%d of %d)",
                type(error).__name__,
                pause,
                retry + 1,
                max_retries,
            )
            sleep(pause)
            rebuilt = rebuild_service_fn() if rebuild_service_fn is not None else None
            request = request if rebuilt is None else rebuilt
    raise AssertionError("the last try returns or raises")


def is_transient(error: BaseException) -> bool:
    """Whether the connection was at fault, and another one may do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return False
    if isinstance(error, UpstreamError):
        return error.retryable and error.code in _CODES
    return isinstance(
        error,
        ssl.SSLError
        | ConnectionError
        | http.client.IncompleteRead
        | http.client.BadStatusLine
        | http.client.CannotSendRequest,
    )
