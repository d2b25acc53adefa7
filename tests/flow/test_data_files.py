"""models.json and providers.json are read at the start: what is newer in them than the database counts."""

import json
import os
import time

import pytest

from servers import gateway_server, mock_server, providers_at, until

OPENAI = "openai/gpt-4o-mini"
pytestmark = pytest.mark.req("R-PROV-002", "R-STOR-001", "R-STOR-004", "R-STOR-009", "R-CAT-001")


def environment(mock):
    return {
        **providers_at(mock.port),
        "DATA_SOURCE_PREFERENCE": "filesystem",
        "DISABLE_PROBE_S": "600",
        "MAX_RETRIES": "0",
    }


@pytest.fixture
def data(mock, tmp_path):
    """The folder of a gateway that has served two requests and was stopped."""
    folder = tmp_path / "home" / "data"
    with gateway_server(tmp_path, **environment(mock)) as server:
        assert server.chat(OPENAI).status == 200
        assert server.chat(OPENAI, stream=True).status == 200
        until(
            lambda: (
                (folder / "models.json").is_file() and states(folder)["openai"]["requests"] == 2
            ),
            15,
        )
    return folder


def states(folder):
    return {each["id"]: each for each in json.loads((folder / "providers.json").read_bytes())}


def write(folder, found, *, age_s=0.0):
    file = folder / "providers.json"
    file.write_text(json.dumps(list(found.values()) if isinstance(found, dict) else found))
    moment = time.time() - age_s
    os.utime(file, (moment, moment))


def conditions(server):
    return server.ask("GET", "/ready", key=None).json()["providers"]


def test_a_newer_file_says_who_is_disabled_and_how_all_have_been_doing(mock, tmp_path, data):
    found = states(data)
    found["groq"]["disabled"] = True
    found["mistral"]["models"] = {
        "mistral-large-latest": {
            "id": "mistral-large-latest",
            "token_generation_speed": None,
            "response_times": [],
            "errors": 0,
            "disabled": True,
        }
    }
    found["openai"]["models"]["gpt-4o-mini"] |= {"requests": 1000, "avg_response_time": 12_500.0}
    write(data, found)
    with gateway_server(tmp_path, **environment(mock)) as server:
        told = conditions(server)
        assert (told["groq"], told["mistral"], told["openai"]) == (
            "disabled",
            "degraded",
            "healthy",
        )
        assert server.chat(OPENAI, stream=True).status == 200
        model = until(
            lambda: (
                (row := states(data)["openai"]["models"]["gpt-4o-mini"])["requests"] == 1001
                and row
            ),
            15,
        )
        assert model["avg_response_time"] == 12_500.0
    # It is the database's from now on.
    write(data, {}, age_s=3600)
    with gateway_server(tmp_path, **environment(mock)) as server:
        assert conditions(server)["groq"] == "disabled"
        until(lambda: "openai" in states(data), 15)
        until(lambda: states(data)["openai"]["models"]["gpt-4o-mini"]["requests"] == 1001, 15)


def test_an_older_file_says_nothing(mock, tmp_path, data):
    found = states(data)
    found["groq"]["disabled"] = True
    write(data, found, age_s=3600)
    with gateway_server(tmp_path, **environment(mock)) as server:
        assert conditions(server)["groq"] == "healthy"
        until(lambda: not states(data)["groq"]["disabled"], 15)


def test_what_cannot_be_read_is_told_kept_aside_and_keeps_nobody_from_serving(
    mock, tmp_path, data
):
    found = states(data)
    found["openai"]["models"]["gpt-4o-mini"]["requests"] = -1
    write(data, found)
    (data / "models.json").write_text('{"object": "list", "data": [')
    wrong = (data / "providers.json").read_bytes()
    with gateway_server(tmp_path, **environment(mock)) as server:
        assert server.chat(OPENAI).status == 200
        log = server.log.read_text()
        number = [each["id"] for each in found.values()].index("openai")
        assert f"{data}/providers.json: Expected `int` >= 0 - at " in log
        assert f"$[{number}].models['gpt-4o-mini'].requests" in log
        assert "models.json" in log
        assert (data / "providers.json.before").read_bytes() == wrong
        assert (data / "models.json.before").is_file()
        until(lambda: states(data)["openai"]["models"]["gpt-4o-mini"]["requests"] == 3, 15)


def test_a_provider_that_is_not_configured_and_a_key_are_not_taken_over(mock, tmp_path, data):
    found = states(data)
    found["openai"]["apiKey"] = "sk-in-a-file"
    found["nobody"] = {
        "id": "nobody",
        "apiKey": None,
        "provider_url": "http://127.0.0.1:1",
        "models": {},
    }
    write(data, found)
    with gateway_server(tmp_path, **environment(mock)) as server:
        assert "nobody" not in conditions(server)
        log = server.log.read_text()
        assert "nobody" in log
        assert "apiKey" in log
        assert "sk-in-a-file" not in log
        assert b"sk-in-a-file" in (data / "providers.json.before").read_bytes()
        until(lambda: "nobody" not in states(data), 15)
        assert b"sk-in-a-file" not in (data / "providers.json").read_bytes()


def test_lists_of_models_are_known_before_their_provider_is_asked_again(tmp_path):
    folder = tmp_path / "mock"
    folder.mkdir()
    with mock_server(folder) as own:
        asked = environment(own)
        with gateway_server(tmp_path, **asked) as server:
            listed = {row["id"] for row in server.ask("GET", "/v1/models").json()["data"]}
            data = tmp_path / "home" / "data"
            until(
                lambda: (
                    (data / "providers.json").is_file() and states(data)["openai"]["models_listed"]
                ),
                15,
            )
    # Nobody is there now, and the list is the one that was there.
    file = data / "models.json"
    models = json.loads(file.read_bytes())
    models["data"].append({**models["data"][0], "id": "openai/brand-new", "owned_by": "openai"})
    file.write_text(json.dumps(models))
    with gateway_server(tmp_path, **asked) as server:
        again = {row["id"] for row in server.ask("GET", "/v1/models").json()["data"]}
    assert again == listed | {"openai/brand-new"}


@pytest.mark.gate
def test_of_several_workers_one_takes_it_over(mock, tmp_path, data):
    found = states(data)
    found["groq"]["disabled"] = True
    write(data, found)
    with gateway_server(tmp_path, "--workers", "2", **environment(mock)) as server:
        until(lambda: server.log.read_text().count("provider disabled") == 2, 15)
        assert {conditions(server)["groq"] for _ in range(16)} == {"disabled"}
        assert server.log.read_text().count("providers.json was newer") == 1
