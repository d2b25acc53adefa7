"""Usage that a provider does not tell and the operator wants estimated: in the ledger, and nowhere else."""

import http.client
import json
from decimal import Decimal

import pytest

from ledger_views import QUICK, attempt_of, rows, settled, truth
from servers import KEY, beside, gateway_server, mock_server, providers_at, until

D = Decimal
BUDGET = '[budgets.all]\nmonthly_usd = "50"\nunpriced = "allow"\n'
UNTOLD = "--mock-usage-off"
PRICED = '[prices."{}"]\ninput = "1"\noutput = "2"\n'
MODELS = ("openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5", "openai/text-embedding-3-small")
ON = {"ESTIMATE_MISSING_USAGE": "true"} | QUICK


@pytest.fixture(scope="module")
def mock(tmp_path_factory):
    with mock_server(tmp_path_factory.mktemp("mock"), MOCK_GENERATION_DELAY="2500") as server:
        yield server


def housed(folder, mock, **environment):
    prices = "".join(PRICED.format(model + UNTOLD) for model in MODELS)
    (folder / "dragoman.toml").write_text(BUDGET + prices)
    return gateway_server(folder, **providers_at(mock.port), **environment)


@pytest.fixture(scope="module")
def house(mock, tmp_path_factory):
    with housed(tmp_path_factory.mktemp("estimating"), mock, **ON) as server:
        yield server


def asked(server, name, model, text="Tell me of the sea.", *, stream=False, way="chat"):
    headers = {"x-request-id": name}
    ask = server.chat if way == "chat" else server.message
    reply = ask(model + UNTOLD, text, headers, stream=stream)
    assert reply.status == 200, reply.body
    return reply


def is_near(row, entry):
    """Whether an estimate is one of what was said: the mock counts words."""
    assert row["estimated"] is True
    assert (row["tokens_from"], row["cost_from"]) == ("estimated", "estimated")
    assert 1 <= row["input_tokens"] <= 20 * entry["input"]
    assert entry["output"] / 4 <= row["output_tokens"] <= 4 * entry["output"]
    cost = D(row["input_tokens"] + 2 * row["output_tokens"]) / 10**6
    assert D(row["cost_usd"]) == D(row["charged_usd"]) == cost


@pytest.mark.req("D25", "R-USE-001")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", MODELS[:2])
@pytest.mark.parametrize("way", ["chat", "messages"])
def test_what_is_not_told_is_estimated_in_one_dialect_and_between_two(
    house, mock, way, model, stream
):
    name = f"{way}-{model[:4]}-{stream}"
    reply = asked(house, name, model, stream=stream, way=way)
    is_near(house.row(name), truth(mock))
    assert "x-dragoman-cost-usd" not in reply.headers
    if not stream and way == "chat":
        assert reply.json().get("usage") is None


@pytest.mark.req("D25")
def test_sums_of_estimates_stand_apart_and_budgets_pay_them(mock, tmp_path):
    with housed(tmp_path, mock, **ON) as server:
        asked(server, "one", MODELS[0])
        asked(server, "two", MODELS[0], stream=True)
        told = server.chat(MODELS[0], headers={"x-request-id": "told"})
        assert told.status == 200
        one, two, known = server.row("one"), server.row("two"), server.row("told")
        guessed = D(one["cost_usd"]) + D(two["cost_usd"])
        sums = server.ask("GET", "/v1/usage").json()
        assert sums["input_tokens"] == known["input_tokens"]
        assert D(sums["cost_usd"]) == D(known["cost_usd"])
        assert sums["unknown_usage"] == 0
        apart = sums["estimated"]
        assert apart["requests"] == 2
        assert apart["output_tokens"] == one["output_tokens"] + two["output_tokens"]
        assert D(apart["cost_usd"]) == guessed
        sheet = server.ask("GET", "/v1/usage?group=model&format=csv").body.decode()
        assert "estimated_cost_usd" in sheet.splitlines()[0]
        assert not rows(server, "SELECT * FROM budget_charges WHERE call_id = ?", one["call_id"])
        paid = rows(server, "SELECT * FROM ledger_attempts WHERE call_id = ?", one["call_id"])
        assert [(each["cost_pico"], bool(each["payers"])) for each in paid] == [
            (int(D(one["cost_usd"]) * 10**12), True)
        ]
        metrics = server.ask("GET", "/metrics").body.decode().splitlines()
        counted = [
            float(line.split()[-1])
            for line in metrics
            if line.startswith("dragoman_tokens_total{") and 'type="output"' in line
        ]
        assert sum(counted) == known["output_tokens"], "metrics of tokens are the providers' own"
        month = one["created_at"][:7]
        bill = json.loads(beside(server, "invoices", month, "--json"))
        (invoice,) = bill["data"] if "data" in bill else bill["invoices"]
        assert D(invoice["estimated_usd"]) == guessed
        # Commands tell it apart, too.
        at = ("--base-url", server.url)
        words = (
            f"2 requests, {apart['input_tokens'] + apart['output_tokens']} tokens, {guessed:f} USD"
        )
        assert f"not in it, estimated: {words}" in beside(server, "usage", *at)
        assert f"estimated   {words}" in beside(server, "session", *at)
        assert json.loads(beside(server, "session", "--json", *at))["estimated"] == apart
        calls = beside(server, "usage", "--group", "request", *at)
        assert [calls.count(word) for word in ("estimated", "reported")] == [4, 1]
        logged = [
            line for line in server.log.read_text().splitlines() if "/v1/chat/completions" in line
        ]
        assert ["cost_usd" in line for line in logged] == [False, False, True]


@pytest.mark.req("D25")
@pytest.mark.parametrize("way", ["chat", "messages"])
def test_of_a_stream_that_breaks_off_what_was_told_stays_and_the_rest_is_estimated(house, way):
    name = f"cut-{way}"
    model = "anthropic/claude-sonnet-4-5--mock-length-2000--mock-cut-1500"
    ask = house.chat if way == "chat" else house.message
    ask(model, "Tell me of the sea.", {"x-request-id": name}, stream=True)
    row = house.row(name)
    assert row["status"] == "upstream_cut"
    assert row["tokens_from"] == "estimated"
    told = house.message("anthropic/claude-sonnet-4-5", "Tell me of the sea.").json()["usage"]
    assert row["input_tokens"] == told["input_tokens"]
    assert row["output_tokens"] > 5


@pytest.mark.req("M6", "D25")
def test_who_leaves_in_the_middle_has_an_estimate_of_what_came(house):
    connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=10)
    body = {
        "model": MODELS[0] + UNTOLD + "--mock-chunk-delay-100--mock-length-4000",
        "stream": True,
        "messages": [{"role": "user", "content": "Tell me more."}],
    }
    headers = {"authorization": f"Bearer {KEY}", "x-request-id": "left"}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
    response = connection.getresponse()
    for _ in range(12):
        response.readline()
    response.close()
    connection.close()

    def look():
        return next((row for row in house.rows() if row["request_id"] == "left"), None)

    row = until(look)
    assert (row["status"], row["tokens_from"]) == ("client_cut", "estimated")
    assert 0 < row["output_tokens"] < 500


@pytest.mark.parametrize(
    "script",
    ["--mock-status-400", "--mock-status-503", "--mock-drop-close", "--mock-error-after-0"],
)
def test_what_was_refused_or_never_answered_is_not_estimated(house, script):
    name = f"refused{script}"
    house.chat(MODELS[0] + script, headers={"x-request-id": name}, stream="after" in script)
    row = house.row(name)
    assert (row["tokens_from"], row["input_tokens"], row["output_tokens"]) == ("none", None, None)


def test_embeddings_have_an_estimate_of_their_input(house):
    body = {"model": MODELS[2] + UNTOLD, "input": ["the sea"] * 3}
    reply = house.ask("POST", "/v1/embeddings", body, {"x-request-id": "vectors"})
    assert reply.status == 200, reply.body
    row = house.row("vectors")
    assert (row["tokens_from"], row["output_tokens"]) == ("estimated", None)
    assert row["input_tokens"] > 5


@pytest.mark.req("D25")
def test_unless_the_operator_says_so_nothing_is_estimated(mock, tmp_path):
    with housed(tmp_path, mock, **QUICK) as server:
        for stream in (False, True):
            asked(server, f"off-{stream}", MODELS[0], stream=stream)
            row = server.row(f"off-{stream}")
            assert (row["tokens_from"], row["cost_from"]) == ("none", "none")
            assert (row["input_tokens"], row["output_tokens"], row["cost_usd"]) == (
                None,
                None,
                None,
            )


@pytest.mark.req("R-USE-002", "D25")
def test_what_the_provider_tells_later_takes_the_estimates_place(house, mock):
    before = house.ask("GET", "/v1/usage").json()
    asked(house, "later", "openrouter/openai/gpt-4o-mini")
    entry = truth(mock)
    first = house.row("later")
    assert first["tokens_from"] == "estimated"
    row = settled(house, "later")
    assert (row["input_tokens"], row["output_tokens"]) == (entry["input"], entry["output"])
    assert (row["cost_from"], row["estimated"]) == ("provider", False)
    former = json.loads(attempt_of(house, row["call_id"])["former"])
    assert former["tokens_from"] == "estimated"
    assert former["output_tokens"] == first["output_tokens"]
    after = house.ask("GET", "/v1/usage").json()
    assert after["estimated"] == before["estimated"]
    assert after["input_tokens"] - before["input_tokens"] == entry["input"]
    (paid,) = rows(house, "SELECT * FROM ledger_attempts WHERE call_id = ?", row["call_id"])
    assert paid["payers"]
    assert paid["cost_pico"] == int(D(row["cost_usd"]) * 10**12)
    (pot,) = rows(house, "SELECT * FROM budget_pots WHERE span = 'total'")
    spent = sum(each["cost_pico"] or 0 for each in rows(house, "SELECT * FROM ledger_attempts"))
    assert pot["spent_pico"] == spent
