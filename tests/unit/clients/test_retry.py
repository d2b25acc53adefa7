"""Only trouble of TLS and the connection is tried again (R-CRED-007, R-ADD-012)."""

import http.client
import ssl

import pytest

from dragoman.clients.retry import api_call_with_retry
from dragoman.core.errors import UpstreamError

pytestmark = pytest.mark.req("R-CRED-007", "R-ADD-012")


class Request:
    """A request that fails as told, then answers."""

    def __init__(self, *failures):
        self.failures = list(failures)
        self.tries = 0

    def execute(self):
        self.tries += 1
        if self.failures:
            raise self.failures.pop(0)
        return "done"


TRANSIENT = [
    ssl.SSLError("bad record"),
    ssl.SSLEOFError(8, "EOF"),
    BrokenPipeError(),
    ConnectionResetError(),
    ConnectionAbortedError(),
    http.client.RemoteDisconnected(),
    http.client.IncompleteRead(b""),
    UpstreamError("upstream", "reset", code="connection_reset", retryable=True),
]
FINAL = [
    ssl.SSLCertVerificationError("expired"),
    ValueError("wrong"),
    TimeoutError(),
    PermissionError(),
    UpstreamError("upstream", "no", status=403, code="service_refused"),
    UpstreamError("upstream", "the certificate expired", code="tls_error", retryable=False),
]


@pytest.mark.parametrize("error", TRANSIENT, ids=lambda error: type(error).__name__)
def test_trouble_on_the_way_is_tried_again_ever_later(error):
    request, waited = Request(error, error, error), []
    assert api_call_with_retry(request, sleep=waited.append) == "done"
    assert (request.tries, waited) == (4, [1, 2, 4])


@pytest.mark.parametrize("error", FINAL, ids=lambda error: type(error).__name__)
def test_whatever_else_it_is_raises_at_once(error):
    request, waited = Request(error), []
    with pytest.raises(type(error)):
        api_call_with_retry(request, sleep=waited.append)
    assert (request.tries, waited) == (1, [])


def test_when_the_retries_are_spent_the_trouble_is_raised():
    request, waited = Request(*[BrokenPipeError()] * 9), []
    with pytest.raises(BrokenPipeError):
        api_call_with_retry(request, 2, sleep=waited.append)
    assert (request.tries, waited) == (3, [1, 2])


def test_a_callback_rebuilds_what_is_called():
    old, new = Request(BrokenPipeError()), Request()
    assert api_call_with_retry(old, 1, lambda: new, sleep=lambda s: None) == "done"
    assert (old.tries, new.tries) == (1, 1)
    rebuilt = []
    same = Request(BrokenPipeError())
    assert api_call_with_retry(same, 1, lambda: rebuilt.append(1), sleep=lambda s: None) == "done"
    assert (same.tries, rebuilt) == (2, [1])


def test_a_function_is_called_as_it_is():
    assert api_call_with_retry(lambda: 7) == 7
