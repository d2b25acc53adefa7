"""The provider's own count of a request's tokens."""

from __future__ import annotations

import pytest

from dragoman.core.errors import UpstreamError
from dragoman.dialects.registry import UNARY
from dragoman.dialects.responses.count_tokens import read_count, tap_count, write_count


def test_a_count_passes_as_it_came():
    body = b'{"object":"response.input_tokens", "input_tokens":7}'
    assert tap_count(body).body is body
    assert read_count(write_count(9)) == 9
    assert ("count_tokens", "responses") in UNARY


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"input_tokens":-1}', b'{"error":{"message":"x"}}']
)
def test_a_200_without_a_count_is_the_providers_error(body):
    with pytest.raises(UpstreamError):
        tap_count(body)
