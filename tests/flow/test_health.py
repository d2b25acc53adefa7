"""Health over real processes: who is disabled, who is tried again, and who remembers it."""

import re
import time
from contextlib import ExitStack

import pytest

from raw_upstream import WHOLE, raw_upstream
from redis_server import URL, redis_prefix
from servers import gateway_server, mock_server

DOWN = {"status": 500, "times": 100_000, "path": "/chat/completions"}
QUICK = {
    "MAX_RETRIES": "0",
    "BREAKER_FAILURES": "1000",
    "DISABLE_MODEL_AFTER_S": "0.5",
    "DISABLE_PROBE_S": "1.5",
}
ROUTE = '[routes.two]\ncandidates = ["p0/m", "p1/m"]\n'


@pytest.fixture
def two(tmp_path):
    with ExitStack() as stack:
        found = []
        for at in range(2):
            folder = tmp_path / f"mock{at}"
            folder.mkdir()
            found.append(stack.enter_context(mock_server(folder)))
        rows = [
            f'[[providers]]\nname = "p{at}"\ndialect = "chat"\n'
            f'base_url = "{mock.url}/openai/v1"\nmodels = ["m", "n"]\n'
            for at, mock in enumerate(found)
        ]
        (tmp_path / "dragoman.toml").write_text("".join(rows) + ROUTE)
        yield found


def script(mock, **said):
    assert mock.ask("POST", "/mock/script", said).status == 200


def heal(mock):
    assert mock.ask("DELETE", "/mock/script").status == 200


def served(gateway, model="two") -> tuple[str, str]:
    reply = gateway.chat(model)
    assert reply.status == 200, reply.body
    return reply.headers["x-dragoman-provider"], reply.headers["x-dragoman-attempts"]


def gauge(gateway, name, provider) -> float:
    text = gateway.ask("GET", "/metrics").body.decode()
    (value,) = re.findall(rf'^{name}{{provider="{provider}"}} (\S+)$', text, re.MULTILINE)
    return float(value)


def conditions(gateway) -> dict[str, str]:
    return gateway.ask("GET", "/ready", key=None).json()["providers"]


def until(what, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


def disable(gateway, model="two"):
    """Fails at the first candidate until it is left out."""
    for _ in range(5):
        assert served(gateway, model) == ("p1", "2")
        time.sleep(0.15)
    assert served(gateway, model) == ("p1", "1")


@pytest.mark.req("R-PROV-004", "R-PROV-007", "R-ROUTE-009", "R-REL-001")
def test_a_model_that_keeps_failing_is_left_out_and_back_within_two_intervals(two, tmp_path):
    with gateway_server(tmp_path, **QUICK) as gateway:
        script(two[0], **DOWN)
        disable(gateway)
        assert conditions(gateway) == {"p0": "degraded", "p1": "healthy"}
        assert gauge(gateway, "dragoman_disabled_models", "p0") == 1
        assert gauge(gateway, "dragoman_provider_disabled", "p0") == 0
        assert gauge(gateway, "dragoman_provider_score", "p0") == 0
        assert gauge(gateway, "dragoman_provider_score", "p1") > 50
        # Once in an interval a request may try it; nobody notices but by the attempts.
        until(lambda: served(gateway) == ("p1", "2"), 3)
        assert served(gateway) == ("p1", "1")
        heal(two[0])
        until(lambda: served(gateway) == ("p0", "1"), 2 * 1.5)
        assert served(gateway) == ("p0", "1")
        assert conditions(gateway) == {"p0": "healthy", "p1": "healthy"}
        until(lambda: "model disabled" in gateway.log.read_text(), 5)
        until(lambda: "model enabled again" in gateway.log.read_text(), 5)


@pytest.mark.req("R-PROV-004")
def test_a_disabled_model_that_is_named_alone_is_tried_all_the_same(two, tmp_path):
    with gateway_server(tmp_path, **QUICK) as gateway:
        script(two[0], **DOWN)
        disable(gateway)
        assert gateway.chat("p0/m").status == 500
        heal(two[0])
        assert gateway.chat("p0/m").status == 200
        assert served(gateway) == ("p0", "1")


@pytest.mark.req("R-PROV-004", "R-ENV-007")
def test_two_disabled_models_disable_their_provider_unless_it_is_switched_off(two, tmp_path):
    routes = ROUTE + '[routes.other]\ncandidates = ["p0/n", "p1/n"]\n'
    routes += '[routes.third]\ncandidates = ["p0/o", "p1/n"]\n'
    file = tmp_path / "dragoman.toml"
    file.write_text(file.read_text().replace(ROUTE, routes))
    with gateway_server(tmp_path, **QUICK) as gateway:
        script(two[0], **DOWN)
        disable(gateway)
        assert served(gateway, "other") == ("p1", "2")
        for _ in range(5):
            assert served(gateway, "other")[0] == "p1"
            time.sleep(0.15)
        assert conditions(gateway)["p0"] == "disabled"
        assert gauge(gateway, "dragoman_provider_disabled", "p0") == 1
        # A model of it that nobody has asked for is left out as well.
        assert served(gateway, "third") == ("p1", "1")
    with gateway_server(
        tmp_path, **QUICK, DISABLE_PROVIDER_AUTO_DISABLE="true", BREAKER_OPEN_S="0.1"
    ) as gateway:
        assert conditions(gateway)["p0"] == "healthy"
        for _ in range(7):
            assert served(gateway)[0] == "p1"
            time.sleep(0.15)
        assert gauge(gateway, "dragoman_disabled_models", "p0") == 0


@pytest.mark.req("R-PROV-004", "R-REL-003")
def test_nobody_is_disabled_by_a_callers_own_bad_requests(two, tmp_path):
    with gateway_server(tmp_path, **QUICK) as gateway:
        for number in range(12):
            status = (400, 404, 413, 422)[number % 4]
            script(two[0], status=status, path="/chat/completions")
            gateway.chat("p0/m")
            gateway.ask("POST", "/v1/chat/completions", b"{")
            gateway.chat("p0/m", temperature="warm")
            time.sleep(0.1)
        heal(two[0])
        assert conditions(gateway) == {"p0": "healthy", "p1": "healthy"}
        assert served(gateway) == ("p0", "1")


@pytest.mark.req("R-PROV-005", "R-ADD-023")
def test_errors_that_the_operator_excludes_disable_nobody(two, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "excluded-errors.json").write_text('{"patterns": ["MAINTENANCE"]}')
    with gateway_server(tmp_path, **QUICK) as gateway:
        script(two[0], **DOWN, message="Down for maintenance.")
        for _ in range(8):
            assert served(gateway) == ("p1", "2")
            time.sleep(0.1)
        assert gauge(gateway, "dragoman_disabled_models", "p0") == 0
    (tmp_path / "home" / "excluded-errors.json").write_text('{"pattern": []}')
    with gateway_server(tmp_path, **QUICK) as gateway:
        until(lambda: "did you mean 'patterns'" in gateway.log.read_text(), 5)


@pytest.mark.req("R-PROV-003", "R-PROV-004")
def test_a_restart_keeps_who_is_disabled_and_the_statistics(two, tmp_path):
    slow = {**QUICK, "DISABLE_PROBE_S": "600"}
    with gateway_server(tmp_path, **slow) as gateway:
        script(two[0], **DOWN)
        disable(gateway)
        before = gauge(gateway, "dragoman_provider_score", "p1")
        assert gateway.stop() == 0
    with gateway_server(tmp_path, **slow) as gateway:
        assert conditions(gateway) == {"p0": "degraded", "p1": "healthy"}
        assert gauge(gateway, "dragoman_provider_score", "p1") == pytest.approx(before, abs=1)
        assert gauge(gateway, "dragoman_provider_score", "p0") == pytest.approx(0, abs=1)
        heal(two[0])
        for _ in range(3):
            assert served(gateway) == ("p1", "1")


@pytest.mark.req("R-PROV-003")
def test_a_provider_at_another_address_begins_anew(two, tmp_path):
    file = tmp_path / "dragoman.toml"
    with gateway_server(tmp_path, **QUICK) as gateway:
        for _ in range(3):
            assert gateway.chat("p0/m").status == gateway.chat("p1/m").status == 200
        before = gauge(gateway, "dragoman_provider_score", "p1")
        assert gauge(gateway, "dragoman_provider_score", "p0") > 50
        assert gateway.stop() == 0
    file.write_text(file.read_text().replace(two[0].url, two[1].url, 1))
    with gateway_server(tmp_path, **QUICK) as gateway:
        assert gauge(gateway, "dragoman_provider_score", "p0") == 50
        assert gauge(gateway, "dragoman_provider_score", "p1") == pytest.approx(before, abs=1)


@pytest.mark.req("R-PROV-004")
def test_workers_share_who_is_disabled(two, tmp_path):
    slow = {**QUICK, "DISABLE_PROBE_S": "600"}
    with gateway_server(tmp_path, "--workers", "2", **slow) as gateway:
        script(two[0], **DOWN)
        deadline = time.monotonic() + 20
        while "degraded" not in conditions(gateway).values():
            assert served(gateway)[0] == "p1"
            assert time.monotonic() < deadline
            time.sleep(0.1)
        # Each worker tells once it has learned of it; a request may come to either of them.
        until(lambda: gateway.log.read_text().count("model disabled") >= 2, 15)
        heal(two[0])
        until(lambda: all(conditions(gateway)["p0"] == "degraded" for _ in range(24)), 15)
        assert {served(gateway) for _ in range(24)} == {("p1", "1")}
        # What one learns of its recovery, the other learns too.
        assert gateway.chat("p0/m").status == 200
        until(lambda: all(conditions(gateway)["p0"] == "healthy" for _ in range(24)), 15)


def allowance(left: int, reset: str) -> bytes:
    head = (
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
        f"x-ratelimit-remaining-requests: {left}\r\nx-ratelimit-reset-requests: {reset}\r\n"
    )
    return f"{head}content-length: {len(WHOLE)}\r\n\r\n".encode() + WHOLE


@pytest.mark.req("R-PROV-003")
def test_a_key_that_has_nothing_left_is_not_used_until_its_limit_begins_anew(tmp_path):
    with raw_upstream({"m": allowance(0, "2.5s"), "n": allowance(5, "60s")}) as up:
        (tmp_path / "dragoman.toml").write_text(
            f'[[providers]]\nname = "p"\ndialect = "chat"\nbase_url = "http://127.0.0.1:{up.port}"\n'
            'credentials = [{ key = "secret-one" }, { key = "secret-two" }]\n'
        )
        with gateway_server(tmp_path) as gateway:

            def key_of(model: str) -> str:
                assert gateway.chat(model).status == 200
                return up.keys[-1].removeprefix("Bearer secret-")

            # What is left is told by the first answer: the turn of each key comes once.
            start = time.monotonic()
            assert [key_of("p/m"), key_of("p/n"), key_of("p/n")] == ["one", "two", "one"]
            assert key_of("p/m") == "two"
            up.replies["m"] = allowance(1, "1s")
            # Both rest: who is back first is asked first.
            assert key_of("p/m") == "one"
            assert time.monotonic() - start < 2.5
            time.sleep(2.6)
            assert {key_of("p/m"), key_of("p/m")} == {"one", "two"}


@pytest.mark.req("R-PROV-004", "R-TIER-005")
def test_gateways_with_databases_of_their_own_share_through_redis(two, tmp_path):
    with ExitStack() as stack:
        shared = {
            **QUICK,
            "DISABLE_PROBE_S": "600",
            "REDIS_URL": URL,
            "REDIS_PREFIX": stack.enter_context(redis_prefix()),
        }
        gateways = []
        for name in ("one", "other"):
            folder = tmp_path / name
            folder.mkdir()
            (folder / "dragoman.toml").write_text((tmp_path / "dragoman.toml").read_text())
            gateways.append(stack.enter_context(gateway_server(folder, **shared)))
        one, other = gateways
        assert one.ask("GET", "/ready", key=None).json()["redis"] == "up"
        script(two[0], **DOWN)
        disable(one)
        heal(two[0])
        until(lambda: conditions(other)["p0"] == "degraded")
        assert served(other) == ("p1", "1")
        assert other.chat("p0/m").status == 200
        until(lambda: conditions(one)["p0"] == "healthy")
        assert served(one) == ("p0", "1")
        text = one.ask("GET", "/metrics").body.decode()
        assert "dragoman_shared_state_up 1.0" in text


def test_a_redis_that_is_not_there_keeps_nobody_from_serving(two, tmp_path):
    with gateway_server(tmp_path, **QUICK, REDIS_URL="redis://:hush@127.0.0.1:1") as gateway:
        ready = gateway.ask("GET", "/ready", key=None).json()
        assert ready["redis"] == "down"
        assert served(gateway) == ("p0", "1")
        assert "dragoman_shared_state_up 0.0" in gateway.ask("GET", "/metrics").body.decode()
        text = gateway.log.read_text()
        assert "Redis is away" in text
        assert "hush" not in text
