"""What ``serve`` and ``mock`` hand on; that they really serve is shown in ``test_programs``."""

import json

import pytest

from dragoman.core.errors import HouseError

FERNET = "x" * 43 + "="


@pytest.fixture
def served(monkeypatch):
    """Settings that would be served with."""
    calls = []

    def serve(settings, env_file):
        calls.append((settings, env_file))
        return 0

    monkeypatch.setattr("dragoman.server.serve", serve)
    return calls


def test_flags_come_before_the_environment(dragoman, served, monkeypatch):
    monkeypatch.setenv("PORT", "9001")
    monkeypatch.setenv("MODE", "prod")
    assert dragoman("serve", "--local", "--host", "127.0.0.2", "--workers", "2")[0] == 0
    settings, env_file = served[0]
    assert (settings.mode, settings.host, settings.port, settings.workers) == (
        "local",
        "127.0.0.2",
        9001,
        2,
    )
    assert env_file is None


def test_the_env_file_is_handed_on(dragoman, served, clean):
    (clean / "my.env").write_text("MODE=test\n")
    assert dragoman("serve", "--env-file", "my.env")[0] == 0
    settings, env_file = served[0]
    assert (settings.mode, env_file.name) == ("test", "my.env")
    code, _, err = dragoman("serve", "--env-file", "other.env")
    assert code == 2
    assert "other.env" in err


def test_a_slip_in_the_env_file_is_told_before_the_start(dragoman, served, clean):
    (clean / ".env").write_text("OPENAI_API_KY=x\n")
    code, out, _ = dragoman("serve", "--local")
    assert (code, len(served)) == (0, 1)
    assert out == (
        "Warning: .env says OPENAI_API_KY, which means nothing here; "
        "did you mean OPENAI_API_KEY?\n"
    )


def test_a_failure_at_the_start_is_a_sentence(dragoman, monkeypatch):
    def serve(*_):
        raise HouseError("server", "The database has no tables yet.")

    monkeypatch.setattr("dragoman.server.serve", serve)
    assert dragoman("serve", "--local")[::2] == (2, "The database has no tables yet.\n")


def test_the_state_says_ready_once_production_is_configured(dragoman, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "sqlite:////tmp/x.db")
    monkeypatch.setenv("FERNET_KEY", FERNET)
    monkeypatch.setenv("CORS_ALLOW_ORIGINS", "https://app.example.com")
    states = {
        each["name"]: each["status"] for each in json.loads(dragoman("--json")[1])["commands"]
    }
    assert states["serve"] == "ready in MODE=prod on 127.0.0.1:8000"


@pytest.mark.req("R-MOCK-001", "R-MOCK-006")
def test_the_mocks_flags_come_before_its_environment(dragoman, monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr(
        "dragoman.mock.run", lambda config, **more: calls.append((config, more)) or 0
    )
    monkeypatch.setenv("MOCK_SEED", "1")
    monkeypatch.setenv("MOCK_BASE_DELAY", "7")
    assert dragoman("mock")[0] == 0
    assert dragoman("mock", "--seed", "2", "--quiet", "--port", "0", "--truth", "t.jsonl")[0] == 0
    (first, usual), (second, said) = calls
    assert (first.seed, first.enable_logs, usual["port"], usual["host"]) == (
        1,
        True,
        3101,
        "127.0.0.1",
    )
    assert (second.seed, second.enable_logs, second.base_delay, said["port"]) == (2, False, 7, 0)
    assert said["truth_file"].name == "t.jsonl"


@pytest.mark.req("R-MOCK-001")
def test_the_mock_is_calm_if_it_is_told_so_and_else_as_faulty_as_required(dragoman, monkeypatch):
    calls = []
    monkeypatch.setattr("dragoman.mock.run", lambda config, **_: calls.append(config) or 0)
    assert dragoman("mock")[0] == dragoman("mock", "--calm")[0] == 0
    usual, calm = calls
    assert (usual.error_rate, usual.timeout_rate, usual.delay_variance) == (0.15, 0.05, 100)
    assert (calm.error_rate, calm.timeout_rate, calm.delay_variance) == (0, 0, 0)
    assert calm.base_delay == usual.base_delay
    assert "--calm" in dragoman("mock", "--help")[1]


def test_the_mock_refuses_a_wrong_variable(dragoman, monkeypatch):
    monkeypatch.setenv("MOCK_TOKEN_SPEED", "fast")
    code, out, _ = dragoman("mock", "--json")
    assert code == 2
    assert "MOCK_TOKEN_SPEED" in json.loads(out)["error"]["message"]
