"""The weather that a provider makes: fast, slow, and failing half of the time (R-TEST-009).

Each scenario sets the mock's configuration while it runs, and many programs ask at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from servers import KEY, Server, gateway_server, mock_server, providers_at

MODELS = ("openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5")
FAST = {"baseDelay": 0, "delayVariance": 0, "errorRate": 0, "timeoutRate": 0, "tokenSpeed": 0}

pytestmark = pytest.mark.req("R-TEST-009", "R-MOCK-002")


@pytest.fixture(scope="module")
def weather(tmp_path_factory) -> Iterator[tuple[Server, Server]]:
    """A mock of its own, whose weather changes, and a gateway in front of it."""
    folder = tmp_path_factory.mktemp("weather")
    with (
        mock_server(folder) as mock,
        gateway_server(folder, **providers_at(mock.port)) as gateway,
    ):
        yield mock, gateway


@pytest.fixture
def turn(weather) -> Iterator[Any]:
    """Changes the weather until the story is over."""
    mock, _ = weather
    yield lambda **config: mock.ask("POST", "/mock/config", FAST | config, key=None)
    mock.ask("POST", "/mock/config", FAST, key=None)


async def ask(client: openai.AsyncOpenAI, number: int, tag: str) -> Any:
    """One program's question: every second one streamed, to both providers in turn."""
    members = {
        "model": MODELS[number // 2 % 2],
        "messages": [{"role": "user", "content": f"{tag} {number} of many"}],
        "extra_headers": {"x-request-id": f"{tag}-{number}"},
    }
    if number % 2:
        text = ""
        async for chunk in await client.chat.completions.create(**members, stream=True):
            text += "".join(choice.delta.content or "" for choice in chunk.choices)
        return text
    completion = await client.chat.completions.create(**members)
    return completion.choices[0].message.content


def all_at_once(loop, gateway: Server, count: int, tag: str, **settings: Any) -> list[Any]:
    async def story() -> list[Any]:
        given = {"api_key": KEY, "base_url": f"{gateway.url}/v1", "max_retries": 0, **settings}
        async with openai.AsyncOpenAI(**given) as client:
            asked = (ask(client, number, tag) for number in range(count))
            return await asyncio.gather(*asked, return_exceptions=True)

    return loop.run_until_complete(story())


def test_fast_every_program_gets_its_own_answer(weather, turn, loop):
    _, gateway = weather
    turn()
    for number, text in enumerate(all_at_once(loop, gateway, 60, "fast")):
        assert text.startswith(f"You said: fast {number} of many "), number


def test_slow_answers_are_waited_for_side_by_side(weather, turn, loop):
    _, gateway = weather
    turn(baseDelay=400, tokenSpeed=200)
    begun = time.monotonic()
    answers = all_at_once(loop, gateway, 20, "slow")
    took = time.monotonic() - begun
    for number, text in enumerate(answers):
        assert text.startswith(f"You said: slow {number} of many "), number
    assert 0.4 <= took < 20 * 0.4


def test_a_program_that_does_not_wait_lets_go_of_the_provider_too(weather, turn, loop):
    mock, gateway = weather
    mock.ask("POST", "/mock/truth/reset", key=None)
    turn(baseDelay=5000)
    for failure in all_at_once(loop, gateway, 8, "hasty", timeout=0.3):
        assert isinstance(failure, openai.APITimeoutError)
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        sums = mock.ask("GET", "/mock/truth?limit=0", key=None).json()["totals"]
        if sums["left"] == sums["requests"]:
            break
        time.sleep(0.02)
    assert sums["left"] == sums["requests"] >= 1
    assert sums["open"] == 0


def test_half_of_the_requests_fail_and_each_program_learns_its_own_fate(weather, turn, loop):
    _, gateway = weather
    turn(errorRate=0.5)
    answers = all_at_once(loop, gateway, 40, "stormy", timeout=60)
    whole = failed = 0
    for number, answer in enumerate(answers):
        if isinstance(answer, str):
            assert answer.startswith(f"You said: stormy {number} of many "), number
            whole += 1
        else:
            assert isinstance(answer, openai.APIStatusError), answer
            assert answer.status_code in {400, 429, 500, 503}
            assert answer.request_id == f"stormy-{number}"
            failed += 1
    assert whole >= 10
    assert failed >= 1
    rows = [row for row in gateway.rows(limit=1000) if row["request_id"].startswith("stormy-")]
    assert len(rows) == 40
    assert sum(row["status"] == "complete" for row in rows) == whole
