"""A request that stays within the dialect: few of its bytes change (D2)."""

from __future__ import annotations

import json

import msgspec
import pytest
from msgspec import Raw

from dragoman.core.envelope import Envelope
from dragoman.core.parts import Thinking
from dragoman.core.provider import Quirks
from dragoman.dialects.base import Target
from dragoman.dialects.responses import RESPONSES


def patched(body: bytes, **quirks):
    members = msgspec.json.decode(body, type=dict[str, Raw])
    return RESPONSES.patch_request(members, Target("openai", "gpt-x", Quirks(**quirks)))


@pytest.mark.pitfall(27, 155)
def test_nested_values_keep_their_bytes():
    body = b'{"model":"openai/gpt-x", "input" : [ {"a":1e400,  "a":2} ],"tools": [ ]}'
    assert patched(body).body == b'{"model":"gpt-x","input":[ {"a":1e400,  "a":2} ],"tools":[ ]}'


def test_what_speaks_to_the_gateway_stays_here():
    body = b'{"model":"x","input":"a","routing":{},"models":["y"],"provider":{"order":[]}}'
    told = patched(body)
    assert json.loads(told.body) == {"model": "gpt-x", "input": "a"}
    assert told.losses == (), "routing has heeded it"
    kept = json.loads(patched(body, flavour="openrouter").body)
    assert kept == {"model": "gpt-x", "input": "a", "models": ["y"], "provider": {"order": []}}


def test_a_providers_file_may_rename_and_drop():
    told = patched(b'{"model":"x","input":"a","user":"u","metadata":{}}', drop=("user",))
    assert json.loads(told.body) == {"model": "gpt-x", "input": "a", "metadata": {}}
    assert [loss.path for loss in told.losses] == ["user"]


@pytest.mark.pitfall(93)
def test_reasoning_of_another_family_stays_behind():
    sealed = Envelope({1: b"k" * 32}).seal(Thinking("Hm", signature="s", family="anthropic"))
    foreign = {"type": "reasoning", "summary": [], "encrypted_content": sealed}
    own = {"type": "reasoning", "summary": [], "encrypted_content": "gAAA"}
    body = {"model": "x", "input": [foreign, own, {"role": "user", "content": sealed}]}
    told = patched(json.dumps(body).encode())
    assert json.loads(told.body)["input"] == body["input"][1:]
    assert [loss.path for loss in told.losses] == ["input[0]"]
