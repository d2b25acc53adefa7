"""Strategies over real processes: who is chosen, as the answers' headers tell it."""

from collections import Counter
from contextlib import ExitStack

import pytest

from servers import gateway_server, mock_server

MESSAGES = [{"role": "user", "content": "Hello!"}]


def table(mocks, further: str) -> str:
    rows = [
        f'[[providers]]\nname = "p{at}"\ndialect = "chat"\nbase_url = "{mock.url}/openai/v1"\n'
        f'models = ["m"]\n'
        for at, mock in enumerate(mocks)
    ]
    return "".join(rows) + further


def delay(mock, milliseconds: int) -> None:
    reply = mock.ask("POST", "/mock/config", {"baseDelay": milliseconds})
    assert reply.status == 200


@pytest.fixture
def five(tmp_path):
    with ExitStack() as stack:
        found = []
        for at in range(5):
            folder = tmp_path / f"mock{at}"
            folder.mkdir()
            found.append(stack.enter_context(mock_server(folder)))
        yield found


def served(gateway, requests: int, **members) -> list[int]:
    """Which mock answered each of so many streams."""
    found = []
    for _ in range(requests):
        reply = gateway.chat(stream=True, **members)
        assert reply.status == 200, reply.body
        found.append(int(reply.headers["x-dragoman-provider"][1:]))
    return found


@pytest.mark.req("R-ROUTE-002", "R-ROUTE-006", "R-ROUTE-008")
def test_latency_finds_the_fastest_of_five_within_50_and_follows_a_change_within_100(
    five, tmp_path
) -> None:
    for mock, milliseconds in zip(five, (90, 60, 120, 5, 75), strict=True):
        delay(mock, milliseconds)
    legs = ", ".join(f'"p{at}/m"' for at in range(5))
    routes = f'[routes.quick]\nstrategy = "latency"\ncandidates = [{legs}]\n'
    (tmp_path / "dragoman.toml").write_text(table(five, routes))
    with gateway_server(tmp_path) as gateway:
        firsts = served(gateway, 50, model="quick")
        assert set(firsts[:5]) == {0, 1, 2, 3, 4}
        assert Counter(firsts[5:]).most_common(1)[0][0] == 3
        assert Counter(firsts[25:])[3] >= 20
        delay(five[3], 150)
        delay(five[0], 5)
        firsts = served(gateway, 100, model="quick")
        assert Counter(firsts[-20:])[0] >= 16
        # The same list of the caller's own, and the same of `auto`.
        own = {"strategy": "latency", "fallback": [f"p{at}/m" for at in range(1, 5)]}
        assert Counter(served(gateway, 10, model="p0/m", routing=own))[0] >= 8
        auto = served(gateway, 10, model="auto", routing={"strategy": "latency"})
        assert Counter(auto)[0] >= 8


@pytest.mark.req("R-ROUTE-002", "R-ROUTE-009")
def test_turns_weights_and_conversations_over_real_requests(five, tmp_path) -> None:
    routes = (
        '[routes.turns]\nstrategy = "round-robin"\ncandidates = ["p0/m", "p1/m", "p2/m"]\n'
        '[routes.heavy]\nstrategy = "weighted"\n'
        'candidates = [{ model = "p0/m", weight = 9 }, "p1/m"]\n'
        '[routes.talk]\nstrategy = "sticky"\ncandidates = ["p0/m", "p1/m", "p2/m", "p3/m"]\n'
    )
    (tmp_path / "dragoman.toml").write_text(table(five, routes))
    with gateway_server(tmp_path) as gateway:
        assert served(gateway, 6, model="turns") == [0, 1, 2, 0, 1, 2]
        heavy = Counter(served(gateway, 60, model="heavy"))
        assert 40 <= heavy[0] < 60
        talks = {}
        for number in range(12):
            found = served(gateway, 3, model="talk", text=f"conversation {number}")
            assert len(set(found)) == 1
            talks[number] = found[0]
        assert len(set(talks.values())) > 1
        gone = talks[0]
        five[gone].stop()
        for number, before in talks.items():
            after = served(gateway, 1, model="talk", text=f"conversation {number}")[0]
            assert (after == before) == (before != gone)


@pytest.mark.req("R-ROUTE-001", "R-ROUTE-002")
def test_auto_and_routes_are_listed_and_tell_who_has_served(five, tmp_path) -> None:
    prices = (
        '[prices."p0/m"]\ninput = "1"\noutput = "1"\n[prices."p1/m"]\ninput = "0.1"\noutput = "2"\n'
        '[routes.cheap]\nstrategy = "cost"\ncandidates = ["p0/m", "p1/m", "p2/m"]\n'
        '[quality]\n"p2/m" = 99\n'
    )
    (tmp_path / "dragoman.toml").write_text(table(five, prices))
    with gateway_server(tmp_path) as gateway:
        listed = [row["id"] for row in gateway.ask("GET", "/v1/models").json()["data"]]
        assert listed[:2] == ["cheap", "auto"]
        # Much is said and little is asked for, then the other way round.
        long = gateway.chat("cheap", "word " * 2000, max_tokens=10)
        assert long.headers["x-dragoman-model"] == "p1/m"
        assert long.headers["x-dragoman-provider"] == "p1"
        assert gateway.chat("cheap", max_tokens=4000).headers["x-dragoman-provider"] == "p0"
        assert gateway.chat("auto", max_tokens=4000).headers["x-dragoman-provider"] == "p0"
        best = gateway.chat("auto", routing={"strategy": "quality"})
        assert best.headers["x-dragoman-provider"] == "p2"
        capped = gateway.chat("cheap", routing={"max_cost": "0.0000001"})
        assert capped.status == 400
        assert capped.json()["error"]["code"] == "routing_not_satisfiable"
        only = gateway.chat("auto", provider={"only": ["p3"]})
        assert only.headers["x-dragoman-provider"] == "p3"


@pytest.mark.req("R-ROUTE-001", "R-ROUTE-006")
def test_auto_is_a_model_in_every_dialect(tmp_path) -> None:
    said = [{"role": "user", "content": "Hello!"}]
    asked = {
        "/v1/chat/completions": {"model": "auto", "messages": said},
        "/v1/responses": {"model": "auto", "input": "Hello!"},
        "/v1/messages": {"model": "auto", "messages": said, "max_tokens": 50},
        "/v1beta/models/auto:generateContent": {"contents": [{"parts": [{"text": "Hello!"}]}]},
        "/api/chat": {"model": "auto", "messages": said, "stream": False},
        "/v1/embeddings": {"model": "auto", "input": "Hello!"},
        "/v1/messages/count_tokens": {"model": "auto", "messages": said},
    }
    with gateway_server(tmp_path) as gateway:
        for path, body in asked.items():
            reply = gateway.ask("POST", path, body)
            assert reply.status == 200, (path, reply.body)
            if "count" not in path:
                kind = "text-embedding-3-small" if "embed" in path else "gpt-4o-mini"
                assert reply.headers["x-dragoman-model"].endswith(kind)
        for path, headers in (
            ("/v1/models/auto", {}),
            ("/v1/models/auto", {"anthropic-version": "2023-06-01"}),
            ("/v1beta/models/auto", {}),
        ):
            assert gateway.ask("GET", path, headers=headers).status == 200
