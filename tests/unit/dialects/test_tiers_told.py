"""In which service tier an answer was served is told with its usage, however a provider says it."""

from __future__ import annotations

import json

import pytest

from dragoman.core.events import Start, UsageNote
from dragoman.core.usage import Usage, add, in_tier, served
from dragoman.dialects.base import Context, Target, Undo
from dragoman.dialects.gemini.usage import tier_of as gemini_tier
from dragoman.dialects.registry import DIALECTS
from dragoman.dialects.responses.stream_read import ResponsesStreamReader
from dragoman.dialects.translate import Translation

TARGET, CONTEXT = Target("p", "m"), Context("0" * 32, 1, "m")
SOME = Usage(input=3, output=2)


@pytest.mark.parametrize("usual", [None, "", "default", "auto", "standard", "on_demand"])
def test_the_usual_tier_leaves_usage_as_it_is(usual):
    assert in_tier(SOME, usual) is SOME
    assert in_tier(None, "flex") is None


def test_another_tier_stands_with_the_usage_and_stays_in_sums():
    flex = in_tier(SOME, "FLEX")
    assert flex.tier == "flex"
    assert served(flex, "default").tier == ""
    assert add(flex, flex) == Usage(input=6, output=4, tier="flex")


@pytest.mark.parametrize(
    ("said", "tier"),
    [("flex", "flex"), ("SERVICE_TIER_PRIORITY", "priority"), ("STANDARD", "default"),
     ("SERVICE_TIER_UNSPECIFIED", None), (None, None), (7, None)],
)  # fmt: skip
def test_gemini_says_it_in_its_usage(said, tier):
    assert gemini_tier(said) == tier


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("said", "tier"), [("flex", "flex"), ("standard", None), (None, None)])
def test_gemini_within_its_family(said, tier, stream):
    used = {"promptTokenCount": 3, "candidatesTokenCount": 2}
    used |= {} if said is None else {"serviceTier": said}
    reply = {
        "candidates": [{"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}],
        "usageMetadata": used,
        "modelVersion": "m",
    }
    data, gemini = json.dumps(reply).encode(), DIALECTS["gemini"]
    if stream:
        relay = gemini.relay(TARGET, CONTEXT)
        relay.feed(b"data: " + data + b"\r\n\r\n")
        usage = relay.facts.usage
    else:
        usage = gemini.tap_response(data, TARGET, CONTEXT).usage
    assert (usage.input, usage.output, usage.tier) == (3, 2, tier)


def test_a_chat_streams_tier_may_have_been_told_before_its_usage():
    relay = DIALECTS["chat"].relay(TARGET, CONTEXT)
    choice = {"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}
    for chunk in (
        {"id": "c", "service_tier": "priority", "choices": [choice]},
        {"id": "c", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
    ):
        relay.feed(b"data: " + json.dumps(chunk).encode() + b"\n\n")
    assert relay.facts.usage.tier == "priority"


def _responses(*tiers) -> list:
    """The events of a stream whose first and last event tell these tiers."""
    reader = ResponsesStreamReader(TARGET, Undo())
    events = []
    used = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    for kind, tier in zip(("created", "completed"), tiers, strict=True):
        status = "in_progress" if kind == "created" else "completed"
        response = {"id": "r", "status": status, "model": "m", "output": [], "service_tier": tier}
        response |= {"usage": used} if kind == "completed" else {}
        event = {"type": f"response.{kind}", "response": response}
        events += reader.feed(b"data: " + json.dumps(event).encode() + b"\n\n")
    return events


@pytest.mark.parametrize(
    ("asked", "served_in", "priced"),
    [
        ("auto", "flex", "flex"),
        ("priority", "priority", "priority"),
        ("priority", "default", ""),
        ("auto", "default", ""),
    ],
)
def test_of_what_was_asked_for_and_what_has_served_the_latter_is_paid(asked, served_in, priced):
    class Again:
        """A reader that has read."""

        def feed(self, data):
            return data

        def close(self):
            return []

    events = _responses(asked, served_in)
    assert isinstance(events[0], Start)
    relay = Translation(Again(), DIALECTS["chat"].stream_writer(CONTEXT))
    relay.feed(events)
    assert (relay.facts.usage.tier or "") == priced
    assert [event.usage.input for event in events if isinstance(event, UsageNote)] == [3]
