import json
import sqlite3

import pytest

CONFIG = (
    "model_list:\n  - {model_name: fast, litellm_params: {model: groq/llama-3.3-70b-versatile}}\n"
)


def test_a_configuration_of_litellms_is_written_and_accepted(dragoman, clean, monkeypatch):
    (clean / "config.yaml").write_text(CONFIG)
    code, out, _ = dragoman("import", "litellm", "config.yaml")
    assert code == 0
    assert "GROQ_API_KEY" in out
    monkeypatch.setenv("GROQ_API_KEY", "gsk_" + "0" * 40)
    code, out, _ = dragoman("config", "validate")
    assert (code, out) == (0, "dragoman.toml may be used.\n")


def test_a_file_that_is_there_is_written_over_only_where_that_is_said(dragoman, clean):
    (clean / "config.yaml").write_text(CONFIG)
    (clean / "dragoman.toml").write_text("format = 1\n")
    code, _, err = dragoman("import", "litellm", "config.yaml")
    assert (code, "say --replace" in err) == (1, True)
    assert (clean / "dragoman.toml").read_text() == "format = 1\n"
    code, out, _ = dragoman("import", "litellm", "config.yaml", "--replace", "--json")
    assert code == 0
    assert json.loads(out)["written"]["counts"]["aliases"] == 1


@pytest.mark.parametrize("kind", ["litellm", "portkey", "new-api", "anygpt", "json"])
def test_what_is_not_there_is_told_in_a_sentence(dragoman, clean, kind):
    code, out, err = dragoman("import", kind, "nothing.yaml")
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "nothing.yaml" in err


@pytest.mark.req("R-STOR-009")
def test_what_is_exported_holds_no_secret_and_has_its_schemas(dragoman, clean, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-the-provider-000")
    made = json.loads(dragoman("keys", "create", "--name", "alice", "--json")[1])
    code, out, _ = dragoman("export", "out")
    assert code == 0
    assert "holds no digests" in out
    files = {path.name: path.read_text() for path in (clean / "out").iterdir()}
    names = ("keys", "tiers", "providers", "models")
    assert set(files) == {f"{name}.{end}" for name in names for end in ("json", "schema.json")}
    whole = "".join(files.values())
    assert made["key"] not in whole
    assert "secret-of-the-provider" not in whole
    [key] = json.loads(files["keys.json"])["data"]
    assert (key["id"], key["name"], key["token_usage"]) == (made["id"], "alice", 0)
    assert "digest" not in key
    [openai] = [each for each in json.loads(files["providers.json"]) if each["id"] == "openai"]
    assert openai["apiKey"] == "${OPENAI_API_KEY}"
    assert json.loads(files["models.json"])["object"] == "list"
    assert json.loads(files["models.json"])["data"]
    assert all((clean / "out" / name).stat().st_mode & 0o077 == 0 for name in files)


def test_what_is_exported_can_be_read_again(dragoman, clean, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-the-provider-000")
    made = json.loads(dragoman("keys", "create", "--name", "alice", "--json")[1])
    assert dragoman("export", "out", "--with-digests")[0] == 0
    told = json.loads(dragoman("import", "json", "out", "--json")[1])
    assert (
        f"key {made['id']} of 'alice': it is stored already, and was left as it is."
        in told["left"]
    )
    assert (clean / "home" / "data" / "models.json").is_file()
    assert b"apiKey" in (clean / "home" / "data" / "providers.json").read_bytes()
    assert b"OPENAI_API_KEY" not in (clean / "home" / "data" / "providers.json").read_bytes()


def test_a_key_with_its_digest_comes_back_where_its_pepper_is(dragoman, clean):
    made = json.loads(dragoman("keys", "create", "--name", "alice", "--rpm", "7", "--json")[1])
    dragoman("export", "out", "--with-digests")
    with sqlite3.connect(clean / "home" / "dragoman.db") as connection:
        connection.execute("DELETE FROM keys")
    connection.close()
    told = json.loads(dragoman("import", "json", "out", "--json")[1])
    assert "keys.json: 1 keys." in told["done"]
    [key] = json.loads(dragoman("keys", "list", "--json")[1])["keys"]
    assert (key["id"], key["limits"]["rpm"]) == (made["id"], 7)


def test_tenants_projects_and_what_keys_may_do_come_back_with_them(dragoman, clean):
    def told(*arguments):
        code, out, err = dragoman(*arguments, "--json")
        assert code == 0, out + err
        return json.loads(out)

    told("tenants", "create", "acme", "--name", "Acme", "--models", "openai/*")
    told("projects", "create", "web", "--tenant", "acme", "--surfaces", "chat")
    key = told("keys", "create", "--name", "ci", "--tenant", "acme", "--project", "web",
               "--label", "blue", "--role", "tenant_admin", "--models", "openai/gpt-4o*")  # fmt: skip
    told("keys", "rotate", key["id"], "--overlap", "24")
    told("keys", "suspend", key["id"])
    told("projects", "suspend", "web", "--tenant", "acme")
    before = [told(*said) for said in (
        ("tenants", "list"), ("projects", "list"), ("keys", "list"))]  # fmt: skip
    dragoman("export", "plain")
    plain = (clean / "plain" / "keys.json").read_text()
    assert "digest" not in plain
    assert json.loads(plain)["data"][0]["scopes"] == {"models": ["openai/gpt-4o*"]}
    dragoman("export", "out", "--with-digests")
    rows = "SELECT digest, previous_digest, previous_pepper_version FROM keys"
    with sqlite3.connect(clean / "home" / "dragoman.db") as connection:
        digests = connection.execute(rows).fetchall()
        for table in ("keys", "tenants", "projects"):
            connection.execute(f"DELETE FROM {table}")
    connection.close()
    assert told("import", "json", "out")["done"][-1] == "keys.json: 1 keys."
    after = [told(*said) for said in (("tenants", "list"), ("projects", "list"), ("keys", "list"))]
    assert after == before
    with sqlite3.connect(clean / "home" / "dragoman.db") as connection:
        assert connection.execute(rows).fetchall() == digests
    connection.close()
    told("tenants", "update", "acme", "--models", "")
    left = told("import", "json", "out")["left"]
    assert "tenants acme: it is there with another scope or state, and was left as it is." in left


@pytest.mark.parametrize(
    ("scopes", "says"),
    [
        ({"models": "openai/*"}, "Expected `array"),
        ({"models": ["a"], "regions": ["eu"]}, "regions are not known here"),
        ({"permissions": ["everything"]}, "everything"),
    ],
)
def test_a_key_with_a_scope_that_is_not_understood_is_not_taken_as_one_without(
    dragoman, clean, scopes, says
):
    dragoman("keys", "create", "--name", "ci")
    dragoman("export", "out", "--with-digests")
    file = clean / "out" / "keys.json"
    content = json.loads(file.read_text())
    content["data"][0] |= {"id": "another0", "scopes": scopes, "digest": "0" * 64}
    file.write_text(json.dumps(content))
    code, out, _ = dragoman("import", "json", "out", "--json")
    assert code != 0
    assert says in json.loads(out)["error"]["message"]
    assert len(json.loads(dragoman("keys", "list", "--json")[1])["keys"]) == 1


def test_a_key_of_another_database_is_not_stored_where_it_would_open_nothing(
    dragoman, clean, monkeypatch
):
    dragoman("keys", "create", "--name", "alice")
    dragoman("export", "out", "--with-digests")
    monkeypatch.setenv("DRAGOMAN_HOME", str(clean / "other"))
    told = json.loads(dragoman("import", "json", "out", "--json")[1])
    assert "keys.json: 0 keys." in told["done"]
    assert any("another database's pepper" in each for each in told["left"])
    assert json.loads(dragoman("keys", "list", "--json")[1])["keys"] == []


def test_raw_keys_of_anygpt_are_stored_as_digests_and_told_by_number(dragoman, clean):
    (clean / "in").mkdir()
    raw = {
        "raw-key-number-one": {"userId": "u1", "role": "admin", "tokenUsage": 5, "tier": "pro"},
        "raw-key-number-two": {"userId": "u2", "role": "owner"},
        "short": {"userId": "u3"},
    }
    (clean / "in" / "keys.json").write_text(json.dumps(raw))
    code, out, _ = dragoman("import", "json", "in", "--tenant", "moved", "--json")
    assert code == 0
    assert "raw-key" not in out
    told = json.loads(out)
    assert told["done"] == ["keys.json: 2 keys, as digests. Delete the file: it holds them raw."]
    assert any("there is no role 'owner'" in each for each in told["left"])
    assert any("key 3 of 'u3'" in each and "8 to 256" in each for each in told["left"])
    keys = json.loads(dragoman("keys", "list", "--json")[1])["keys"]
    assert [(key["name"], key["role"], key["tenant"]) for key in keys] == [
        ("u1", "admin", "moved"),
        ("u2", "user", "moved"),
    ]
    home = b"".join(path.read_bytes() for path in (clean / "home").rglob("*") if path.is_file())
    assert b"raw-key-number" not in home
    # A second time nothing is stored twice.
    assert "0 keys" in dragoman("import", "json", "in", "--tenant", "moved")[1]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("tiers.json", '{"free": {"rpm": -1}}', "rpm"),
        ("tiers.json", '{"free": {"colour": 1}}', "colour"),
        ("providers.json", '[{"id": "x"}]', "apiKey"),
        ("models.json", '{"object": "list", "data": [{"id": "x"}]}', "object"),
        ("keys.json", '{"raw-secret-key": {"role": "user"}}', "userId"),
        ("keys.json", "[1]", "keys.json"),
    ],
)
@pytest.mark.req("R-STOR-009")
def test_a_file_that_is_not_of_its_shape_is_refused_before_anything_is_used(
    dragoman, clean, name, text, told
):
    (clean / "in").mkdir()
    (clean / "in" / "models.json").write_text('{"object": "list", "data": []}')
    (clean / "in" / name).write_text(text)
    code, _, err = dragoman("import", "json", "in")
    assert code == 1
    assert name in err
    assert told in err
    assert "raw-secret" not in err
    assert not (clean / "home" / "data").exists()
