"""What counts against a provider, and what says nothing about it."""

import pytest

from dragoman.core.errors import UpstreamError
from dragoman.health.judge import blame


@pytest.mark.req("R-REL-003")
@pytest.mark.parametrize(
    ("kind", "status", "whom"),
    [
        ("invalid_request", 400, "nobody"),
        ("not_found", 404, "nobody"),
        ("conflict", 409, "nobody"),
        ("too_large", 413, "nobody"),
        ("unprocessable", 422, "nobody"),
        ("content_policy", 400, "nobody"),
        ("context_length", 400, "nobody"),
        ("permission", 403, "nobody"),
        ("content_policy", None, "nobody"),
        ("permission", None, "nobody"),
        ("upstream", 301, "nobody"),
        ("upstream", 308, "nobody"),
        ("authentication", 401, "credential"),
        ("billing", 402, "credential"),
        ("quota", 429, "credential"),
        ("authentication", None, "credential"),
        ("rate_limit", 429, "rate"),
        ("rate_limit", None, "rate"),
        ("timeout", 408, "provider"),
        ("server", 500, "provider"),
        ("upstream", 502, "provider"),
        ("overloaded", 503, "provider"),
        ("timeout", 504, "provider"),
        ("overloaded", 529, "provider"),
        ("timeout", None, "provider"),
        ("upstream", None, "provider"),
        ("overloaded", 200, "provider"),
    ],
)
def test_whom_a_failure_is_put_down_to(kind, status, whom) -> None:
    assert blame(UpstreamError(kind, "x", upstream_status=status)) == whom
