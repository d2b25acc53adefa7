"""Pictures put into a request that is passed on: nothing else of it changes."""

from __future__ import annotations

import json

import msgspec
import pytest
from msgspec import Raw

from dragoman.attempt.embody_raw import may_hold_pictures, pictures
from dragoman.attempt.ports import Fetched

GOT = Fetched("image", "image/png", "QUJD")
DATA = "data:image/png;base64,QUJD"
URL = "https://pictures.example/a.png"


def members_of(body: bytes) -> dict[str, Raw]:
    return msgspec.json.decode(body, type=dict[str, Raw])


def filled(family, body: bytes):
    seen: list[tuple[str, str]] = []

    def picture(url, at):
        seen.append((url, at))
        return GOT

    members = members_of(body)
    return pictures(family, members, picture), seen, members


CASES = [
    (
        "chat",
        (
            b'{"model":"m","n":1.0,"messages":[{"role":"user","x": 1.50,"content":[ {"type":"text",'
            b'"text":"a http b"},{"type":"image_url","image_url":{"detail":"low", "url":"%s"},"y":1e2}]}]}'
        ),
        "messages[0].content[1]",
        '"image_url":{"detail":"low","url":"%s"},"y":1e2',
    ),
    (
        "chat",
        b'{"messages":[{"role":"tool","content":[{"type":"image_url","image_url":"%s"}]}]}',
        "messages[0].content[0]",
        '"image_url":"%s"',
    ),
    (
        "responses",
        (
            b'{"input":[{"type":"function_call_output","call_id":"c","output":[{"type":"input_image",'
            b'"image_url":"%s","detail":"auto"}]}]}'
        ),
        "input[0].output[0]",
        '"image_url":"%s","detail":"auto"',
    ),
]


@pytest.mark.req("R-IMG-001")
@pytest.mark.parametrize(("family", "body", "at", "told"), CASES)
def test_a_picture_becomes_a_data_url_where_it_stands(family, body, at, told):
    new, seen, members = filled(family, body % URL.encode())
    assert seen == [(URL, at)]
    held = "input" if family == "responses" else "messages"
    assert told % DATA in bytes(new[held]).decode()
    before = json.loads(body % DATA.encode())
    assert json.loads(msgspec.json.encode(new)) == before
    assert {name: bytes(raw) for name, raw in new.items() if name != held} == {
        name: bytes(raw) for name, raw in members.items() if name != held
    }


@pytest.mark.req("R-IMG-001")
def test_anthropics_picture_becomes_its_own_source_of_bytes():
    body = (
        b'{"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":'
        b'[{"type":"image","source":{"type":"url","url":"%s"},"cache_control":{"type":"ephemeral"}}]}]}]}'
    )
    new, seen, _ = filled("anthropic", body % URL.encode())
    assert seen == [(URL, "messages[0].content[0].content[0]")]
    part = json.loads(bytes(new["messages"]))[0]["content"][0]["content"][0]
    assert part == {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"},
        "cache_control": {"type": "ephemeral"},
    }


@pytest.mark.parametrize(
    ("family", "body"),
    [
        ("chat", b'{"messages":"http://x"}'),
        ("chat", b'{"messages":[{"role":"user","content":"\\"http://x"}]}'),
        ("chat", b'{"messages":[{"content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,QQ=="}}]}]}'),
        ("chat", b'{"messages":[{"content":[{"type":"image_url","image_url":{"url":1}},"http"]}]}'),
        ("chat", b'{"messages":[{"content":[{"type":"image_url"},"http://x"]}]}'),
        ("chat", b'{"messages":[{"tool_calls":[{"function":{"arguments":"http"}}],"type":"image_url","image_url":["http://x"]}]}'),
        ("anthropic", b'{"messages":[{"content":[{"type":"image","source":"http://x"}]}]}'),
        ("anthropic", b'{"messages":[{"content":[{"type":"image"},{"text":"http"}]}]}'),
        ("anthropic", b'{"messages":[{"content":[{"type":"document","source":{"type":"url","url":"http://x"}}]}]}'),
        ("gemini", b'{"contents":[{"parts":[{"fileData":{"fileUri":"http://x"}}]}]}'),
        ("responses", b'{"input":"http://x"}'),
        ("responses", b'{"model":"m"}'),
    ],
)  # fmt: skip
def test_what_is_no_picture_at_an_address_stays_as_it_came(family, body):
    new, seen, members = filled(family, body)
    assert seen == []
    assert new is members


def test_only_a_request_that_may_hold_an_address_is_opened():
    assert may_hold_pictures("chat", members_of(b'{"messages":["http://x"]}'))
    assert not may_hold_pictures("chat", members_of(b'{"messages":["no"],"user":"http://x"}'))
    assert not may_hold_pictures("gemini", members_of(b'{"contents":["http://x"]}'))
    assert not may_hold_pictures("chat", {})


def test_a_picture_that_is_not_given_stays_an_address():
    body = b'{"messages":[{"content":[{"type":"image_url","image_url":{"url":"http://x"}}]}]}'
    members = members_of(body)
    assert pictures("chat", members, lambda url, at: None) is members
