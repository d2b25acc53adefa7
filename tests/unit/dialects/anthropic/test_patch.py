"""A request that stays in its dialect, and the counting of its tokens."""

from __future__ import annotations

import json

import msgspec
import pytest
from msgspec import Raw

from dragoman.core.errors import UpstreamError
from dragoman.core.provider import Quirks
from dragoman.dialects.anthropic import (
    ANTHROPIC,
    estimate_tokens,
    patch_count_tokens,
    read_count,
    write_count,
)
from dragoman.dialects.anthropic.count_tokens import tap_count
from dragoman.dialects.base import Tapped, Target

BODY = (
    b'{"model":"asked","messages":[ {"role":"user","content":"\\u00e9"} ],"max_tokens":1e2,'
    b'"routing":{"max_attempts":1},"models":["x"],"unknown":{"a" : 1.0}}'
)


def members(body: bytes = BODY) -> dict[str, Raw]:
    return msgspec.json.decode(body, type=dict[str, Raw])


@pytest.mark.parametrize("patch", [ANTHROPIC.patch_request, patch_count_tokens])
def test_only_the_model_changes_and_every_nested_value_keeps_its_bytes(patch):
    written = patch(members(), Target("anthropic", "sent"))
    assert written.body == (
        b'{"model":"sent","messages":[ {"role":"user","content":"\\u00e9"} ],"max_tokens":1e2,'
        b'"unknown":{"a" : 1.0}}'
    )
    assert written.losses == ()


def test_a_missing_model_is_added():
    written = ANTHROPIC.patch_request(members(b'{"a":1}'), Target("anthropic", "sent"))
    assert json.loads(written.body) == {"a": 1, "model": "sent"}


def test_a_providers_declared_differences_hold():
    quirks = Quirks(drop=("unknown",), rename={"max_tokens": "limit"})
    written = ANTHROPIC.patch_request(members(), Target("p", "sent", quirks=quirks))
    sent = json.loads(written.body)
    assert sent["limit"] == 100
    assert "unknown" not in sent
    assert [loss.path for loss in written.losses] == ["unknown"]


@pytest.mark.parametrize(("size", "tokens"), [(0, 0), (1, 1), (4, 1), (5, 2), (4000, 1000)])
def test_an_estimate_is_a_quarter_of_the_bytes(size, tokens):
    assert estimate_tokens(b"x" * size) == tokens


def test_a_count_is_written_and_read():
    assert write_count(12) == b'{"input_tokens":12}'
    assert read_count(b'{"input_tokens": 12, "more": 1}') == 12


def test_a_providers_answer_keeps_its_bytes_and_consumes_nothing():
    answer = b'{"input_tokens": 12, "more": 1.0}'
    assert tap_count(answer) == Tapped(answer)
    with pytest.raises(UpstreamError):
        tap_count(b"{}")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"input_tokens":-1}',
        b'{"input_tokens":"5"}',
        b'{"type":"error","error":{"type":"overloaded_error","message":"busy"}}',
    ],
)
def test_a_count_that_is_none_is_an_error_of_the_provider(body):
    with pytest.raises(UpstreamError):
        read_count(body)
