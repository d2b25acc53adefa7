"""The provider's own count of a request's tokens."""

from __future__ import annotations

import json

import pytest

from dragoman.core.errors import UpstreamError
from dragoman.dialects.base import Target
from dragoman.dialects.registry import UNARY
from dragoman.dialects.responses.count_tokens import COUNTER, read_count, tap_count, write_count


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


def test_a_count_is_asked_for_with_what_counts_alone():
    body = b'{"model":"x","input":"Hi","max_output_tokens":99,"stream":true,"user":"u"}'
    sent = COUNTER.write_request(COUNTER.read_request(body), Target("openai", "m"))
    message = {"type": "message", "role": "user", "content": "Hi"}
    assert json.loads(sent.body) == {"model": "m", "input": [message]}
