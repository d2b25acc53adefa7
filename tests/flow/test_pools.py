"""One bad among several that are good: a deployment that always fails, a key that is refused."""

import time
from collections import Counter

import pytest

from servers import gateway_server

OPEN_S = 1.0
NAMES = ("a", "b", "c", "bad")
REFUSED_KEY = "invalid"


def deployments(url):
    rows = "".join(
        f'[[providers]]\nname = "{name}"\ndialect = "chat"\nbase_url = "{url}/openai/v1"\nmodels = ["m-{name}"]\n'
        for name in NAMES
    )
    listed = ", ".join(f'"{name}/m-{name}"' for name in reversed(NAMES))
    return rows + f'[routes.any]\nstrategy = "round-robin"\ncandidates = [{listed}]\n'


def asked_of(mock, model):
    requests = mock.ask("GET", "/mock/truth", key=None).json()["requests"]
    return sum(request["model"] == model for request in requests)


@pytest.mark.req("R-REL-001", "R-REL-002", "R-ROUTE-009")
def test_one_of_four_that_always_fails_is_soon_left_alone_and_comes_back(mock, tmp_path):
    """Nobody sees a failure, few see a delay, and it gets its share again within two probes (U13)."""
    (tmp_path / "dragoman.toml").write_text(deployments(mock.url))
    failing = {"status": 500, "model": "m-bad", "times": 100_000}
    with gateway_server(tmp_path, BREAKER_OPEN_S="30") as gateway:
        assert mock.ask("POST", "/mock/script", failing).status == 200
        replies = [gateway.chat("any", stream=number % 2 == 0) for number in range(300)]
        assert {reply.status for reply in replies} == {200}
        tried = [int(reply.headers["x-dragoman-attempts"]) for reply in replies]
        assert sum(number > 1 for number in tried) <= 5
        assert tried[20:] == [1] * 280
        assert asked_of(mock, "m-bad") <= 7
        served = Counter(reply.headers["x-dragoman-provider"] for reply in replies[20:])
        assert set(served) == {"a", "b", "c"}
    mock.ask("DELETE", "/mock/script")
    with gateway_server(tmp_path, BREAKER_OPEN_S=str(OPEN_S)) as gateway:
        assert mock.ask("POST", "/mock/script", failing).status == 200
        for _ in range(30):
            assert gateway.chat("any").status == 200
        mock.ask("DELETE", "/mock/script")
        healed = time.monotonic()
        found = []
        while time.monotonic() - healed < 2 * OPEN_S:
            reply = gateway.chat("any")
            assert reply.status == 200
            found.append(reply.headers["x-dragoman-provider"])
        assert found[-40:].count("bad") >= 8, "a fourth, or nearly, is its own again"


@pytest.mark.req("R-REL-001", "R-PROV-003")
def test_one_refused_key_of_five_is_hardly_used_and_the_others_serve(mock, tmp_path):
    """No caller sees it, and it is never tried in a loop (U19)."""
    keys = [REFUSED_KEY, *(f"sk-mock-good-{number}" for number in range(4))]
    listed = ", ".join(f'{{ key = "{key}" }}' for key in keys)
    (tmp_path / "dragoman.toml").write_text(
        f'[[providers]]\nname = "p"\ndialect = "chat"\nbase_url = "{mock.url}/openai/v1"\ncredentials = [{listed}]\n'
    )
    with gateway_server(tmp_path) as gateway:
        replies = [gateway.chat("p/m", stream=number % 2 == 0) for number in range(60)]
        assert {reply.status for reply in replies} == {200}
        tried = Counter(reply.headers["x-dragoman-attempts"] for reply in replies)
        assert tried == {"1": 59, "2": 1}
