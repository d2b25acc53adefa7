"""Foreign reasoning state through a client of this dialect and back."""

from __future__ import annotations

import json

import pytest

from dragoman.core.parts import Thinking
from dragoman.core.response import Choice, Finish, Response
from dragoman.dialects.anthropic import ANTHROPIC
from dragoman.dialects.anthropic.envelope import PREFIX, opened, wrap
from dragoman.dialects.base import Context

CONTEXT = Context("c" * 32, 1, "m")


def there_and_back(part: Thinking) -> Thinking:
    """Written for a client, which sends the block back unchanged."""
    reply = ANTHROPIC.write_response(
        Response("i", "m", (Choice((part,), Finish("stop")),)), CONTEXT
    )
    blocks = json.loads(reply.body)["content"]
    body = {
        "model": "m",
        "max_tokens": 1,
        "messages": [{"role": "assistant", "content": blocks}],
    }
    return ANTHROPIC.read_request(json.dumps(body).encode()).messages[0].parts[0]


@pytest.mark.pitfall(93, 94, 100)
@pytest.mark.parametrize(
    "part",
    [
        Thinking("hm", signature="s/+=é", family="gemini", format="google-gemini-v1", id="r1"),
        Thinking("sum", encrypted="e", family="responses", id="rs_1", summary=True),
        Thinking(encrypted="e", redacted=True, family="chat", format="openai"),
        Thinking(encrypted="e", family="chat"),
        Thinking("own", signature="s", family="anthropic", format="anthropic-claude-v1"),
        Thinking(redacted=True, encrypted="d", family="anthropic", format="anthropic-claude-v1"),
        Thinking("nobody's"),
    ],
)
def test_state_comes_back_byte_for_byte_to_whom_it_belongs(part):
    assert there_and_back(part) == part


def test_a_thought_without_state_has_no_envelope():
    assert wrap(Thinking("x", family="chat")) == ""


@pytest.mark.parametrize("rest", ["", "!!!", "e30", "W10", "bm9wZQ", "_w", "é"])
def test_an_envelope_that_is_none_is_left_alone(rest):
    part = Thinking("x", signature=PREFIX + rest, family="anthropic")
    assert opened(part) == part
