"""The ledger's figures over real processes: a row for every kind of usage, of charge and of ending.

The provider's replies are written out here, so that every count of a row, and every amount, is known by hand.
"""

import csv
import io
import json
import sqlite3
import time
from decimal import Decimal

import pytest

from raw_upstream import STREAM, raw_upstream
from servers import beside, gateway_server, new_api_key, providers_at, until

D = Decimal
PRICES = """
[prices."openai/priced"]
input = "2"
output = "8"
cache_read = "0.5"
cache_write = "2.5"
audio_input = "40"
audio_output = "80"
image_input = "10"
image_output = "30"
per_image = "0.04"
effective_from = "2026-01-02"

[prices."mistral/listener"]
input = "0.1"
output = "0.3"
per_audio_second = "0.00005"

[prices."anthropic/writer"]
input = "3"
output = "15"
cache_read = "0.3"
cache_write = "3.75"
cache_write_1h = "6"
per_search = "0.01"

[prices."google/painter"]
input = "0.3"
output = "2.5"
image_output = "30"

[[charges]]
model = "openai/marked-up"
factor = "1.25"
per_request_usd = "0.001"

[[charges]]
tier = "pro"
factor = "2"

[prices."openai/marked-up"]
input = "2"
output = "8"

[tiers.pro]
rpm = 1000
"""


@pytest.fixture(scope="module")
def house(mock, tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")
    (folder / "dragoman.toml").write_text(PRICES)
    with gateway_server(folder, **providers_at(mock.port)) as server:
        yield server


def chat_reply(usage, model="priced"):
    return {
        "id": "chatcmpl-kinds",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": "ok"},
            }
        ],
        "usage": usage,
    }


def of(house, table, call):
    """The row of a call, as it lies in the database."""
    with sqlite3.connect(house.log.parent / "home" / "dragoman.db") as connection:
        connection.row_factory = sqlite3.Row
        rows = connection.execute(
            f"SELECT * FROM {table} WHERE call_id = ? ORDER BY created_us",
            (call,),
        ).fetchall()
    connection.close()
    return [dict(row) for row in rows]


def told(house, mock, path, reply, ask):
    """The rows of a call that is answered so: the call's, its attempts', and the one in the report."""
    mock.ask("POST", "/mock/script", {"body": json.dumps(reply), "path": path})
    answer = ask()
    assert answer.status == 200, answer.body
    shown = house.row(answer.headers["x-request-id"])
    (row,) = of(house, "ledger_requests", shown["call_id"])
    (attempt,) = of(house, "ledger_attempts", shown["call_id"])
    return shown, row, attempt


NOTHING = dict.fromkeys(
    (
        "cache_read_tokens",
        "cache_write_tokens",
        "cache_write_1h_tokens",
        "reasoning_tokens",
        "audio_input_tokens",
        "audio_output_tokens",
        "image_input_tokens",
        "image_output_tokens",
        "web_searches",
    )
) | {"units": "", "tokens_from": "reported", "cost_from": "priced"}

CHAT = [
    (
        "plain",
        {"prompt_tokens": 1000, "completion_tokens": 100},
        {"input_tokens": 1000, "output_tokens": 100},
        "0.0028",
    ),
    (
        "cached, written and thought",
        {
            "prompt_tokens": 1000,
            "completion_tokens": 100,
            "prompt_tokens_details": {"cached_tokens": 600, "cache_write_tokens": 200},
            "completion_tokens_details": {"reasoning_tokens": 64},
        },
        {
            "input_tokens": 1000,
            "output_tokens": 100,
            "cache_read_tokens": 600,
            "cache_write_tokens": 200,
            "reasoning_tokens": 64,
        },
        # 200 at 2, 600 at 0.5, 200 at 2.5 and 100 at 8, a million
        "0.002",
    ),
    (
        "heard and said",
        {
            "prompt_tokens": 500,
            "completion_tokens": 300,
            "prompt_tokens_details": {"audio_tokens": 400},
            "completion_tokens_details": {"audio_tokens": 250},
        },
        {
            "input_tokens": 500,
            "output_tokens": 300,
            "audio_input_tokens": 400,
            "audio_output_tokens": 250,
        },
        # 100 at 2, 400 at 40, 50 at 8, 250 at 80
        "0.0366",
    ),
    (
        "seen and drawn",
        {
            "prompt_tokens": 500,
            "completion_tokens": 1500,
            "prompt_tokens_details": {"image_tokens": 300},
            "completion_tokens_details": {"image_tokens": 1290},
        },
        {
            "input_tokens": 500,
            "output_tokens": 1500,
            "image_input_tokens": 300,
            "image_output_tokens": 1290,
        },
        # 200 at 2, 300 at 10, 210 at 8, 1290 at 30
        "0.04378",
    ),
]


def holds(row, expected):
    assert {name: row[name] for name in expected} == expected


@pytest.mark.req("R-USE-001", "R-USE-009", "D25")
@pytest.mark.parametrize(
    ("usage", "counts", "cost"), [case[1:] for case in CHAT], ids=[c[0] for c in CHAT]
)
def test_every_kind_of_token_has_its_column(house, mock, usage, counts, cost):
    drawn = usage.get("completion_tokens_details", {}).get("image_tokens")
    usage = usage if drawn is not None else _with_no_pictures(usage)
    counts = counts if drawn is not None else {**counts, "image_output_tokens": 0}
    shown, row, attempt = told(
        house, mock, "/chat/completions", chat_reply(usage), lambda: house.chat("openai/priced")
    )
    expected = {**NOTHING, **counts, "cost_pico": int(D(cost) * 10**12)}
    holds(row, expected)
    holds(attempt, expected)
    assert D(shown["cost_usd"]) == D(cost) == D(shown["charged_usd"])
    holds(attempt, {"price_source": "dragoman.toml", "price_from": "2026-01-02", "served": 1})
    holds(row, {"charged_pico": expected["cost_pico"], "other_cost_pico": 0})
    kinds = {name: expected[name] for name in expected if name.endswith("_tokens")}
    holds(shown, kinds)
    explained = house.ask("GET", f"/v1/requests/{shown['call_id']}/explain").json()
    tokens = explained["attempts"][0]["tokens"]
    for name, number in kinds.items():
        assert tokens.get(name.removesuffix("_tokens")) == number


def _with_no_pictures(usage):
    details = {**usage.get("completion_tokens_details", {}), "image_tokens": 0}
    return {**usage, "completion_tokens_details": details}


def test_how_much_is_pictures_has_to_be_said(house, mock):
    _, row, _ = told(
        house,
        mock,
        "/chat/completions",
        chat_reply({"prompt_tokens": 10, "completion_tokens": 10}),
        lambda: house.chat("openai/priced"),
    )
    holds(row, {"cost_pico": None, "cost_from": "none", "tokens_from": "reported"})


def test_sound_that_is_billed_by_its_length(house, mock):
    usage = {"prompt_tokens": 400, "completion_tokens": 20, "prompt_audio_seconds": 30}
    shown, row, attempt = told(
        house,
        mock,
        "/chat/completions",
        chat_reply(usage, "listener"),
        lambda: house.chat("mistral/listener"),
    )
    # 400 at 0.1 and 20 at 0.3 a million, 30 at 0.00005
    for each in (row, attempt):
        holds(each, {"units": "audio_seconds=30", "cost_pico": 1_546_000_000})
    assert shown["units"] == "audio_seconds=30"
    explained = house.ask("GET", f"/v1/requests/{shown['call_id']}/explain").json()
    assert explained["attempts"][0]["tokens"]["units"] == "audio_seconds=30"
    sheet = house.ask("GET", "/v1/usage?group=request&format=csv").body.decode().splitlines()
    assert "audio_seconds=30" in sheet[1]
    assert "cache_write_1h_tokens" in sheet[0]


def test_pictures_that_a_tool_has_made(house, mock):
    reply = {
        "id": "resp_kinds",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": "priced",
        "output": [
            {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": ""},
            {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": "ok", "annotations": []}],
            },
        ],
        "usage": {
            "input_tokens": 100,
            "output_tokens": 10,
            "total_tokens": 110,
            "output_tokens_details": {"reasoning_tokens": 4, "image_tokens": 0},
        },
    }
    body = {"model": "openai/priced", "input": "Draw."}
    _, row, _ = told(
        house, mock, "/responses", reply, lambda: house.ask("POST", "/v1/responses", body)
    )
    holds(row, {"units": "images=1", "reasoning_tokens": 4, "image_output_tokens": 0})
    holds(row, {"cost_pico": int((D("0.00028") + D("0.04")) * 10**12)})


def test_a_cache_of_two_lengths_and_searches(house, mock):
    reply = {
        "id": "msg_kinds",
        "type": "message",
        "role": "assistant",
        "model": "writer",
        "content": [{"type": "text", "text": "ok"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 100,
            "cache_read_input_tokens": 1000,
            "cache_creation_input_tokens": 500,
            "cache_creation": {
                "ephemeral_5m_input_tokens": 200,
                "ephemeral_1h_input_tokens": 300,
            },
            "output_tokens": 50,
            "server_tool_use": {"web_search_requests": 2},
        },
    }
    _, row, attempt = told(
        house, mock, "/v1/messages", reply, lambda: house.message("anthropic/writer")
    )
    # 100 at 3, 1000 at 0.3, 200 at 3.75, 300 at 6, 50 at 15 a million, two searches at 0.01
    expected = {
        "input_tokens": 1600,
        "cache_read_tokens": 1000,
        "cache_write_tokens": 500,
        "cache_write_1h_tokens": 300,
        "output_tokens": 50,
        "web_searches": 2,
        "cost_pico": int(D("0.0239") * 10**12),
    }
    holds(row, expected)
    holds(attempt, expected)


def test_a_picture_of_geminis(house, mock):
    reply = {
        "candidates": [
            {
                "index": 0,
                "content": {"role": "model", "parts": [{"text": "ok"}]},
                "finishReason": "STOP",
            }
        ],
        "usageMetadata": {
            "promptTokenCount": 8,
            "candidatesTokenCount": 1310,
            "totalTokenCount": 1318,
            "candidatesTokensDetails": [
                {"modality": "TEXT", "tokenCount": 20},
                {"modality": "IMAGE", "tokenCount": 1290},
            ],
        },
        "modelVersion": "painter",
        "responseId": "kinds",
    }
    ask = {"contents": [{"role": "user", "parts": [{"text": "Draw."}]}]}
    path = "/v1beta/models/google/painter:generateContent"
    _, row, _ = told(house, mock, ":generateContent", reply, lambda: house.ask("POST", path, ask))
    holds(row, {"image_output_tokens": 1290, "cost_pico": int(D("0.0387524") * 10**12)})


@pytest.mark.req("M7")
def test_a_tenant_is_charged_by_the_first_rule_that_fits(house, mock):
    usage = {"prompt_tokens": 1000, "completion_tokens": 100}
    pro = new_api_key(house, "--name", "of-pro", "--tier", "pro")
    for model, key, cost, charged in (
        ("marked-up", None, "0.0028", "0.0045"),
        ("marked-up", pro, "0.0028", "0.0045"),
        ("priced", pro, "0.0028", "0.0056"),
    ):
        more = {} if key is None else {"key": key}
        reply = chat_reply(usage if model == "marked-up" else _with_no_pictures(usage), model)
        mock.ask("POST", "/mock/script", {"body": json.dumps(reply), "path": "/chat/completions"})
        answer = house.chat(f"openai/{model}", **more)
        row = house.row(answer.headers["x-request-id"], **more)
        assert (D(row["cost_usd"]), D(row["charged_usd"])) == (D(cost), D(charged))
        (attempt,) = of(house, "ledger_attempts", row["call_id"])
        assert attempt["terms"] == ("1.25 0.001" if model == "marked-up" else "2")


@pytest.mark.req("R-USE-004", "M16")
def test_who_is_behind_a_call_and_its_tags_stand_in_its_row(house, mock):
    reply = house.chat(
        headers={"x-dragoman-tags": "nightly, team=search"},
        user="ann",
        metadata={"tags": "nightly,blue", "other": "x"},
    )
    assert reply.status == 200
    shown = house.row(reply.headers["x-request-id"])
    assert shown["end_user"] == "ann"
    assert shown["tags"] == ["blue", "nightly", "team=search"]
    sent = mock.ask("GET", "/mock/truth", key=None).json()["requests"][-1]
    assert sent["path"].endswith("/chat/completions")
    plain = house.chat()
    shown = house.row(plain.headers["x-request-id"])
    assert (shown["end_user"], shown["tags"], shown["project"]) == ("", [], "default")


@pytest.mark.req("M7", "R-USE-011")
def test_a_retry_is_paid_for_and_charged_once(house, mock):
    """The attempt that failed after it had told its usage costs the operator, and its caller nothing."""
    started = {"status": 503, "retry-after": "0", "path": "/chat/completions"}
    mock.ask("POST", "/mock/script", [started])
    reply = house.chat(text="Once more.")
    assert reply.status == 200
    shown = house.row(reply.headers["x-request-id"])
    tries = of(house, "ledger_attempts", shown["call_id"])
    assert [(row["status"], row["served"]) for row in tries] == [
        ("upstream_error", 0),
        ("complete", 1),
    ]
    assert tries[0]["charged_pico"] == 0
    assert tries[1]["charged_pico"] == tries[1]["cost_pico"] > 0


@pytest.mark.req("M6", "R-USE-013")
def test_who_leaves_is_accounted_and_its_usage_unknown(house):
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=10)
    body = {
        "model": "openai/gpt-4o-mini--mock-chunk-delay-200",
        "stream": True,
        "messages": [{"role": "user", "content": "Hello!"}],
    }
    connection.request(
        "POST",
        "/v1/chat/completions",
        json.dumps(body),
        {"authorization": "Bearer drg_test", "x-request-id": "leaves-early"},
    )
    response = connection.getresponse()
    response.readline()
    response.close()
    connection.close()
    time.sleep(0.3)
    row = until(lambda: next((r for r in house.rows() if r["request_id"] == "leaves-early"), None))
    assert (row["status"], row["tokens_from"], row["cost_usd"]) == ("client_cut", "none", None)
    assert row["charged_usd"] is None


MEDIA = (
    *("audio_input_tokens", "audio_output_tokens", "image_input_tokens", "image_output_tokens"),
    "web_searches",
)


@pytest.mark.req("R-USE-004", "R-USE-007", "R-USE-012")
def test_sums_and_commands_tell_of_sound_and_pictures(house, mock):
    for _, usage, _, _ in CHAT[2:]:
        told(
            house,
            mock,
            "/chat/completions",
            chat_reply(usage),
            lambda: house.chat("openai/priced"),
        )
    rows = [row for row in house.rows(limit=1000) if row["tokens_from"] == "reported"]
    counts = {name: sum(row[name] or 0 for row in rows) for name in MEDIA}
    units = [dict(each.split("=") for each in row["units"].split()) for row in rows]
    for name in ("images", "audio_seconds"):
        counts[name] = sum(int(each.get(name, 0)) for each in units)
    assert counts["audio_input_tokens"] > 0 < counts["image_output_tokens"]
    page = house.ask("GET", "/v1/usage").json()
    assert {name: page[name] for name in counts} == counts
    text = house.ask("GET", "/v1/usage?group=month&format=csv").body.decode()
    (sheet,) = csv.DictReader(io.StringIO(text))
    assert {name: int(sheet[name]) for name in counts} == counts
    said = {name: number for name, number in counts.items() if number}
    assert json.loads(beside(house, "stats", "--json"))["total"]["media"] == said
    whole = json.loads(beside(house, "report", "--json"))["totals"]
    assert {name: whole[name] for name in counts} == counts
    for command in ("stats", "report"):
        words = " ".join(beside(house, command).split())
        assert f"{counts['audio_input_tokens']} audio input tokens" in words


@pytest.mark.req("M6", "D25", "D1", "B-09")
def test_an_answer_whose_usage_is_cut_off_behind_its_end_is_whole_and_unknown(tmp_path):
    """The caller has all of it; what it cost nobody has told, and the budget holds what was set aside."""
    text = '{"index":0,"delta":{"role":"assistant","content":"hi"},"finish_reason":%s}'
    chunk = 'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[%s]}\n\n'
    cut = STREAM + (chunk % (text % "null") + chunk % (text % '"stop"')).encode()
    (tmp_path / "dragoman.toml").write_text('[budgets.team]\nmonthly_usd = "1"\n')
    with (
        raw_upstream({"gpt-4o-mini": cut}) as up,
        gateway_server(tmp_path, **up.environment()) as server,
    ):
        reply = server.chat(stream=True, max_tokens=100)
        assert reply.body.endswith(b"data: [DONE]\n\n")
        row = server.row(reply.headers["x-request-id"])
        assert (row["status"], row["tokens_from"], row["cost_from"]) == (
            "complete",
            "none",
            "none",
        )
        assert row["charged_usd"] is None
        usage = server.ask("GET", "/v1/usage").json()
        assert (usage["unknown_usage"], usage["unknown_cost"]) == (1, 1)
        [window] = json.loads(beside(server, "budgets", "show", "team", "--json"))["windows"]
        assert D(window["held_usd"]) > D("0.00006")
        assert D(window["spent_usd"]) == 0
