"""Tags: from the header and the body, bounded, and never a reason to refuse a call."""

import msgspec
import pytest
from msgspec import Raw

from dragoman.accounting.tags import LONGEST_TAG, MOST_TAGS, tags_of


def members(**said):
    return {name: Raw(msgspec.json.encode(value)) for name, value in said.items()}


@pytest.mark.parametrize(
    ("header", "body", "tags"),
    [
        (None, {}, ""),
        ("b, a,,a", {}, "a,b"),
        (None, {"metadata": {"tags": ["x", "y=1"]}}, "x,y=1"),
        ("z", {"metadata": {"tags": "x, y"}}, "x,y,z"),
        ("has blank, ok, \N{BULLET}, a\x00b", {}, "ok"),
        ("x" * (LONGEST_TAG + 1), {}, ""),
        (None, {"metadata": {"tags": [1, "x"]}}, ""),
        (None, {"metadata": "text"}, ""),
        (None, {"metadata": {"user_id": "u"}}, ""),
    ],
)
def test_what_is_a_tag(header, body, tags):
    headers = {} if header is None else {"x-dragoman-tags": header}
    assert tags_of(headers, members(**body)) == tags


def test_there_are_only_so_many():
    said = ",".join(f"t{number:03}" for number in range(500))
    assert tags_of({"x-dragoman-tags": said}, {}).split(",") == [
        f"t{number:03}" for number in range(MOST_TAGS)
    ]


def test_a_body_of_nonsense_has_none():
    deep = Raw(b'{"tags":' + b"[" * 5000 + b"]" * 5000 + b"}")
    assert tags_of({}, {"metadata": deep}) == ""
    assert tags_of({}, {"metadata": Raw(b'{"tags":"\xff"}')}) == ""
