"""Legacy completion requests: read, written, and patched within the family."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from dragoman.core.errors import CallerError
from dragoman.core.parts import CacheMark, Inline, Media, Message, Text
from dragoman.core.provider import Quirks
from dragoman.core.request import FunctionTool, Output, Reasoning, Request, Sampling
from dragoman.dialects.base import Outgoing, Target
from dragoman.dialects.registry import DIALECTS

COMPLETIONS = DIALECTS["completions"]
TARGET = Target("openai", "davinci")
HI = (Message("user", (Text("hi"),)),)


def read(**members: Any) -> Request:
    said = {"model": "m", "prompt": "hi", **members}
    return COMPLETIONS.read_request(json.dumps(said).encode())


def refusal(**members: Any) -> CallerError:
    with pytest.raises(CallerError) as caught:
        read(**members)
    assert caught.value.status == 400
    return caught.value


# --------------------------------------------------------------------------- reading


@pytest.mark.pitfall(89)
def test_a_prompt_is_what_the_user_says():
    assert read() == read(stop=None, stream=None, n=None, suffix=None, echo=False, best_of=1)
    assert read().messages == HI
    assert read(prompt=["hi"]).messages == HI
    assert read(prompt="").messages == (Message("user", (Text(""),)),)


def test_what_is_asked_for_has_canonical_names():
    request = read(
        temperature=0,
        top_p=0.5,
        max_tokens=9,
        n=2,
        seed=1,
        stop=["a", "b"],
        frequency_penalty=0.1,
        presence_penalty=0.2,
        repetition_penalty=1.1,
        top_k=3,
        min_p=0.1,
        logit_bias={"5": -100},
        logprobs=3,
        user="u",
        stream=True,
        stream_options={"include_usage": True, "include_obfuscation": False},
    )
    assert request.sampling == Sampling(
        temperature=0.0,
        top_p=0.5,
        top_k=3,
        min_p=0.1,
        seed=1,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        repetition_penalty=1.1,
        logit_bias={"5": -100.0},
        stop=("a", "b"),
        n=2,
        logprobs=True,
        top_logprobs=3,
    )
    assert (request.max_tokens, request.end_user, request.stream) == (9, "u", True)
    assert request.include_usage
    assert request.ext == {
        "completions": {"stream_options": Raw(b'{"include_obfuscation":false}')}
    }


@pytest.mark.parametrize(
    ("said", "asked", "top"),
    [(None, None, None), (0, True, None), (5, True, 5), (True, True, None), (False, False, None)],
)
def test_log_probabilities_are_a_count_here(said, asked, top):
    sampling = read(logprobs=said).sampling
    assert (sampling.logprobs, sampling.top_logprobs) == (asked, top)


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": [[1], [2]]}, "prompt"),
        ({"suffix": "z"}, "suffix"),
        ({"echo": True}, "echo"),
        ({"max_tokens": 0}, "max_tokens"),
    ],
)
def test_what_no_chat_model_does_is_refused(members, param):
    error = refusal(**members)
    assert (error.code, error.param) == ("unsupported_feature", param)


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"model": None}, "model"),
        ({"prompt": None}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": {"a": 1}}, "prompt"),
        ({"temperature": "hot"}, "temperature"),
        ({"n": "two", "best_of": 3}, "n"),
        ({"stream_options": [1]}, "stream_options"),
        ({"logprobs": "many"}, "logprobs"),
    ],
)
def test_what_cannot_be_understood_is_refused_by_its_name(members, param):
    assert refusal(**members).param == param


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"[" * 5000])
def test_what_is_no_json_object_is_refused(body):
    with pytest.raises(CallerError):
        COMPLETIONS.read_request(body)


def test_more_drafts_than_answers_are_a_wish_that_rides_along():
    assert read(best_of=3).ext == {"completions": {"best_of": Raw(b"3")}}
    assert read(best_of=3, n=3).ext is None
    lost = DIALECTS["anthropic"].write_request(read(best_of=3), Target("anthropic", "claude"))
    assert [(loss.path, loss.action) for loss in lost.losses] == [("best_of", "dropped")]


# --------------------------------------------------------------------------- writing


def written(messages: Any = HI, target: Target = TARGET, **members: Any) -> Outgoing:
    return COMPLETIONS.write_request(Request("x", tuple(messages), **members), target)


def test_one_text_is_a_prompt_and_nothing_is_filled_in():
    assert json.loads(written().body) == {"model": "davinci", "prompt": "hi"}
    two = (Message("user", (Text("a"), Text("b"))),)
    body = json.loads(written(two, stream=True, max_tokens=3, end_user="u").body)
    assert body == {
        "model": "davinci",
        "prompt": "a\nb",
        "max_tokens": 3,
        "user": "u",
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    always = Target("p", "m", Quirks(usage_in_stream="always"))
    assert "stream_options" not in json.loads(written(target=always, stream=True).body)


@pytest.mark.parametrize(
    ("messages", "members", "param"),
    [
        ([*HI, *HI], {}, "messages"),
        (HI, {"system": (Text("s"),)}, "messages"),
        ([Message("assistant", (Text("a"),))], {}, "messages"),
        (
            [Message("user", (Media("image", Inline("AA==", "image/png")),))],
            {},
            "messages[0].content",
        ),
        (HI, {"tools": (FunctionTool("f"),)}, "tools"),
        (HI, {"output": Output("json")}, "response_format"),
        (HI, {"output": Output(modalities=("audio",))}, "response_format"),
    ],
)
def test_what_is_no_prompt_is_refused(messages, members, param):
    with pytest.raises(CallerError) as caught:
        written(messages, **members)
    assert (caught.value.code, caught.value.param) == ("unsupported_feature", param)


def test_what_a_prompt_cannot_say_is_told():
    out = written(
        reasoning=Reasoning(effort="low"),
        output=Output(verbosity="low", audio=Raw(b"{}")),
        metadata={"a": "b"},
        store=True,
        safety_id="s",
        cache_key="k",
        cache_retention="24h",
        prediction=Raw(b"{}"),
        cache=CacheMark(),
        service_tier="flex",
        ext={"chat": {"x": Raw(b"1"), "y": Raw(b"null")}, "completions": {"best_of": Raw(b"3")}},
    )
    assert {loss.path for loss in out.losses} == {
        *("x", "reasoning_effort", "verbosity", "audio", "metadata", "store", "cache_control"),
        *("safety_identifier", "prompt_cache_key", "prompt_cache_retention", "prediction"),
        "service_tier",
    }
    assert json.loads(out.body)["best_of"] == 3
    assert written(store=False, service_tier="auto").losses == ()


# --------------------------------------------------------------------------- the same dialect

MEMBERS = {
    "model": Raw(b'"openai/x"'),
    "prompt": Raw(b'[ "\\u00e4", "b" ]'),
    "suffix": Raw(b'"z"'),
    "echo": Raw(b"true"),
    "routing": Raw(b"{}"),
    "models": Raw(b"[]"),
}


def test_within_the_family_only_the_top_level_is_touched():
    out = COMPLETIONS.patch_request(MEMBERS, TARGET)
    assert out.body == (
        b'{"model":"davinci","prompt":[ "\\u00e4", "b" ],"suffix":"z","echo":true}'
    )
    quirky = Target("own", "m", Quirks(rename={"suffix": "after"}, drop=("echo",)))
    out = COMPLETIONS.patch_request(MEMBERS, quirky)
    assert json.loads(out.body)["after"] == "z"
    assert [loss.path for loss in out.losses] == ["echo"]


@pytest.mark.parametrize(
    ("told", "options", "sent"),
    [
        ("asked", None, {"include_usage": True}),
        ("asked", b"null", {"include_usage": True}),
        ("asked", b'{"x":1,"include_usage":false}', {"x": 1, "include_usage": True}),
        ("always", b'{"x":1}', {"x": 1}),
        ("unsupported", b'{"x":1}', None),
        ("unsupported", None, None),
    ],
)
def test_a_stream_is_asked_to_tell_its_usage(told, options, sent):
    members = {**MEMBERS, "stream": Raw(b"true")}
    if options is not None:
        members["stream_options"] = Raw(options)
    out = COMPLETIONS.patch_request(members, Target("p", "m", Quirks(usage_in_stream=told)))
    assert json.loads(out.body).get("stream_options") == sent
    lost = [loss.path for loss in out.losses]
    assert lost == (["stream_options"] if told == "unsupported" and options else [])
