"""The library's own files: what they begin with, and what a call adds to them."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.library import own, templates
from dragoman.library.failures import CallError
from dragoman.library.provision import provision, read_caller_config


def held(folder, name):
    return json.loads((folder / name).read_text())


@pytest.mark.req("R-CRED-001", "R-CFG-010")
def test_the_file_that_may_hold_keys_is_its_owners_alone_in_whichever_folder(tmp_path):
    tmp_path.chmod(0o755)
    own.ensure(tmp_path)
    assert (tmp_path / "api_config.json").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "api_data.json").stat().st_mode & 0o600 == 0o600
    (tmp_path / "api_config.json").write_text("{}")
    own.ensure(tmp_path)
    assert (tmp_path / "api_config.json").read_text() == "{}"


@pytest.mark.req("R-CFG-009", "R-CFG-010", "R-TEST-002", "R-ENV-016", "R-FILE-002")
def test_the_six_files_begin_as_they_are_described(tmp_path):
    folder = tmp_path / "api" / "api_json"
    own.ensure(folder)
    assert (folder.stat().st_mode & 0o777) == 0o700
    config = held(folder, "openrouter_config.json")
    assert config["module_name"] == "openrouter"
    assert config["config"] == {
        "base_url": "https://openrouter.ai/api/v1",
        "timeout_seconds": 30,
        "enabled": True,
        "log_requests": True,
        "log_responses": False,
        "auto_provision": True,
    }
    assert held(folder, "openrouter_data.json")["data"] == {
        "total_requests": 0,
        "successful_requests": 0,
        "failed_requests": 0,
        "provisioned_configs": {},
        "callers_tracked": [],
    }
    assert held(folder, "openrouter_log.json") == {"module_name": "openrouter", "logs": []}
    api = held(folder, "api_config.json")
    assert (api["skill_name"], api["config"]["default_provider"]) == ("api_system", "openrouter")
    assert api["config"]["providers"]["openrouter"]["api_key"] == ""  # C-07
    assert held(folder, "api_data.json").keys() >= {
        "current_session",
        "usage_by_caller",
        "daily_totals",
    }
    assert held(folder, "api_log.json") == {"logs": []}


@pytest.mark.req("R-CFG-004", "R-CFG-005", "R-CFG-006", "R-CFG-008", "R-TEST-002")
def test_a_callers_three_files_are_made_once_and_its_own_are_never_touched(tmp_path):
    folder = tmp_path / "flow" / "flow_json"
    folder.mkdir(parents=True)
    (folder / "flow_mbank_config.json").write_text("mine")
    names = [f"openrouter_skill_{kind}.json" for kind in ("config", "data", "log")]
    assert provision(folder) == names
    assert held(folder, names[0])["skill_name"] == "openrouter"
    assert held(folder, names[0])["config"] == {
        "ai_model": "deepseek/deepseek-chat-v3.1:free",
        "ai_temperature": 0.5,
        "ai_max_tokens": 1500,
        "enabled": True,
    }
    assert held(folder, names[1]) == {"skill_name": "openrouter", "data": {}}
    assert held(folder, names[2]) == {"skill_name": "openrouter", "logs": []}
    (folder / names[0]).write_text('{"config": {"ai_model": "m"}}')
    (folder / names[1]).unlink()
    assert provision(folder) == [names[1]]
    assert read_caller_config(folder).model == "m"
    assert (folder / "flow_mbank_config.json").read_text() == "mine"


@pytest.mark.req("R-CFG-017")
@pytest.mark.parametrize("key", ["skill_name", "module_name"])
@pytest.mark.parametrize("name", ["openrouter_skill_config.json", "openrouter_config.json"])
def test_a_callers_config_is_read_under_each_of_its_names(tmp_path, key, name):
    file = {key: "[caller_name]", "config": {"ai_model": "a/b", "ai_temperature": 0}}
    (tmp_path / name).write_text(json.dumps(file))
    config = read_caller_config(tmp_path)
    assert (config.model, config.temperature, config.max_tokens) == ("a/b", 0, None)
    assert config.enabled


@pytest.mark.req("R-CFG-018")
@pytest.mark.parametrize(
    "config",
    [
        '{"ai_model": 3}',
        '{"enabled": "no"}',
        '{"ai_temperature": "hot"}',
        "3",
        '{"ai_max_tokens": 1.5}',
    ],
)
def test_a_config_of_the_wrong_kind_is_told_and_stays(tmp_path, config):
    path = tmp_path / templates.CONFIG
    path.write_text(f'{{"config": {config}}}')
    with pytest.raises(CallError, match=r"openrouter_skill_config\.json: "):
        read_caller_config(tmp_path)
    assert config in path.read_text()


def told(**members):
    return own.Told(**{"caller": "flow_mbank", "model": "a/b", "succeeded": True, **members})


@pytest.mark.req("R-USE-004", "R-USE-005", "R-USE-014")
def test_calls_are_added_up_by_caller_session_day_and_month(tmp_path):
    own.ensure(tmp_path)
    own.note_call(
        tmp_path, told(tokens=10, cost=Decimal("0.1"), generation_id="gen-1", latency_ms=5)
    )
    own.note_call(tmp_path, told(tokens=20, cost=Decimal("0.2")))
    own.note_call(tmp_path, told(caller="a->b", succeeded=False, error="x"))
    data = held(tmp_path, "api_data.json")
    assert data["usage_by_caller"]["flow_mbank"] == {
        "requests": 2,
        "total_cost": 0.3,
        "total_tokens": 30,
    }
    assert data["usage_by_caller"]["a->b"]["requests"] == 1
    assert data["current_session"]["total_requests"] == 3
    assert data["current_session"]["total_cost"] == 0.3
    assert data["daily_totals"][templates.day()]["total_tokens"] == 30
    assert data["monthly_totals"][templates.day()[:7]]["requests"] == 3
    first = held(tmp_path, "api_log.json")["logs"][0]
    assert {name: first[name] for name in first if name != "timestamp"} == {
        "caller": "flow_mbank",
        "model": "a/b",
        "generation_id": "gen-1",
        "status": "success",
        "tokens": 10,
        "cost": 0.1,
        "latency_ms": 5,
    }
    counts = held(tmp_path, "openrouter_data.json")["data"]
    assert (counts["total_requests"], counts["failed_requests"]) == (3, 1)
    assert counts["callers_tracked"] == ["flow_mbank", "a->b"]


@pytest.mark.req("R-USE-001")
def test_a_number_that_nobody_told_is_counted_as_unknown_and_never_as_a_guess(tmp_path):
    own.ensure(tmp_path)
    own.note_call(tmp_path, told(tokens=None, cost=None))
    row = held(tmp_path, "api_data.json")["usage_by_caller"]["flow_mbank"]
    assert row == {"requests": 1, "total_cost": 0.0, "total_tokens": 0, "unknown": 1}
    assert held(tmp_path, "api_log.json")["logs"][0]["cost"] is None


@pytest.mark.req("R-CFG-011", "R-TEST-003")
def test_a_call_that_was_never_sent_leaves_usage_alone(tmp_path):
    own.ensure(tmp_path)
    before = (tmp_path / "api_data.json").read_bytes()
    own.note_call(tmp_path, told(succeeded=False, calls_upstream=False, error="no model"))
    assert (tmp_path / "api_data.json").read_bytes() == before
    assert held(tmp_path, "openrouter_data.json")["data"]["failed_requests"] == 1


@pytest.mark.req("R-USE-004")
def test_a_session_ends_when_nobody_has_called_for_long(tmp_path):
    own.ensure(tmp_path)
    own.note_call(tmp_path, told(tokens=1))
    data = held(tmp_path, "api_data.json")
    long_ago = datetime.now(UTC) - own.SESSION_GAP - timedelta(seconds=1)
    data["current_session"]["last_request"] = long_ago.isoformat()
    (tmp_path / "api_data.json").write_text(json.dumps(data))
    own.note_call(tmp_path, told(tokens=1))
    after = held(tmp_path, "api_data.json")
    assert after["current_session"]["total_requests"] == 1
    assert after["usage_by_caller"]["flow_mbank"]["requests"] == 2


def test_logs_keep_the_newest_thousand(tmp_path):
    entries = [{"n": number} for number in range(own.MOST_LOGGED + 5)]
    (tmp_path / "openrouter_log.json").write_text(json.dumps({"logs": entries}))
    own.note_operation(tmp_path, "anything", "me", "what")
    logs = held(tmp_path, "openrouter_log.json")["logs"]
    assert len(logs) == own.MOST_LOGGED
    assert logs[-1]["operation"] == "anything"
    assert logs[0] == {"n": 6}


@given(st.lists(st.decimals(0, 10, places=9), max_size=40))
def test_sums_of_costs_do_not_drift(costs):
    row = {}
    for cost in costs:
        own._sum(row, told(tokens=0, cost=cost), "requests", "total_cost", "total_tokens")
    assert row.get("total_cost", 0) == float(sum(costs, Decimal(0)))


@pytest.mark.req("R-ADD-005", "R-CFG-014")
def test_the_infrastructure_is_what_its_files_say(tmp_path):
    own.ensure(tmp_path)
    (tmp_path / "openrouter_config.json").write_text(
        '{"config": {"base_url": "http://x/v1", "timeout_seconds": 2.5, "log_responses": true}}'
    )
    infra = own.read_infrastructure(tmp_path)
    assert (infra.base_url, infra.timeout_s, infra.log_responses) == ("http://x/v1", 2.5, True)
    assert infra.enabled
    (tmp_path / "api_config.json").write_text('{"config": {"enabled": false}}')
    infra = own.read_infrastructure(tmp_path)
    assert not infra.enabled
    assert infra.disabled_in.endswith("api_config.json")
    (tmp_path / "openrouter_config.json").write_text('{"config": {"timeout_seconds": 0}}')
    with pytest.raises(CallError, match="timeout_seconds"):
        own.read_infrastructure(tmp_path)
