"""What the gateway says beside an answer, read as the SDKs' users read it (D6, D27, R-ADD-030)."""

from __future__ import annotations

from decimal import Decimal

import anthropic
import openai
import pytest

from servers import asked

HELLO = [{"role": "user", "content": "Hello"}]
GPT, CLAUDE = "openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5"
every_way = pytest.mark.parametrize("model", [GPT, CLAUDE])
STRICT = {"x-dragoman-strict": "true"}
TRACE = "0af7651916cd43dd8448eb211c80319c"


def asked_gpt(client, model, **members):
    return client.chat.completions.with_raw_response.create(model=model, messages=HELLO, **members)


def asked_claude(client, model, **members):
    members = {"max_tokens": 200, **members}
    return client.messages.with_raw_response.create(model=model, messages=HELLO, **members)


@pytest.mark.req("R-ADD-030", "R-OBS-004")
@every_way
def test_who_served_and_what_it_cost_is_told(gpt, claude, model):
    for reply in (asked_gpt(gpt, model), asked_claude(claude, model)):
        said = reply.headers
        assert said["x-dragoman-provider"] == said["x-provider"] == model.partition("/")[0]
        assert said["x-dragoman-model"] == model
        assert said["x-dragoman-requested-model"] == model
        assert said["x-dragoman-attempts"] == "1"
        assert said["x-dragoman-upstream-id"].startswith("req_mock")
        assert said["x-fallback-attempted"] == "false"
        assert Decimal(said["x-dragoman-cost-usd"]) > 0
        assert said["x-cost-usd"] == said["x-dragoman-cost-usd"]
        assert float(said["x-latency-ms"]) > 0
        assert len(said["x-trace-id"]) == 32
        assert reply.parse().id
    assert said["request-id"] == said["x-request-id"]


@every_way
def test_the_cost_is_the_price_of_the_tokens(gpt, model):
    reply = asked_gpt(gpt, model)
    usage = reply.parse().usage
    prices = {GPT: ("0.15", "0.60"), CLAUDE: ("3", "15")}
    into, out = map(Decimal, prices[model])
    due = (usage.prompt_tokens * into + usage.completion_tokens * out) / 1_000_000
    assert Decimal(reply.headers["x-dragoman-cost-usd"]) == due


@every_way
def test_a_stream_tells_the_same_but_its_cost_only_with_its_usage(gpt, claude, model):
    whole = asked_gpt(gpt, model)
    reply = asked_gpt(gpt, model, stream=True, stream_options={"include_usage": True})
    assert reply.headers["x-dragoman-model"] == model
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert "x-dragoman-cost-usd" not in reply.headers
    usage = [chunk.usage for chunk in reply.parse() if chunk.usage][-1]
    told = Decimal(str(usage.model_extra["cost"]))
    assert told == Decimal(whole.headers["x-dragoman-cost-usd"])
    reply = asked_claude(claude, model, stream=True)
    assert reply.headers["x-dragoman-model"] == model
    assert reply.headers["request-id"] == reply.headers["x-request-id"]
    assert [event.type for event in reply.parse()][-1] == "message_stop"


@pytest.mark.req("R-OBS-004")
def test_a_callers_own_ids_are_kept(gpt, claude):
    given = {"x-request-id": "my-id_1.2:3", "traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
    for reply in (
        asked_gpt(gpt, GPT, extra_headers=given),
        asked_claude(claude, CLAUDE, extra_headers=given),
    ):
        assert reply.headers["x-request-id"] == "my-id_1.2:3"
        assert reply.headers["x-trace-id"] == TRACE
        assert reply.headers["x-dragoman-call-id"] != "my-id_1.2:3"
    assert reply.parse()._request_id == "my-id_1.2:3"


def test_an_id_that_is_no_label_is_replaced(gpt):
    reply = asked_gpt(gpt, GPT, extra_headers={"x-request-id": "two words"})
    assert reply.headers["x-request-id"].startswith("req_")


LOSSY = {
    "seed": 7,
    "logit_bias": {"50256": -100},
    "presence_penalty": 0.5,
    "extra_body": {"store": True},
}


@pytest.mark.parametrize("stream", [False, True])
def test_everything_that_gets_lost_on_the_way_to_claude_is_listed(gpt, stream):
    reply = asked_gpt(gpt, CLAUDE, stream=stream, **LOSSY)
    dropped = reply.headers["x-dragoman-dropped"]
    paths = {entry.split(";")[0].strip() for entry in dropped.split(",")}
    assert paths >= {"seed", "logit_bias", "presence_penalty"}
    for entry in dropped.split(","):
        assert "action=dropped" in entry
        assert "reason=" in entry


def test_what_claude_can_say_and_openai_cannot_is_listed(claude):
    reply = asked_claude(claude, GPT, extra_body={"top_k": 5})
    assert reply.headers["x-dragoman-dropped"].startswith("top_k;action=dropped")


@every_way
def test_nothing_is_said_to_be_lost_where_nothing_is(gpt, claude, model):
    assert "x-dragoman-dropped" not in asked_gpt(gpt, model, temperature=0.5, stop="x").headers
    assert "x-dragoman-dropped" not in asked_claude(claude, model, stop_sequences=["x"]).headers


@pytest.mark.parametrize("stream", [False, True])
def test_strict_turns_a_loss_into_a_refusal_that_names_it(gpt, claude, stream, mock):
    with pytest.raises(openai.BadRequestError) as caught:
        asked_gpt(gpt, "anthropic/claude-strict", seed=7, stream=stream, extra_headers=STRICT)
    assert caught.value.code == "unsupported_feature"
    assert caught.value.param == "seed"
    with pytest.raises(anthropic.BadRequestError) as caught:
        asked_claude(
            claude,
            "openai/gpt-strict",
            stream=stream,
            extra_body={"top_k": 5},
            extra_headers=STRICT,
        )
    assert "top_k" in str(caught.value)
    assert (asked(mock, "claude-strict"), asked(mock, "gpt-strict")) == (0, 0)


@every_way
def test_strict_lets_pass_what_loses_nothing(gpt, claude, model):
    assert asked_gpt(gpt, model, extra_headers=STRICT).parse().choices
    assert asked_claude(claude, model, extra_headers=STRICT).parse().content


def test_a_limit_that_claude_needs_and_the_caller_did_not_give_is_told(gpt):
    assert asked_gpt(gpt, CLAUDE).headers["x-dragoman-adjusted"] == "max_tokens=64000"
    unknown = asked_gpt(gpt, "anthropic/claude-of-tomorrow").headers
    assert unknown["x-dragoman-adjusted"] == "max_tokens=8192"
    assert "x-dragoman-adjusted" not in asked_gpt(gpt, CLAUDE, max_tokens=50).headers
    assert "x-dragoman-adjusted" not in asked_gpt(gpt, GPT).headers
