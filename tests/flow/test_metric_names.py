"""Every metric of the requirements, with its labels, from a process that has had something to count."""

import json
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from servers import gateway_server, mock_server, new_api_key, providers_at, until

REQUIRED = {
    "dragoman_requests_total": {
        "provider", "model", "status", "endpoint", "error_type", "streaming",
    },
    "dragoman_request_duration_seconds": {"provider", "model"},
    "dragoman_time_to_first_token_seconds": {"provider", "model"},
    "dragoman_tokens_total": {"provider", "model", "type"},
    "dragoman_cost_usd_total": {"provider", "model"},
    "dragoman_estimated_cost_usd_total": {"provider", "model"},
    "dragoman_active_requests": set(),
    "dragoman_websocket_connections": set(),
    "dragoman_circuit_breaker_state": {"provider"},
    "dragoman_rate_limit_hits_total": {"limit"},
    "dragoman_fallback_attempts_total": {"from_provider", "to_provider"},
    "dragoman_routing_decisions_total": {"strategy", "provider"},
    "dragoman_health_check_total": {"provider", "result"},
    "dragoman_health_check_status": {"provider"},
    "dragoman_overhead_seconds": {"streaming"},
    "dragoman_queue_depth": {"queue"},
    "dragoman_queue_lost_total": {"queue"},
    "gen_ai_client_operation_duration_seconds": {
        "gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "error_type",
    },
    "gen_ai_client_operation_time_to_first_chunk_seconds": {
        "gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model",
    },
    "gen_ai_client_token_usage": {
        "gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model",
        "gen_ai_token_type",
    },
}  # fmt: skip
"""R-OBS-001 and R-OBS-002, then what the conventions for generative AI and the operators' issue ask for."""
BUCKETS = {
    "dragoman_request_duration_seconds": [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100],
    "dragoman_time_to_first_token_seconds": [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    "gen_ai_client_operation_duration_seconds": [
        0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
    ],
    "gen_ai_client_token_usage": [4.0**power for power in range(14)],
}  # fmt: skip
DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "rules.yaml"
DASHBOARD = DEPLOY / "grafana" / "dragoman.json"
QUEUES = {"ledger", "journal", "notes", "bodies", "errors", "log"}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of a process that has served, failed, fallen back, chosen and refused."""
    folder = tmp_path_factory.mktemp("metrics")
    with mock_server(folder) as provider:
        (folder / "dragoman.toml").write_text(
            '[aliases]\nspare = ["openai/gpt-4o-mini--mock-status-503", "groq/llama-3.1-8b-instant"]\n'
            "[routes.cheap]\nstrategy = 'cost'\n"
            'candidates = ["openai/gpt-4o-mini", "groq/llama-3.1-8b-instant"]\n'
            "[budgets.all]\nmonthly_usd = '100'\n"
            '[prices."openai/gpt-4o-mini--mock-status-503"]\ninput = "0.1"\noutput = "0.1"\n'
        )
        environment = {
            **providers_at(provider.port),
            "OTEL_CONSOLE_EXPORT": "true",
        }
        with gateway_server(folder, **environment) as server:
            key = new_api_key(server, "--name", "counted", "--rpm", "8")
            assert server.chat(key=key).status == 200
            assert server.chat(key=key, stream=True).status == 200
            assert server.chat("spare", key=key).status == 200
            assert server.chat("cheap", key=key).status == 200
            assert server.chat("openai/gpt-4o-mini--mock-status-400", key=key).status >= 400
            while server.chat(key=key).status == 200:
                pass
            yield server.ask("GET", "/metrics", key=None).body.decode()


def labels_of(page):
    """Metric → the labels of its samples, as they stand on the page."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            name = re.sub(r"_(bucket|sum|count|created)$", "", sample.name)
            found.setdefault(name, set()).update(set(sample.labels) - {"le"})
    return found


@pytest.mark.req("R-OBS-001", "R-OBS-002", "R-ADD-034", "R-SURF-032")
def test_names_and_labels_are_those_of_the_requirements(page):
    found = labels_of(page)
    assert {name: found.get(name) for name in REQUIRED} == REQUIRED


@pytest.mark.req("R-ADD-034")
@pytest.mark.parametrize("name", BUCKETS)
def test_buckets_are_those_that_are_asked_for(page, name):
    bounds = {
        float(each) for each in re.findall(rf'^{name}_bucket{{.*le="([^"]+)"', page, re.MULTILINE)
    }
    assert sorted(bounds - {float("inf")}) == BUCKETS[name]


def test_types_are_right_and_queues_are_all_there(page):
    kinds = {family.name: family.type for family in text_string_to_metric_families(page)}
    assert kinds["dragoman_requests"] == kinds["dragoman_tokens"] == "counter"
    assert kinds["dragoman_active_requests"] == kinds["dragoman_circuit_breaker_state"] == "gauge"
    assert kinds["dragoman_request_duration_seconds"] == "histogram"
    assert set(re.findall(r'dragoman_queue_depth{queue="(\w+)"}', page)) == QUEUES | {"traces"}
    fallback = 'dragoman_fallback_attempts_total{from_provider="openai",to_provider="groq"} '
    assert fallback in page
    assert 'dragoman_routing_decisions_total{provider="' in page
    assert 'dragoman_rate_limit_hits_total{limit="rpm"} 1.0' in page, (
        "the page's calls end with the first 429"
    )
    assert 'dragoman_health_check_total{provider="openai",result="failed"}' in page


@pytest.mark.req("R-ADD-034")
def test_every_call_is_measured_once(tmp_path):

    def counts():
        page = server.ask("GET", "/metrics").body.decode()
        found = re.findall(
            r'^dragoman_overhead_seconds_count{streaming="(\w+)"} (\S+)', page, re.MULTILINE
        )
        return {streaming: float(number) for streaming, number in found}

    with (
        mock_server(tmp_path) as provider,
        gateway_server(tmp_path, **providers_at(provider.port)) as server,
    ):
        for _ in range(7):
            assert server.chat().status == 200
        for _ in range(4):
            assert server.chat(stream=True).status == 200
        assert server.chat("nobody/has-this").status == 404
        until(lambda: sum(counts().values()) >= 12)
        assert counts() == {"false": 8.0, "true": 4.0}, "a refusal takes its time as well"


@pytest.mark.req("R-ADD-034", "P4")
def test_no_caller_can_make_series(tmp_path):
    with mock_server(tmp_path) as provider:
        (tmp_path / "dragoman.toml").write_text(
            f'[[providers]]\nname = "wild"\ndialect = "chat"\nbase_url = "{provider.url}/openai/v1"\n'
        )
        with gateway_server(tmp_path, **providers_at(provider.port)) as server:
            server.chat()
            before = len(server.ask("GET", "/metrics").body.splitlines())
            for number in range(100):
                server.chat(f"wild/made-up-{number}")
                server.chat(f"nothing-like-it-{number}")
                server.ask("GET", f"/no/such/path-{number}")
            page = server.ask("GET", "/metrics").body.decode()
    assert "made-up" not in page
    assert "such" not in page
    assert len(page.splitlines()) < before + 300


# --------------------------------------------------------------------------- what is built on them

_NAME = re.compile(r"\b(?:dragoman|gen_ai|process)_[a-z0-9_]+\b")


def named_in(text, page):
    """The metrics that an expression names; labels look alike, and are none."""
    labels = set().union(*labels_of(page).values())
    return {name for name in _NAME.findall(text) if name not in labels}


def is_exposed(name, page):
    """Whether it has a sample, or would have one as soon as there is anything to tell."""
    return re.search(rf"^(# TYPE )?{name}(\{{| )", page, re.MULTILINE) is not None


TO_BE_SEEN = {
    "dragoman_alerts_total",
    "dragoman_budget_spent_usd",
    "dragoman_circuit_breaker_state",
    "dragoman_cost_drift_ratio",
    "dragoman_cost_usd_total",
    "dragoman_overhead_seconds_bucket",
    "dragoman_queue_depth",
    "dragoman_queue_lost_total",
    "dragoman_reconciliations_total",
    "dragoman_requests_total",
    "dragoman_usage_write_failures_total",
}
TO_BE_TOLD = {
    "dragoman_alerts_untaken_total",
    "dragoman_budget_spent_usd",
    "dragoman_circuit_breaker_state",
    "dragoman_cost_drift_ratio",
    "dragoman_cost_usd_total",
    "dragoman_overhead_seconds_bucket",
    "dragoman_queue_depth",
    "dragoman_queue_lost_total",
    "dragoman_reconciliations_total",
    "dragoman_requests_total",
    "dragoman_usage_refused_total",
    "dragoman_usage_write_failures_total",
}


WITH_REDIS = {"dragoman_shared_state_up", "dragoman_limits_shared"}
"""What is told only where several share it; see ``test_health.py``."""


@pytest.mark.req("M18")
def test_every_metric_of_the_dashboard_is_exposed(page):
    board = json.loads(DASHBOARD.read_text())
    texts = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    assert len(texts) >= 20
    wrong = {name for text in texts for name in named_in(text, page) if not is_exposed(name, page)}
    assert wrong == WITH_REDIS
    assert {name for text in texts for name in named_in(text, page)} >= TO_BE_SEEN
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_every_metric_of_ours_has_a_panel(page):
    """And no panel lies upon another."""
    board = json.loads(DASHBOARD.read_text())
    shown = " ".join(
        each["expr"] for panel in board["panels"] for each in panel.get("targets", ())
    )
    ours = re.findall(r"^# TYPE (dragoman_\w+|gen_ai_\w+) ", page, re.MULTILINE)
    assert len(ours) > 25
    made = {name for name in ours if not name.endswith("_created")} | WITH_REDIS
    assert {name for name in made if re.search(rf"\b{name}(_bucket)?\b", shown) is None} == set()
    places = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in board["panels"]
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(places) == len(set(places))


@pytest.mark.req("M18")
def test_every_metric_of_the_alert_rules_is_exposed(page):
    import yaml

    rules = [
        rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
    ]
    assert len(rules) >= 12
    assert {name for rule in rules for name in named_in(rule["expr"], page)} >= TO_BE_TOLD
    for rule in rules:
        names = named_in(rule["expr"], page)
        assert names, rule
        assert {name for name in names if not is_exposed(name, page)} == set(), rule["alert"]
        assert {"summary", "description"} <= set(rule["annotations"])
        assert rule["labels"]["severity"] in {"page", "ticket"}
