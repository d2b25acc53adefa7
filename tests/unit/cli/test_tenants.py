"""Tenants, projects and keys as the command line manages them, on the database itself."""

import json
import time

import pytest

pytestmark = [
    pytest.mark.req("R-AUTH-008", "R-AUTH-012", "R-CLI-020"),
    pytest.mark.usefixtures("tables"),
]


def told(dragoman, *arguments):
    code, out, err = dragoman(*arguments, "--json")
    assert code == 0, out + err
    return json.loads(out)


def refusal(dragoman, *arguments):
    code, out, _ = dragoman(*arguments, "--json")
    assert code != 0
    return json.loads(out)["error"]["message"]


def test_a_tenant_is_made_changed_suspended_and_resumed(dragoman):
    made = told(
        dragoman, "tenants", "create", "acme", "--name", "Acme Inc.", "--models", "openai/*"
    )
    assert (made["id"], made["name"], made["suspended"]) == ("acme", "Acme Inc.", None)
    assert made["scope"] == {"models": ["openai/*"], "surfaces": None, "permissions": None}
    assert told(dragoman, "tenants", "show", "acme") == made
    changed = told(dragoman, "tenants", "update", "acme", "--surfaces", "chat, anthropic")
    assert changed["scope"]["models"] == ["openai/*"], "what is not said stays"
    assert changed["scope"]["surfaces"] == ["chat", "anthropic"]
    assert told(dragoman, "tenants", "update", "acme", "--models", "")["scope"]["models"] is None
    assert told(dragoman, "tenants", "suspend", "acme")["suspended"] > 0
    assert told(dragoman, "tenants", "resume", "acme")["suspended"] is None
    assert [each["id"] for each in told(dragoman, "tenants", "list")["tenants"]] == ["acme"]
    assert "Acme Inc." in dragoman("tenants", "list")[1]
    assert "is made: active" in dragoman("tenants", "create", "other")[1]


def test_a_project_is_its_tenants(dragoman):
    assert "No tenant" in refusal(dragoman, "projects", "create", "web", "--tenant", "acme")
    told(dragoman, "tenants", "create", "acme")
    made = told(
        dragoman, "projects", "create", "web", "--tenant", "acme", "--permissions", "usage"
    )
    assert (made["tenant"], made["scope"]["permissions"]) == ("acme", ["usage"])
    assert told(dragoman, "projects", "show", "web", "--tenant", "acme") == made
    assert "has no project 'web'" in refusal(dragoman, "projects", "show", "web")
    named = told(dragoman, "projects", "update", "web", "--tenant", "acme", "--name", "The web")
    assert named["name"] == "The web"
    assert told(dragoman, "projects", "suspend", "web", "--tenant", "acme")["suspended"]
    assert told(dragoman, "projects", "resume", "web", "--tenant", "acme")["suspended"] is None
    listed = told(dragoman, "projects", "list", "--tenant", "acme")["projects"]
    assert [each["id"] for each in listed] == ["default", "web"]
    assert "The web" in dragoman("projects", "list")[1]
    assert "of the tenant 'acme'" in dragoman("projects", "show", "web", "--tenant", "acme")[1]


@pytest.mark.parametrize(
    "command",
    [("tenants", verb, "nobody") for verb in ("show", "update", "suspend", "resume")]
    + [("projects", verb, "nobody") for verb in ("show", "update", "suspend", "resume")]
    + [("keys", verb, "nobody") for verb in ("show", "update", "rotate", "suspend", "resume")],
)
def test_what_is_not_there_is_said_so_and_made_by_nothing(dragoman, command):
    assert "nobody" in refusal(dragoman, *command)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--permissions", "everything"), "completions, models, services, usage, tenant, admin"),
        (("--surfaces", "soap"), "chat, completions, responses, anthropic, gemini, ollama"),
        (("--models", "x" * 300), "1 to 256 printable"),
    ],
)
def test_a_word_that_no_scope_has_is_refused_with_those_that_there_are(dragoman, arguments, says):
    assert says in refusal(dragoman, "tenants", "create", "acme", *arguments)
    assert says in refusal(dragoman, "keys", "create", "--name", "x", *arguments)


def test_there_are_no_places_before_the_first_one(dragoman):
    assert "Make one: dragoman tenants create acme" in dragoman("tenants", "list")[1]
    assert "Make one: dragoman projects create" in dragoman("projects", "list")[1]


def test_a_key_is_changed_where_something_is_said_and_nowhere_else(dragoman):
    told(dragoman, "tenants", "create", "acme")
    told(dragoman, "projects", "create", "web", "--tenant", "acme")
    key = told(
        dragoman, "keys", "create", "--name", "ci", "--tenant", "acme", "--project", "web",
        "--label", "blue", "--role", "tenant_admin", "--rpm", "5", "--tpm", "9",
        "--models", "openai/*", "--permissions", "completions",
    )  # fmt: skip
    assert (key["project"], key["label"], key["role"]) == ("web", "blue", "tenant_admin")
    shown = told(dragoman, "keys", "show", key["id"])
    of_making = {"key", "home", "made_tenant"}
    assert {name: value for name, value in key.items() if name not in of_making} == shown
    changed = told(dragoman, "keys", "update", key["id"], "--rpm", "7", "--surfaces", "chat")
    assert (changed["limits"]["rpm"], changed["limits"]["tpm"]) == (7, 9)
    assert changed["scope"] == {
        "models": ["openai/*"],
        "surfaces": ["chat"],
        "permissions": ["completions"],
    }
    moved = told(
        dragoman, "keys", "update", key["id"], "--project", "default", "--label", "",
        "--role", "user", "--tier-limits", "--expires", "2", "--name", "new",
    )  # fmt: skip
    assert (moved["project"], moved["label"], moved["role"], moved["name"]) == (
        "default",
        None,
        "user",
        "new",
    )
    assert not any(moved["limits"].values())
    assert moved["expires"] == pytest.approx(time.time() + 2 * 86400, abs=60)
    assert told(dragoman, "keys", "update", key["id"], "--expires", "0")["expires"] is None
    assert "has no project" in refusal(dragoman, "keys", "update", key["id"], "--project", "no")
    assert "Say limits" in refusal(
        dragoman, "keys", "update", key["id"], "--rpm", "1", "--tier-limits"
    )
    assert "no tier" in refusal(dragoman, "keys", "update", key["id"], "--tier", "gold").lower()


def test_a_key_is_suspended_resumed_and_given_another_secret(dragoman):
    key = told(dragoman, "keys", "create", "--name", "ci")
    assert told(dragoman, "keys", "suspend", key["id"])["suspended"] > 0
    assert "suspended" in dragoman("keys", "list")[1]
    assert told(dragoman, "keys", "resume", key["id"])["suspended"] is None
    new = told(dragoman, "keys", "rotate", key["id"], "--overlap", "24")
    assert new["id"] == key["id"]
    assert new["key"] != key["key"]
    assert new["previous_until"] == pytest.approx(time.time() + 86400, abs=60)
    out = dragoman("keys", "show", key["id"])[1]
    assert "The secret that it had before counts for" in out
    assert new["key"] not in out
    _, out, err = dragoman("keys", "rotate", key["id"])
    assert out.startswith(f"drg_{key['id']}_")
    assert out.split() == [out.rstrip("\n")], "the key alone, for $(…)"
    assert "not shown again" in err
    told(dragoman, "keys", "revoke", key["id"])
    assert "revoked" in refusal(dragoman, "keys", "rotate", key["id"])


def test_whatever_is_changed_here_stands_in_the_audit_log(dragoman, clean):
    """As what administrators do over HTTP: it was before it was done, and how it ended (K13)."""
    told(dragoman, "tenants", "create", "acme")
    told(dragoman, "projects", "create", "web", "--tenant", "acme")
    made = told(dragoman, "keys", "create", "--name", "ci", "--tenant", "acme", "--role", "admin")
    key = made["id"]
    told(dragoman, "keys", "update", key, "--label", "blue")
    rotated = told(dragoman, "keys", "rotate", key)
    told(dragoman, "budgets", "set", "team", "--monthly", "5")
    told(dragoman, "budgets", "remove", "team")
    told(dragoman, "keys", "suspend", key)
    told(dragoman, "keys", "resume", key)
    told(dragoman, "keys", "revoke", key)
    told(dragoman, "projects", "suspend", "web", "--tenant", "acme")
    refusal(dragoman, "tenants", "delete", "acme", "--yes")
    told(dragoman, "projects", "delete", "web", "--tenant", "acme", "--yes")
    (clean / "in").mkdir()
    (clean / "in" / "keys.json").write_text(
        '{"a-raw-key-of-theirs": {"userId": "u", "role": "user"}}'
    )
    told(dragoman, "import", "json", str(clean / "in"))
    page = told(dragoman, "audit", "list", "--limit", "100")["entries"]
    deeds = [(each["deed"]["action"], each["deed"]["outcome"]) for each in reversed(page)]
    ended = [action for action, outcome in deeds if outcome in {"done", "failed"}]
    assert ended == [
        "tenant.create",
        "project.create",
        "api_key.create",
        "api_key.update",
        "api_key.rotate",
        "budget.set",
        "budget.remove",
        "api_key.suspend",
        "api_key.resume",
        "api_key.revoke",
        "project.suspend",
        "tenant.delete",
        "project.delete",
        "api_key.import",
    ]
    assert deeds.count(("tenant.delete", "failed")) == 1
    assert [outcome for _, outcome in deeds].count("begun") == len(ended)
    of_key = [each["deed"] for each in page if each["deed"]["action"] == "api_key.update"]
    assert json.loads(of_key[0]["after"])["label"] == "blue"
    assert json.loads(of_key[1]["before"])["label"] is None
    assert (of_key[0]["actor"], of_key[0]["tenant"], of_key[0]["target"]) == ("-", "acme", key)
    assert made["key"] not in str(page)
    assert rotated["key"] not in str(page)
    assert "a-raw-key-of-theirs" not in str(page)
    assert dragoman("audit", "verify")[0] == 0


def test_what_is_deleted_was_suspended_before_and_is_meant(dragoman):
    told(dragoman, "tenants", "create", "acme")
    key = told(dragoman, "keys", "create", "--name", "Alice", "--tenant", "acme")
    told(dragoman, "projects", "create", "web", "--tenant", "acme")
    assert "say --yes" in refusal(dragoman, "tenants", "delete", "acme")
    assert "suspend it first" in refusal(dragoman, "tenants", "delete", "acme", "--yes")
    assert "suspend it first" in refusal(
        dragoman, "projects", "delete", "web", "--tenant", "acme", "--yes"
    )
    told(dragoman, "projects", "suspend", "web", "--tenant", "acme")
    told(dragoman, "projects", "delete", "web", "--tenant", "acme", "--yes")
    assert "has no project" in refusal(dragoman, "projects", "show", "web", "--tenant", "acme")
    told(dragoman, "tenants", "suspend", "acme")
    assert "is deleted" in dragoman("tenants", "delete", "acme", "--yes")[1]
    assert told(dragoman, "tenants", "list")["tenants"] == []
    assert "deleted" in dragoman("tenants", "list", "--deleted")[1]
    assert told(dragoman, "tenants", "show", "acme")["deleted"] > 0
    left = told(dragoman, "keys", "show", key["id"])
    assert (left["name"], left["revoked"] is not None) == ("deleted", True)
    assert "was deleted" in refusal(dragoman, "tenants", "create", "acme")
    assert "was deleted" in refusal(dragoman, "keys", "create", "--name", "x", "--tenant", "acme")
    assert "There is no tenant" in refusal(dragoman, "tenants", "delete", "nobody", "--yes")
