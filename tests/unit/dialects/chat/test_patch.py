"""Patching a chat request for another provider of the family."""

from __future__ import annotations

import json

import msgspec
import pytest
from msgspec import Raw

from dragoman.core.errors import CallerError
from dragoman.core.loss import Loss
from dragoman.core.provider import Quirks
from dragoman.dialects.base import Target
from dragoman.dialects.chat.patch import patch_request

MISTRAL = Quirks(
    flavour="mistral",
    rename={"max_completion_tokens": "max_tokens", "seed": "random_seed"},
    drop=("logit_bias", "user", "store", "stream_options"),
    usage_in_stream="always",
)


def patch(body, **quirks):
    members = msgspec.json.decode(body, type=dict[str, Raw])
    return patch_request(members, Target("p", "real-model", Quirks(**quirks)))


def patched(body, **quirks):
    return patch(body, **quirks).body


@pytest.mark.pitfall(27)
def test_only_the_model_changes_and_nested_values_stay_byte_for_byte():
    body = b'{"a":1.0, "model" : "openai/x","messages":[ {"role":"user", "content":"\\u00e9", "n":1e2} ],"big":123456789012345678901,"x":null}'
    assert patched(body, flavour="openai") == (
        b'{"a":1.0,"model":"real-model","messages":[ {"role":"user", "content":"\\u00e9", "n":1e2} ],'
        b'"big":123456789012345678901,"x":null}'
    )


def test_the_callers_members_are_left_alone():
    members = {"model": Raw(b'"x"'), "routing": Raw(b"{}")}
    first = patch_request(members, Target("p", "m"))
    assert first == patch_request(members, Target("p", "m"))
    assert set(members) == {"model", "routing"}
    assert first.body == b'{"model":"m"}'


def test_what_was_said_to_the_gateway_does_not_go_on():
    out = patch(b'{"model":"x","routing":{},"models":["a"],"provider":{"zdr":true}}')
    assert out.body == b'{"model":"real-model"}'
    assert out.losses == (), "routing has heeded it"
    assert patch(b'{"model":"x","provider":null}').losses == ()


def test_openrouter_hears_its_own_words():
    body = b'{"model":"x","routing":{},"models":["a"],"provider":{"zdr":true}}'
    assert patched(body, flavour="openrouter") == (
        b'{"model":"real-model","models":["a"],"provider":{"zdr":true}}'
    )


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (b"", b'{"include_usage":true}'),
        (b',"stream_options":null', b'{"include_usage":true}'),
        (b',"stream_options":{"include_usage":true}', b'{"include_usage":true}'),
        (
            b',"stream_options":{"include_usage":false,"include_obfuscation":false}',
            b'{"include_usage":true,"include_obfuscation":false}',
        ),
    ],
)
def test_usage_is_asked_for_in_the_callers_own_options(options, wanted):
    body = b'{"model":"x","stream":true' + options + b"}"
    assert (
        patched(body) == b'{"model":"real-model","stream":true,"stream_options":' + wanted + b"}"
    )


@pytest.mark.parametrize("stream", [b"false", b"null"])
def test_nothing_is_asked_for_without_a_stream(stream):
    assert b"stream_options" not in patched(b'{"model":"x","stream":' + stream + b"}")


def test_stream_options_of_the_wrong_type_are_the_callers_fault():
    with pytest.raises(CallerError) as caught:
        patch(b'{"model":"x","stream":true,"stream_options":3}')
    assert caught.value.param == "stream_options"


def test_a_provider_that_always_tells_usage_is_not_asked():
    body = b'{"model":"x","stream":true}'
    assert patched(body, usage_in_stream="always") == b'{"model":"real-model","stream":true}'


def test_a_provider_that_cannot_tell_usage_is_not_asked_and_the_loss_is_told():
    body = b'{"model":"x","stream":true,"stream_options":{"include_usage":true}}'
    out = patch(body, usage_in_stream="unsupported")
    assert out.body == b'{"model":"real-model","stream":true}'
    assert [loss.path for loss in out.losses] == ["stream_options"]
    assert patch(b'{"model":"x","stream":true}', usage_in_stream="unsupported").losses == ()


@pytest.mark.pitfall(110, 116)
def test_members_are_renamed_and_the_renamed_one_wins():
    members = msgspec.json.decode(
        b'{"model":"x","max_tokens":5,"max_completion_tokens":7,"seed":null,"user":"u","logit_bias":{},'
        b'"store":false,"stream":true,"stream_options":{"include_usage":true}}',
        type=dict[str, Raw],
    )
    out = patch_request(members, Target("mistral", "m", MISTRAL))
    assert json.loads(out.body) == {"model": "m", "max_tokens": 7, "stream": True}
    assert out.losses == (Loss("user", "mistral does not take it"),)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("logprobs", b"true", True),
        ("logprobs", b"false", False),
        ("parallel_tool_calls", b"false", True),
        ("parallel_tool_calls", b"true", False),
        ("seed", b"0", True),
        ("n", b"1", False),
        ("x", b"[]", False),
        ("x", b"null", False),
    ],
)
def test_a_refused_member_is_a_loss_only_if_it_said_something(name, value, told):
    out = patch(b'{"model":"x","%b":%b}' % (name.encode(), value), drop=(name,))
    assert json.loads(out.body) == {"model": "real-model"}
    assert bool(out.losses) is told


@pytest.mark.pitfall(75, 77, 204)
def test_steps_look_into_the_messages_and_touch_nothing_else():
    body = b'{"model":"x","messages":[{"role":"developer","content":[{"type":"text","text":"a", "n":1e2}]},{"role":"user","content":"b","name":"ann"}]}'
    out = patch(body, flavour="groq", steps=("developer_to_system", "drop_names"))
    assert out.body == (
        b'{"model":"real-model","messages":[{"role":"system","content":[{"type":"text","text":"a", "n":1e2}]},{"role":"user","content":"b"}]}'
    )
    assert [loss.path for loss in out.losses] == ["messages[1].name"]


@pytest.mark.parametrize(
    "messages", [b"3", b"[3]", b'[{"role":"user","content":"\xff"}]', b'[{"\xff":1}]']
)
def test_a_step_meets_malformed_messages_with_a_refusal(messages):
    with pytest.raises(CallerError) as caught:
        patch(b'{"model":"x","messages":%b}' % messages, steps=("join_text",))
    assert caught.value.status == 400


def test_a_step_meets_no_messages_at_all_without_harm():
    names = ("merge_system", "bridge_after_tool", "prefix_prefill", "developer_to_system")
    assert patched(b'{"model":"x"}', steps=names) == b'{"model":"real-model"}'
