"""What providers tell afterwards, read as their files say."""

from decimal import Decimal

import msgspec
import pytest

from dragoman.catalog.files import definitions
from dragoman.catalog.load import load_providers
from dragoman.catalog.lookups import (
    UnreadableError,
    lookup_path,
    read_credits,
    read_lookup,
    read_report,
    report_path,
)
from dragoman.catalog.schema import CatalogError, operator_row

D = Decimal
OPENROUTER, OPENAI, ANTHROPIC = (
    definitions()[name] for name in ("openrouter", "openai", "anthropic")
)
GENERATION = {
    "id": "gen-1",
    "total_cost": 0.00123456789,
    "native_tokens_prompt": 64,
    "native_tokens_completion": 98,
    "native_tokens_cached": 12,
    "native_tokens_reasoning": None,
    "tokens_prompt": 65,
    "tokens_completion": 116,
    "generation_time": 2940,
    "latency": 1016,
    "provider_name": "Groq",
    "is_byok": False,
    "upstream_inference_cost": 0.5,
}


def encoded(value) -> bytes:
    return msgspec.json.encode(value)


@pytest.mark.req("R-USE-002")
def test_a_generation_is_read_by_its_native_tokens():
    found = read_lookup(OPENROUTER.lookup, encoded({"data": GENERATION}))
    usage = found.usage
    assert (usage.input, usage.output, usage.cache_read, usage.reasoning) == (64, 98, 12, None)
    assert usage.cost == D("0.00123456789")
    for name in (
        "tokens_prompt",
        "tokens_completion",
        "generation_time",
        "latency",
        "provider_name",
    ):
        assert found.facts[name] == GENERATION[name]
    assert found.facts["total_cost"] == "0.00123456789"


def test_what_the_operators_own_key_behind_it_has_spent_counts_too():
    told = {"data": {**GENERATION, "is_byok": True, "total_cost": 0.01}}
    assert read_lookup(OPENROUTER.lookup, encoded(told)).usage.cost == D("0.51")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"data":{"total_cost":"NaN"}}',
        b'{"data":{"total_cost":-1}}',
    ],
)
def test_an_answer_that_says_nothing_is_none(body):
    with pytest.raises(UnreadableError):
        read_lookup(OPENROUTER.lookup, body)


def test_an_id_is_no_way_to_another_place():
    assert (
        lookup_path(OPENROUTER.lookup, "gen-1&x=/../y?#")
        == "/generation?id=gen-1%26x%3D%2F..%2Fy%3F%23"
    )


@pytest.mark.req("R-USE-003")
def test_an_account_has_what_is_not_used():
    account = read_credits(
        OPENROUTER.credits, b'{"data":{"total_credits":110.5,"total_usage":25.75}}'
    )
    assert (account.total, account.used, account.remaining) == (D("110.5"), D("25.75"), D("84.75"))
    with pytest.raises(UnreadableError):
        read_credits(OPENROUTER.credits, b'{"data":{"total_credits":null}}')


def test_a_day_of_openais_by_model():
    told = {
        "object": "page",
        "data": [
            {
                "object": "bucket",
                "results": [
                    {
                        "amount": {"value": 0.06, "currency": "usd"},
                        "line_item": "gpt-4o-2024-08-06, input",
                    },
                    {
                        "amount": {"value": 0.12, "currency": "usd"},
                        "line_item": "gpt-4o-2024-08-06, output",
                    },
                    {"amount": {"value": 0.5, "currency": "usd"}, "line_item": "gpt-5, input"},
                    {"amount": {"value": 0.01, "currency": "usd"}, "line_item": None},
                ],
            }
        ],
        "has_more": True,
        "next_page": "page_2",
    }
    page = read_report(OPENAI.report, encoded(told))
    assert page.costs == {"gpt-4o-2024-08-06": D("0.18"), "gpt-5": D("0.5"), "": D("0.01")}
    assert page.next == "page_2"
    assert report_path(OPENAI.report, 20_000, "page_2") == (
        "/organization/costs?start_time=1728000000&end_time=1728086400&bucket_width=1d"
        "&group_by=line_item&limit=7&page=page_2"
    )


def test_a_day_of_anthropics_is_in_cents():
    results = [
        {
            "amount": "123.456",
            "currency": "USD",
            "model": "claude-sonnet-4-5",
            "token_type": "output_tokens",
        },
        {
            "amount": "0.544",
            "currency": "USD",
            "model": "claude-sonnet-4-5",
            "token_type": "input",
        },
        {"amount": "7", "currency": "USD", "model": None, "description": "Web search"},
    ]
    told = {
        "data": [{"starting_at": "x", "results": results}],
        "has_more": False,
        "next_page": None,
    }
    page = read_report(ANTHROPIC.report, encoded(told))
    assert page.costs == {"claude-sonnet-4-5": D("1.24"), "": D("0.07")}
    assert page.next is None
    assert "starting_at=2024-10-04T00:00:00Z&ending_at=2024-10-05T00:00:00Z" in report_path(
        ANTHROPIC.report, 20_000
    )


def test_a_provider_of_the_operators_own_has_a_lookup_in_its_row():
    row = operator_row(
        {
            "name": "corp",
            "base_url": "http://127.0.0.1:9/v1",
            "lookup": {"path": "/usage/{id}", "members": {"input": "in", "output": "out"}},
        }
    )
    registry = load_providers({}, [row])
    lookup = registry.definitions["corp"].lookup
    assert read_lookup(lookup, b'{"in":3,"out":4}').usage.output == 4


def test_a_lookup_is_read_strictly():
    with pytest.raises(CatalogError, match="did you mean 'members'"):
        operator_row({"name": "corp", "lookup": {"path": "/x", "member": {}}})


@pytest.mark.req("R-USE-002")
@pytest.mark.parametrize("number", ["1e10000000", "1e-10000000", "0e-10000000", "1e999999999999"])
def test_a_number_of_a_gigabyte_of_digits_is_never_written_out(number):
    """Told in a dozen bytes, it would stop every other call while it is made an integer or a text (M11)."""
    body = (
        b'{"data":{"total_cost":N,"native_tokens_prompt":N,"native_tokens_completion":7,"odd":N}}'
    )
    found = read_lookup(OPENROUTER.lookup, body.replace(b"N", number.encode()))
    assert found.usage.output == 7
    assert found.usage.cost is None
    assert found.usage.input in {None, 0}
    assert len(encoded(found.facts)) < 300
