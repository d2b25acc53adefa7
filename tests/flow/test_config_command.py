"""The configuration file from the command line: checked whole, tried on what was asked, put in force."""

import json

import pytest

import forge
from servers import gateway_server, new_api_key, providers_at

OPENAI, GROQ = "openai/gpt-4o-mini", "groq/llama-3.3-70b-versatile"
ROUTED = '[aliases]\nfast = "{}"\n'


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "dragoman.toml"
    path.write_text(ROUTED.format(OPENAI))
    return path


@pytest.fixture
def gateway(mock, tmp_path, file):
    environment = {**providers_at(mock.port), "DRAGOMAN_CONFIG": str(file)}
    with gateway_server(tmp_path, **environment) as server:
        yield server


def command(server, *arguments):
    environment = {**server.environment, "PATH": "/usr/bin:/bin"}
    done = forge.run(["config", *map(str, arguments)], env=environment, cwd=server.log.parent)
    return done.returncode, done.stdout, done.stderr


def test_a_file_is_put_in_force_and_a_bad_one_is_not(gateway, file):
    assert gateway.chat("fast").headers["x-dragoman-provider"] == "openai"
    file.write_text(ROUTED.format(GROQ))
    code, out, err = command(gateway, "reload")
    assert (code, err) == (0, "")
    assert f"is in force on port {gateway.port}" in out
    assert "Changed: aliases." in out
    assert gateway.chat("fast").headers["x-dragoman-provider"] == "groq"
    file.write_text('[aliases]\nfast = "grok/x"\n')
    code, out, _ = command(gateway, "reload", "--json")
    told = json.loads(out)["outcome"]
    assert (code, told["ok"]) == (1, False)
    assert "line 2" in told["error"]
    assert "did you mean groq" in told["error"]
    assert gateway.chat("fast").headers["x-dragoman-provider"] == "groq"
    code, _, err = command(gateway, "reload", "--port", "1")
    assert code == 1
    assert "No gateway serves on port 1" in err


def test_a_plan_tells_what_would_be_different_and_what_it_would_cost(gateway, file, tmp_path):
    for _ in range(3):
        assert gateway.chat("fast").status == 200
    assert gateway.chat("groq/llama-3.3-70b-versatile").status == 200
    assert gateway.chat("mistral/mistral-large-latest").status == 200
    assert gateway.chat("no-such-model").status == 404
    gateway.rows()
    new = tmp_path / "new.toml"
    new.write_text(
        '[aliases]\nfast = "groq/llama-3.3-70b-versatile"\nno-such-model = "openai/gpt-4o-mini"\n'
        '[prices."mistral/mistral-large-latest"]\ninput = "1000"\noutput = "1000"\n'
    )
    code, out, err = command(gateway, "plan", new, "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert told["calls"] == 6
    groups = {group["requested"]: group for group in told["groups"]}
    assert groups["fast"]["effect"] == "rerouted"
    assert (groups["fast"]["before"], groups["fast"]["after"]) == (OPENAI, GROQ)
    assert groups["fast"]["calls"] == 3
    assert groups["mistral/mistral-large-latest"]["effect"] == "repriced"
    assert float(groups["mistral/mistral-large-latest"]["cost_after_usd"]) > 0.01
    assert groups["no-such-model"]["effect"] == "served"
    assert groups["no-such-model"]["after"] == OPENAI
    assert "groq/llama-3.3-70b-versatile" not in groups
    assert told["totals"]["same"] == 1
    assert float(told["cost_after_usd"]) > float(told["cost_before_usd"]) > 0
    # What a file takes away is told as a refusal, in the words of the refusal.
    new.write_text("")
    told = json.loads(command(gateway, "plan", new, "--json")[1])
    (group,) = told["groups"]
    assert (group["effect"], group["calls"]) == ("refused", 3)
    assert "fast" in group["reason"]
    code, out, _ = command(gateway, "plan", file)
    assert code == 0
    assert "Nothing would be different." in out
    code, out, _ = command(gateway, "plan", new, "--hours", "1")
    assert "refused" in out
    assert gateway.chat("fast").headers["x-dragoman-provider"] == "openai", "nothing was changed"


def test_a_plan_tells_whom_limits_would_refuse(gateway, file, tmp_path):
    tiers = "[tiers.team]\nrpm = {}\n"
    file.write_text(ROUTED.format(OPENAI) + tiers.format(100))
    assert command(gateway, "reload")[0] == 0
    key = new_api_key(gateway, "--name", "crowd", "--tier", "team")
    for _ in range(5):
        assert gateway.chat("fast", key=key).status == gateway.chat("fast").status == 200
    gateway.rows()
    new = tmp_path / "new.toml"
    new.write_text(ROUTED.format(OPENAI) + tiers.format(2))
    told = json.loads(command(gateway, "plan", new, "--json")[1])
    assert (told["groups"], told["calls"]) == ([], 10)
    (limit,) = told["limits"]
    assert (limit["caller"], limit["tier"], limit["limit"]) == ("crowd", "team", "rpm")
    assert (limit["before"], limit["after"]) == (0, 3)
    out = command(gateway, "plan", new)[1]
    assert "What limits would refuse" in out
    assert "Nothing would be different" not in out
    assert "Nothing would be different" in command(gateway, "plan", file)[1]


def test_a_plan_of_a_bad_file_is_refused_with_its_line(gateway, tmp_path):
    new = tmp_path / "new.toml"
    new.write_text('[aliases]\na = "openai/x"\nb = "grok/x"\n')
    code, _, err = command(gateway, "plan", new)
    assert code == 1
    assert "new.toml, line 3" in err
    assert "There is no file" in command(gateway, "plan", tmp_path / "none.toml")[2]


def test_everything_that_is_wrong_is_told_at_once_with_its_line(gateway, file):
    file.write_text(
        '[aliases]\nfast = "grok/x"\n\n[routes.smart]\nstrategy = "cheapest"\n'
        'candidates = ["openai/gpt-4o"]\n\n[[providers]]\nname = "own"\nbse_url = "x"\n'
    )
    code, out, _ = command(gateway, "validate")
    assert code == 1
    lines = out.splitlines()
    assert [line.partition(": ")[0].rpartition(":")[2] for line in lines] == ["2", "4", "8", "10"]
    assert "did you mean" in lines[3]
    code, out, _ = command(gateway, "validate", "--json")
    assert code == 1
    assert [each["line"] for each in json.loads(out)["errors"]] == [2, 4, 8, 10]
    file.write_text(ROUTED.format(GROQ))
    assert command(gateway, "validate")[:2] == (0, f"{file} may be used.\n")
