"""What an answer costs that its provider has served in another tier than the usual: by that tier's prices.

A provider says with its answer how it has served it: for half the money when it had the time, for more and sooner,
or out of what was bought beforehand. Whoever reads the usual price then tells a wrong number.
"""

from __future__ import annotations

import csv
import json
from decimal import Decimal

import pytest

from raw_upstream import STREAM, raw_upstream
from servers import gateway_server

USED = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
READ = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100}
FAST = {"input_tokens": 1000, "output_tokens": 100, "service_tier": "standard", "speed": "fast"}
AT_HOME = {**FAST, "speed": "standard", "inference_geo": "us"}
FAST_AT_HOME = {**FAST, "inference_geo": "us"}
ANYWHERE = {**FAST, "speed": "standard", "inference_geo": "global"}
BOUGHT = {"input_tokens": 1000, "output_tokens": 100, "service_tier": "priority"}


def whole(body) -> bytes:
    data = json.dumps(body).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % len(data) + data


def stream(*events, done=b"") -> bytes:
    frames = []
    for event in events:
        name = b"event: %s\n" % event["type"].encode() if "type" in event else b""
        frames.append(name + b"data: " + json.dumps(event).encode() + b"\n\n")
    return STREAM + b"".join(frames) + done


def completion(tier, used=USED) -> bytes:
    message = {"role": "assistant", "content": "hi"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return whole(
        {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "service_tier": tier,
         "choices": [choice], "usage": used}
    )  # fmt: skip


def chunks(tier) -> bytes:
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    head |= {"service_tier": tier}
    text = {"index": 0, "delta": {"role": "assistant", "content": "hi"}, "finish_reason": None}
    end = {"index": 0, "delta": {}, "finish_reason": "stop"}
    return stream(
        {**head, "choices": [text]},
        {**head, "choices": [end]},
        {**head, "choices": [], "usage": USED},
        done=b"data: [DONE]\n\n",
    )


def response(tier, status="completed"):
    text = {"type": "output_text", "text": "hi", "annotations": []}
    item = {"type": "message", "id": "m", "role": "assistant", "status": status, "content": [text]}
    done = status == "completed"
    return {
        "id": "r", "object": "response", "created_at": 1, "status": status, "model": "m",
        "output": [item] if done else [], "service_tier": tier, "usage": READ if done else None,
    }  # fmt: skip


def responses(tier) -> bytes:
    """What is asked for stands at the beginning, what has served at the end."""
    delta = {"item_id": "m", "output_index": 0, "content_index": 0, "delta": "hi"}
    return stream(
        {"type": "response.created", "response": response("auto", "in_progress")},
        {"type": "response.output_text.delta", **delta},
        {"type": "response.completed", "response": response(tier)},
    )


def message(used):
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "hi"}], "usage": used,
    }  # fmt: skip


def messages(used) -> bytes:
    begun = {**message({**used, "output_tokens": 1}), "content": [], "stop_reason": None}
    return stream(
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 100}},
        {"type": "message_stop"},
    )  # fmt: skip


REPLIES = {
    "gpt-5-mini": completion("flex"),
    "gpt-5": completion("priority"),
    "gpt-5-nano": completion("scale"),
    "gpt-4.1": completion("default"),
    "gpt-5.1": chunks("flex"),
    "gpt-5.2": chunks("priority"),
    "o4-mini": whole(response("flex")),
    "o3": responses("priority"),
    "claude-opus-4-8": whole(message(FAST)),
    "claude-opus-5": messages(FAST),
    "claude-sonnet-4-5": whole(message(BOUGHT)),
    "claude-sonnet-4-6": whole(message(AT_HOME)),
    "claude-opus-5-5": messages(FAST_AT_HOME),
    "claude-opus-4-7": messages(AT_HOME),
    "claude-opus-4-6": whole(message(ANYWHERE)),
}
COSTS = {
    "gpt-5-mini": "0.000225",  # 1000*0.125 + 100*1
    "gpt-5": "0.0045",  # 1000*2.5 + 100*20
    "gpt-5-nano": None,  # bought beforehand: no list says what it costs
    "gpt-4.1": "0.0028",  # 1000*2 + 100*8
    "gpt-5.1": "0.001125",  # 1000*0.625 + 100*5
    "gpt-5.2": "0.0063",  # 1000*3.5 + 100*28
    "o4-mini": "0.00077",  # 1000*0.55 + 100*2.2
    "o3": "0.0049",  # 1000*3.5 + 100*14
    "claude-opus-4-8": "0.015",  # 1000*10 + 100*50
    "claude-opus-5": "0.015",
    "claude-sonnet-4-5": None,
    "claude-sonnet-4-6": "0.00495",  # (1000*3 + 100*15) * 1.1
    "claude-opus-5-5": "0.0132",  # (1000*8 + 100*40) * 1.1
    "claude-opus-4-7": "0.00825",  # (1000*5 + 100*25) * 1.1
    "claude-opus-4-6": "0.0075",
}
TIERS = {
    "gpt-5-mini": "flex",
    "gpt-5": "priority",
    "gpt-5-nano": "scale",
    "gpt-5.1": "flex",
    "gpt-5.2": "priority",
    "o4-mini": "flex",
    "o3": "priority",
    "claude-opus-4-8": "fast",
    "claude-opus-5": "fast",
    "claude-sonnet-4-5": "priority",
    "claude-sonnet-4-6": "us",
    "claude-opus-5-5": "fast us",
    "claude-opus-4-7": "us",
}
"""As the ledger tells them; all others are served as usual."""
STREAMS = ("claude-opus-5", "claude-opus-5-5", "claude-opus-4-7")
CHAT = ("gpt-5-mini", "gpt-5", "gpt-5-nano", "gpt-4.1")
ANTHROPIC = ("claude-opus-4-8", "claude-sonnet-4-5", "claude-sonnet-4-6", "claude-opus-4-6")


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    with (
        raw_upstream(REPLIES) as up,
        gateway_server(tmp_path_factory.mktemp("tiers"), **up.environment()) as server,
    ):
        yield server


def asks(house, way, model):
    """The reply to a question in that dialect, whole or as a stream."""
    dialect, _, form = way.partition(" ")
    streams = form == "stream"
    if dialect == "chat":
        more = {"stream": True, "stream_options": {"include_usage": True}} if streams else {}
        return house.chat(model, **more)
    if dialect == "anthropic":
        return house.message(model, stream=streams)
    body = {"model": model, "input": "Hello!", "stream": streams}
    return house.ask("POST", "/v1/responses", body)


@pytest.mark.req("R-USE-009", "M12")
@pytest.mark.parametrize(
    ("way", "model"),
    [
        *((f"{dialect} whole", f"openai/{model}") for model in CHAT for dialect in ("chat", "anthropic")),
        *((f"{dialect} stream", f"openai/{model}") for model in ("gpt-5.1", "gpt-5.2") for dialect in ("chat", "anthropic")),
        ("responses whole", "openai/o4-mini"),
        ("responses stream", "openai/o3"),
        *((f"{dialect} whole", f"anthropic/{model}") for model in ANTHROPIC for dialect in ("chat", "anthropic")),
        *((f"{dialect} stream", f"anthropic/{model}") for model in STREAMS for dialect in ("chat", "anthropic")),
    ],
)  # fmt: skip
def test_an_answer_costs_what_its_tier_does(house, way, model):
    reply = asks(house, way, model)
    assert reply.status == 200, reply.body
    row = house.row(reply.headers["x-request-id"])
    wanted = COSTS[model.partition("/")[2]]
    assert (row["input_tokens"], row["output_tokens"]) == (1000, 100)
    assert row["cost_usd"] == wanted
    assert row["cost_from"] == ("none" if wanted is None else "priced")
    assert row["service_tier"] == TIERS.get(model.partition("/")[2], "")
    if way.endswith("whole"):
        assert reply.headers.get("x-dragoman-cost-usd") == wanted
    if way == "chat stream" and wanted is not None:
        assert f'"cost":{wanted}' in reply.body.decode()


@pytest.mark.req("R-USE-009", "R-USE-010")
def test_reports_tell_the_tier_that_a_call_was_served_in(house):
    seen = {}
    for model in ("gpt-5-mini", "gpt-4.1"):
        name = asks(house, "chat whole", f"openai/{model}").headers["x-request-id"]
        call = house.row(name)["call_id"]
        (attempt,) = house.ask("GET", f"/v1/requests/{name}/explain").json()["attempts"]
        seen[call] = attempt.get("service_tier")
    assert list(seen.values()) == ["flex", None]
    page = house.ask("GET", "/v1/usage?group=request").json()["data"]
    told = {row["call_id"]: row["service_tier"] for row in page if row["call_id"] in seen}
    assert [told[call] for call in seen] == ["flex", ""]
    exported = house.ask("GET", "/v1/usage?group=request&format=csv").body.decode()
    assert {row["service_tier"] for row in csv.DictReader(exported.splitlines())} >= {"flex", ""}


@pytest.mark.req("R-USE-009")
def test_an_operators_own_price_holds_in_every_tier_of_which_it_says_nothing(tmp_path):
    (tmp_path / "dragoman.toml").write_text(
        '[prices."openai/gpt-5-nano"]\ninput = "1"\noutput = "2"\n'
        '[prices."openai/gpt-5-mini"]\ninput = "1"\noutput = "2"\n'
        '[prices."openai/gpt-5-mini".tiers.flex]\ninput = "0.5"\noutput = "1"\n'
    )
    with (
        raw_upstream(REPLIES) as up,
        gateway_server(tmp_path, **up.environment()) as server,
    ):
        assert server.chat("openai/gpt-5-nano").headers["x-dragoman-cost-usd"] == "0.0012"
        assert server.chat("openai/gpt-5-mini").headers["x-dragoman-cost-usd"] == "0.0006"


@pytest.mark.req("M3", "R-TIER-008")
def test_money_is_set_aside_by_the_dearer_tier_that_is_asked_for(tmp_path):
    """A hundred tokens of an answer cost 0.001 usually, and 0.002 for who does not want to wait."""
    (tmp_path / "dragoman.toml").write_text('[budgets.small]\nmonthly_usd = "0.0016"\n')
    with (
        raw_upstream({"gpt-5": completion("default")}) as up,
        gateway_server(tmp_path, **up.environment()) as server,
    ):
        said = {"model": "openai/gpt-5", "max_tokens": 100}
        assert server.chat(**said, service_tier="priority").status == 429
        assert server.ask("POST", "/v1/responses", {
            "model": "openai/gpt-5", "input": "Hello!", "max_output_tokens": 100, "service_tier": "fast",
        }).status == 429  # fmt: skip
        assert not up.asked
        # The usual price is set aside; what came of it, 0.00225, is more than the budget.
        assert server.chat(**said, service_tier="flex").status == 200
        assert server.chat(**said).status == 429


@pytest.mark.req("M3")
def test_money_is_set_aside_by_the_tier_though_the_same_was_just_paid_at_the_usual_price(tmp_path):
    """What a caller's last call cost stands for its next ones, unless they ask for another tier."""
    (tmp_path / "dragoman.toml").write_text('[budgets.small]\nmonthly_usd = "0.0016"\n')
    little = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
    with (
        raw_upstream({"gpt-5": completion("default", little)}) as up,
        gateway_server(tmp_path, **up.environment()) as server,
    ):
        said = {"model": "openai/gpt-5", "max_tokens": 100}
        for _ in range(3):
            assert server.chat(**said).status == 200
        assert server.chat(**said, service_tier="priority").status == 429
        assert len(up.asked) == 3


def test_the_costs_written_here_are_all_of_them():
    assert COSTS.keys() == REPLIES.keys()
    assert all(Decimal(cost) > 0 for cost in COSTS.values() if cost is not None)
