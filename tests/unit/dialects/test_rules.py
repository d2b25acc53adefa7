"""Rules of translation that hold in another form than they were written (`docs/overruled.md`)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from dragoman.core.errors import CallerError
from dragoman.core.provider import Quirks
from dragoman.dialects.anthropic import ANTHROPIC
from dragoman.dialects.base import Context, Target, Undo
from dragoman.dialects.chat import CHAT
from dragoman.dialects.translate import Translation

A, NOTHING, B = ({"type": "text", "text": text} for text in ("a", "", "b"))


def flattened(content: object, flavour: str) -> Any:
    """A tool's result as a chat provider reads it."""
    use = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": content}
    said = {
        "model": "m",
        "max_tokens": 1,
        "messages": [
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": [use]},
            {"role": "user", "content": [result]},
        ],
    }
    request = ANTHROPIC.read_request(json.dumps(said).encode())
    out = CHAT.write_request(request, Target("p", "m", Quirks(flavour=flavour)))
    return json.loads(out.body)["messages"][2]["content"]


@pytest.mark.req("R-XLATE-004")
@pytest.mark.pitfall(84)
@pytest.mark.parametrize(
    ("content", "plain", "listed"),
    [
        (None, "", ""),
        ("x", "x", "x"),
        ([], "", ""),
        ([A], "a", "a"),
        ([A, B], "a\nb", [A, B]),
        ([A, NOTHING, B], "a\nb", [A, NOTHING, B]),
        (["no block", 7, A], "a", "a"),
    ],
)
def test_a_results_texts_are_one_text_where_a_provider_takes_no_list(content, plain, listed):
    assert flattened(content, "plain") == plain
    assert flattened(content, "openai") == listed


@pytest.mark.req("R-XLATE-004")
@pytest.mark.parametrize(
    ("content", "path"),
    [
        (7, "messages[2].content[0].content"),
        ({"a": 1}, "messages[2].content[0].content"),
        ([{"type": "tool_result", "tool_use_id": "u"}], "messages[2].content[0].content[0]"),
    ],
)
def test_what_is_no_result_is_refused_by_its_path(content, path):
    with pytest.raises(CallerError) as caught:
        flattened(content, "plain")
    assert caught.value.param == path


@pytest.mark.req("R-XLATE-031")
def test_only_data_counts_done_ends_and_what_cannot_be_read_is_an_error():
    """A line that is skipped would be words that nobody misses; the stream fails instead (D8)."""
    good = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
    end = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    done = b"data: [DONE]\n\n"

    def told(*pieces: bytes) -> tuple[bytes, str | None]:
        context = Context("c" * 32, 1, "m")
        reader = CHAT.stream_reader(Target("p", "m"), Undo())
        way = Translation(reader, ANTHROPIC.stream_writer(context))
        body = b"".join(way.feed(piece) for piece in pieces) + way.close()
        return body, None if way.facts.error is None else way.facts.error.kind

    body, error = told(b"noise: x\n\n", b": hello\n\n", good, end, done, b'data: {"x":1}\n\n')
    assert error is None
    assert body.count(b"text_delta") == 1
    assert body.endswith(b'data: {"type":"message_stop"}\n\n')
    body, error = told(good, b"data: {bad\n\n", end, done)
    assert error == "upstream"
    assert b"message_stop" not in body


@pytest.mark.req("R-TEST-007")
def test_every_rule_of_translation_between_the_two_is_named_by_a_test():
    """041 speaks of dialects that are not there yet."""
    rules = {
        f"R-XLATE-{number:03}"
        for group in ((1, 12), (20, 25), (30, 41))
        for number in range(*group)
    }
    tests = Path(__file__).parents[2]
    marks = re.compile(r"R-XLATE-\d{3}")
    named = {
        mark
        for path in tests.rglob("test_*.py")
        for mark in marks.findall(path.read_text("utf-8"))
    }
    assert rules <= named
