"""What administrators have stored is in the files of `dragoman export`, or is said to be in none of them."""

from __future__ import annotations

import json

import pytest

import forge
from administrators import admin_key, made_key
from servers import gateway_server, providers_at

OWN = "sk-own-0000000000000000000000000000000000000000"


@pytest.fixture
def house(tmp_path, mock):
    with gateway_server(tmp_path, **providers_at(mock.port)) as server:
        yield server, admin_key(server), tmp_path


def run(server, *arguments):
    environment = {**server.environment, "MODE": "local", "PATH": "/usr/bin:/bin"}
    done = forge.run([*arguments, "--json"], env=environment, cwd=server.log.parent)
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout)


def exported(server, folder):
    told = run(server, "export", str(folder))
    names = ("providers.json", "models.json")
    providers, models = (json.loads((folder / name).read_text()) for name in names)
    by_name = {each["id"]: each for each in providers}
    return told, by_name, {each["id"] for each in models["data"]}


@pytest.mark.req("R-STOR-004", "R-ADM-001")
def test_providers_and_names_that_were_stored_are_in_the_files(house):
    server, admin, folder = house
    corp = {
        "providerId": "corp-vllm",
        "providerBaseUrl": "http://127.0.0.1:9/v1",
        "models": ["llama-3"],
        "apiKey": OWN,
    }
    assert server.ask("POST", "/api/admin/providers", corp, key=admin).status == 201
    assert server.ask("POST", "/api/admin/providers/groq/disable", {}, key=admin).status == 200
    alias = {"targets": ["corp-vllm/llama-3"]}
    assert server.ask("PUT", "/api/admin/aliases/fast", alias, key=admin).status in (200, 201)
    _, providers, models = exported(server, folder / "out")
    assert providers["corp-vllm"]["provider_url"] == "http://127.0.0.1:9/v1"
    assert providers["corp-vllm"]["apiKey"] is None
    assert providers["groq"]["disabled"] is True
    assert providers["groq"]["provider_url"]
    assert not providers["openai"].get("disabled")
    assert "corp-vllm/llama-3" in models
    assert not [each for each in models if each.startswith("groq/")]
    assert OWN not in "".join(path.read_text() for path in (folder / "out").iterdir())


@pytest.mark.req("R-STOR-004")
def test_what_no_file_carries_is_told(house):
    server, admin, folder = house
    assert run(server, "export", str(folder / "none"))["left"] == {}
    alias = {"targets": ["openai/gpt-4o-mini"]}
    assert server.ask("PUT", "/api/admin/aliases/fast", alias, key=admin).status in (200, 201)
    made_key(server, admin, "bob")
    run(server, "budgets", "set", "team", "--monthly", "5")
    run(server, "credentials", "rule", "default", "--own-only")
    assert run(server, "export", str(folder / "out"))["left"] == {
        "aliases": 1,
        "budgets": 1,
        "credential rules": 1,
    }
