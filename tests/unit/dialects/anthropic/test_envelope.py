"""Foreign reasoning state through a client of this dialect and back."""

from __future__ import annotations

import json

import pytest
from msgspec import Raw

from dragoman.core.envelope import PREFIX, SEALED, Envelope, open_thoughts
from dragoman.core.parts import Message, Text, Thinking
from dragoman.core.request import Request
from dragoman.core.response import Choice, Finish, Response
from dragoman.dialects.anthropic import ANTHROPIC
from dragoman.dialects.anthropic.envelope import wrap
from dragoman.dialects.base import Context, Target

ENVELOPE = Envelope({1: b"k" * 32})
CONTEXT = Context("c" * 32, 1, "m", envelope=ENVELOPE)
FOREIGN = Thinking("hm", signature="s/+=é", family="gemini", format="google-gemini-v1", id="r1")


def blocks_of(part: Thinking, context: Context = CONTEXT) -> list[dict[str, object]]:
    reply = ANTHROPIC.write_response(
        Response("i", "m", (Choice((part,), Finish("stop")),)), context
    )
    return json.loads(reply.body)["content"]


def sent_back(blocks: object) -> Request:
    """The client sends the blocks back unchanged."""
    body = {
        "model": "m",
        "max_tokens": 1,
        "messages": [{"role": "assistant", "content": blocks}],
    }
    return ANTHROPIC.read_request(json.dumps(body).encode())


@pytest.mark.pitfall(93, 94, 100)
@pytest.mark.parametrize(
    "part",
    [
        FOREIGN,
        Thinking("sum", encrypted="e", family="responses", id="rs_1", summary=True),
        Thinking(encrypted="e", redacted=True, family="chat", format="openai"),
        Thinking(encrypted="e", family="chat"),
        Thinking("in short", summary=True, family="chat", format="xai-responses-v1"),
        Thinking("plain", family="chat"),
        Thinking("own", signature="s", family="anthropic", format="anthropic-claude-v1"),
        Thinking(redacted=True, encrypted="d", family="anthropic", format="anthropic-claude-v1"),
        Thinking("nobody's"),
    ],
)
def test_state_comes_back_byte_for_byte_to_whom_it_belongs(part):
    request, losses = open_thoughts(sent_back(blocks_of(part)), ENVELOPE)
    assert request.messages[0].parts == (part,)
    assert losses == ()


def test_every_version_of_the_key_opens_and_the_newest_seals():
    (old,) = blocks_of(FOREIGN)
    rotated = Envelope({1: b"k" * 32, 2: b"n" * 32})
    assert open_thoughts(sent_back([old]), rotated)[0].messages[0].parts == (FOREIGN,)
    (new,) = blocks_of(FOREIGN, Context("c", 1, "m", envelope=rotated))
    assert str(new["signature"]).startswith(f"{PREFIX}2.")
    assert open_thoughts(sent_back([new]), ENVELOPE)[0].messages[0].parts == ()


def test_an_envelope_does_not_show_its_keys():
    assert repr(ENVELOPE) == "Envelope([1])"


def test_a_thought_of_nobody_and_one_without_a_key_have_no_envelope():
    assert wrap(Thinking("x"), ENVELOPE) == ""
    assert wrap(FOREIGN, None) == ""


def forged() -> list[str]:
    (block,) = blocks_of(FOREIGN)
    good = str(block["signature"])
    head, version, state, mac = good.split(".")
    flipped = state[:5] + ("A" if state[5] != "A" else "B") + state[6:]
    return [
        f"{head}.{version}.{flipped}.{mac}",
        f"{head}.2.{state}.{mac}",
        f"{head}.{version}.{state}.",
        f"{head}.{version}.{state}",
        f"{head}.x.{state}.{mac}",
        str(
            blocks_of(FOREIGN, Context("c", 1, "m", envelope=Envelope({1: b"o" * 32})))[0][
                "signature"
            ]
        ),
        *(PREFIX + rest for rest in ("", "!!!", "e30", "W10", "1.e30.é")),
    ]


@pytest.mark.pitfall(93)
@pytest.mark.parametrize("state", forged())
@pytest.mark.parametrize("kind", ["thinking", "redacted_thinking"])
def test_a_foreign_or_tampered_envelope_is_left_out_and_told(state, kind):
    told = {"thinking": "hm", "signature": state} if kind == "thinking" else {"data": state}
    text = {"type": "text", "text": "a"}
    body = json.dumps(
        {
            "model": "m",
            "max_tokens": 1,
            "messages": [{"role": "assistant", "content": [{"type": kind, **told}, text]}],
        }
    )
    request = ANTHROPIC.read_request(body.encode())
    opened, losses = open_thoughts(request, ENVELOPE)
    assert opened.messages[0].parts == (Text("a"),)
    assert [(loss.path, loss.action) for loss in losses] == [("messages[0].content[0]", "dropped")]


def test_who_holds_no_key_opens_nothing():
    request = sent_back(blocks_of(FOREIGN))
    assert request.messages[0].parts[0].family == SEALED
    opened, losses = open_thoughts(request, None)
    assert opened.messages[0].parts == ()
    assert len(losses) == 1


@pytest.mark.pitfall(93)
def test_a_closed_envelope_is_shown_to_nobody():
    """Should a request ever be written without being opened, the thought stays out of it."""
    out = ANTHROPIC.write_request(
        Request(
            "m",
            (
                Message("user", (Text("q"),)),
                *sent_back(blocks_of(FOREIGN)).messages,
                Message("user", (Text("r"),)),
            ),
            max_tokens=9,
        ),
        Target("anthropic", "m"),
    )
    assert PREFIX.encode() not in out.body
    assert [loss.path for loss in out.losses] == ["messages[1].content[0]"]


# --------------------------------------------------------------------------- the same dialect


def patched(messages: object) -> tuple[object, list[str]]:
    raw = Raw(json.dumps(messages).encode())
    out = ANTHROPIC.patch_request(
        {"model": Raw(b'"x"'), "messages": raw}, Target("anthropic", "m")
    )
    return json.loads(out.body)["messages"], [loss.path for loss in out.losses]


@pytest.mark.pitfall(93)
def test_on_the_same_dialect_way_envelopes_stay_behind():
    """The conversation began at another provider; Anthropic would refuse its signatures."""
    (sealed,) = blocks_of(FOREIGN)
    (hidden,) = blocks_of(Thinking(encrypted="e", redacted=True, family="chat"))
    own = {"type": "thinking", "thinking": "t", "signature": "own"}
    text = {"type": "text", "text": "a"}
    user = {"role": "user", "content": "q"}
    messages, lost = patched(
        [
            user,
            {"role": "assistant", "content": [sealed, own, text]},
            user,
            {"role": "assistant", "content": [hidden]},
            {"role": "user", "content": [{"type": "text", "text": f'"{PREFIX}'}]},
        ]
    )
    assert messages == [
        user,
        {"role": "assistant", "content": [own, text]},
        user,
        {"role": "user", "content": [{"type": "text", "text": f'"{PREFIX}'}]},
    ]
    assert lost == ["messages[1].content[0]", "messages[3].content[0]"]


@pytest.mark.parametrize("messages", [f"{PREFIX}x", [f"{PREFIX}x"], [{"content": [f"{PREFIX}x"]}]])
def test_messages_that_are_none_are_for_the_provider_to_judge(messages):
    assert patched(messages) == (messages, [])
