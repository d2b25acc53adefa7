"""The strategy `cost` over real requests: who was chosen is the cheapest for the tokens that were counted."""

from decimal import Decimal

import pytest
from genai_prices import Usage, calc_price

from servers import gateway_server, providers_at

CANDIDATES = (
    "openai/gpt-4o",
    "anthropic/claude-haiku-4-5",
    "groq/llama-3.3-70b-versatile",
    "mistral/mistral-large-latest",
    "openai/o4-mini",
)
WRITES_DEAR, READS_DEAR = "openai/gpt-4.1-mini", "groq/llama-3.3-70b-versatile"
"""Of these two the first is the cheaper to be asked, the other to be answered by."""
LISTED = ", ".join(f'"{name}"' for name in CANDIDATES)


@pytest.fixture(scope="module")
def house(mock, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cost")
    (folder / "dragoman.toml").write_text(
        f'[routes.cheap]\nstrategy = "cost"\ncandidates = [{LISTED}]\n'
        f'[routes.crossing]\nstrategy = "cost"\ncandidates = ["{WRITES_DEAR}", "{READS_DEAR}"]\n'
    )
    with gateway_server(folder, **providers_at(mock.port)) as server:
        yield server


def price(name, row) -> Decimal:
    """What genai-prices itself says of the tokens in a row of the ledger."""
    provider, _, model = name.partition("/")
    used = Usage(input_tokens=row["input_tokens"], output_tokens=row["output_tokens"])
    return calc_price(used, model, provider_id=provider).total_price


def chosen(house, route, said, written, *, stream):
    """Who answered, after it was made sure that nobody else would have been cheaper."""
    reply = house.chat(route, "word " * said, stream=stream, max_tokens=written)
    assert reply.status == 200, reply.body
    row = house.row(reply.headers["x-request-id"])
    explained = house.ask("GET", f"/v1/requests/{row['call_id']}/explain").json()
    found = [each["model"] for each in explained["candidates"]]
    prices = [price(name, row) for name in found]
    assert prices == sorted(prices)
    assert found[0] == reply.headers["x-dragoman-model"] == f"{row['provider']}/{row['model']}"
    assert Decimal(row["cost_usd"]) == prices[0]
    return found


@pytest.mark.req("R-ROUTE-002")
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("said", "written"), [(10, 10), (10, 600), (6000, 10), (3000, 300)])
def test_the_cheapest_for_the_tokens_that_were_counted_answers(house, stream, said, written):
    assert len(chosen(house, "cheap", said, written, stream=stream)) == len(CANDIDATES)


@pytest.mark.req("R-ROUTE-002")
@pytest.mark.parametrize("stream", [True, False])
def test_who_is_the_cheapest_depends_on_what_is_asked(house, mock, stream):
    assert chosen(house, "crossing", 4000, 20, stream=stream)[0] == WRITES_DEAR
    # As long an answer as is asked for: the mock's own is short.
    mock.ask("POST", "/mock/script", {"length": 400, "path": "/chat/completions"})
    assert chosen(house, "crossing", 10, 400, stream=stream)[0] == READS_DEAR
