"""Keys and logins from the command line: the real program, the mock provider, and a fake of Google and of OB-1."""

import json
import os
import re
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import forge
from authorization_server import Family, authorization_server
from browsing import browse
from servers import _KEEP

KEY = "sk-or-v1-mock0123456789abcdef0123456789abcdef"


@pytest.fixture
def server():
    with authorization_server() as up:
        yield up


class Program:
    """The program, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.secrets = folder / "secrets"
        self.env = {
            **{name: value for name, value in os.environ.items() if name in _KEEP},
            "HOME": str(folder),
            "DRAGOMAN_HOME": str(folder / "home"),
            "DRAGOMAN_SECRETS": str(self.secrets),
        }

    def __call__(self, *arguments, given="", **env):
        done = forge.run(arguments, env={**self.env, **env}, cwd=self.folder, given=given)
        return done.returncode, done.stdout, done.stderr

    def ok(self, *arguments, **more):
        code, out, err = self(*arguments, **more)
        assert code == 0, (code, out, err)
        return out

    def logs_in(self, *arguments, visit):
        """Runs a command that prints where to go, and goes there."""
        out = self.folder / "login.out"
        reading, writing = os.pipe()
        with out.open("wb") as said, os.fdopen(writing, "wb") as told:
            process = forge.spawn(
                arguments, env=self.env, cwd=self.folder, stdout=said, stderr=told
            )
        shown = ""
        with os.fdopen(reading, encoding="utf-8") as lines:
            for line in lines:
                shown += line
                if found := re.search(r"http://\S+", line):
                    visit(found.group())
                    break
            shown += lines.read()
        return process.wait(60), out.read_text(), shown

    def config(self, text):
        (self.folder / "dragoman.toml").write_text(text)


@pytest.fixture
def dragoman(tmp_path):
    return Program(tmp_path)


def at_mock(mock):
    return {"OPENROUTER_BASE_URL": f"http://127.0.0.1:{mock.port}/openrouter/api/v1"}


def google_toml(server) -> str:
    return (
        "[oauth.google]\n"
        f'authorize_url = "{server.url}/authorize"\n'
        f'token_url = "{server.url}/token"\n'
        f'revoke_url = "{server.url}/revoke"\n'
        'redirect = "http://127.0.0.1:0/"\n'
    )


def put_client(program, server):
    program.secrets.mkdir(mode=0o700, exist_ok=True)
    client = {"client_id": server.client_id, "client_secret": server.client_secret}
    file = program.secrets / "google_client_secret.json"
    file.write_text(json.dumps({"installed": client}))
    file.chmod(0o600)


@pytest.mark.req("R-CLI-002", "R-CLI-009", "R-CLI-010", "R-CRED-002", "R-CRED-004", "R-ADD-009")
def test_a_key_is_stored_found_shown_masked_and_removed(dragoman):
    dragoman.ok("init")
    assert stat.S_IMODE((dragoman.secrets).stat().st_mode) == 0o700
    first = (dragoman.secrets / ".env").read_text()
    assert "#OPENROUTER_API_KEY=" in first
    out = dragoman.ok("set-key", "openrouter", given=KEY + "\n")
    assert KEY not in out
    assert dragoman.ok("get-key").startswith("openrouter: sk-or-****cdef  (from ")
    assert dragoman.ok("get-key", "openrouter", "--reveal").strip() == KEY
    told = json.loads(dragoman.ok("get-key", "--json"))
    assert (told["key"], told["masked"]) == ("sk-or-****cdef", True)
    assert told["place"] == str(dragoman.secrets / ".env")
    rows = json.loads(dragoman.ok("list-providers", "--json"))["providers"]
    assert {row["provider"]: row["place"] for row in rows}["openrouter"] == told["place"]
    assert {row["provider"] for row in rows} >= {"openai", "anthropic", "google", "ollama"}
    # The shell's goes before it, and that is said.
    out = dragoman.ok("set-key", "openrouter", given=KEY, OPENROUTER_API_KEY="sk-or-v1-other")
    assert "goes before it" in out
    assert dragoman.ok("get-key", OPENROUTER_API_KEY=KEY[:-4] + "1234").startswith(
        "openrouter: sk-or-****1234  (from OPENROUTER_API_KEY)"
    )
    assert dragoman("init")[0] == 1, "./.env is there"
    assert KEY in (dragoman.secrets / ".env").read_text(), "nor is the other ever overwritten"
    dragoman.ok("set-key", "openrouter", "--remove")
    code, _, err = dragoman("get-key")
    assert (code, "There is no key of openrouter: set OPENROUTER_API_KEY" in err) == (1, True)


@pytest.mark.req("R-CRED-003", "R-CRED-004")
def test_a_key_that_two_places_say_differently_is_told_without_it(dragoman, mock):
    dragoman.ok("set-key", "openrouter", given=KEY)
    dragoman.env |= at_mock(mock)
    other = KEY[:-4] + "1234"
    out = dragoman.ok("validate", "openrouter", OPENROUTER_API_KEY=other)
    place = dragoman.secrets / ".env"
    told = f"OPENROUTER_API_KEY is one in the environment, which is used, and another in {place}."
    assert f"! key openrouter: {told}" in out
    assert not [each for each in (KEY[10:], other[10:]) if each in out]
    (dragoman.folder / ".env").write_text(f"OPENROUTER_API_KEY={other}\n")
    assert "is one in .env, which is used" in dragoman.ok("validate")
    (dragoman.folder / ".env").write_text(f"OPENROUTER_API_KEY={KEY}\n")
    assert "which is used" not in dragoman.ok("validate")


@pytest.mark.req("R-AUTH-011")
def test_every_look_at_a_key_is_logged_without_it(dragoman):
    dragoman.ok("set-key", "openrouter", given=KEY)
    dragoman.ok("get-key", "--reveal")
    dragoman("get-key", "groq")
    log = (dragoman.folder / "home" / "logs" / "credentials.jsonl").read_text()
    lines = [json.loads(line) for line in log.splitlines()]
    assert [(line["provider"], line["place"]) for line in lines] == [
        ("openrouter", str(dragoman.secrets / ".env")),
        ("groq", None),
    ]
    assert KEY not in log


@pytest.mark.req("R-CRED-003", "R-ADD-008")
@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("sk-wrong-0123456789abcdef0123456789abcdef", "keys of openrouter begin with sk-or-v1-"),
        ("sk-or-v1-short", "keys of openrouter have at least 40 characters"),
    ],
)
def test_what_does_not_look_like_a_key_is_not_stored_unless_it_is_meant(dragoman, key, told):
    code, _, err = dragoman("set-key", "openrouter", given=key)
    assert (code, told in err) == (1, True)
    assert not (dragoman.secrets / ".env").exists()
    dragoman.ok("set-key", "openrouter", "--force", given=key)
    assert told in dragoman.ok("get-key").replace("Keys", "keys")


def test_a_provider_that_nobody_knows_is_told_with_the_nearest(dragoman):
    for command in ("get-key", "set-key", "validate", "test"):
        code, _, err = dragoman(command, "openruter", given=KEY)
        assert (code, "did you mean 'openrouter'" in err) == (1, True), command


@pytest.mark.req("R-CLI-003", "R-CLI-005", "R-CRED-003")
def test_a_key_is_tried_at_its_provider(dragoman, mock):
    base = at_mock(mock)
    code, out, _ = dragoman("validate", **base)
    assert (code, out) == (
        1,
        "Nothing is configured: store a key by dragoman set-key PROVIDER.\n",
    )
    assert dragoman("test", **base)[0] == 1
    dragoman.ok("set-key", "openrouter", given=KEY)
    out = dragoman.ok("validate", **base)
    assert re.fullmatch(r"✓ key openrouter: found in \S+; it was accepted\n", out)
    assert dragoman.ok("test", **base).startswith("✓ openrouter: it was accepted (")
    assert json.loads(dragoman.ok("test", "openrouter", "--json", **base))["connected"] is True
    dragoman.ok("set-key", "openrouter", "--force", given="invalid")
    for command in ("validate", "test"):
        code, out, _ = dragoman(command, **base)
        assert (code, "it was refused (401)" in out) == (1, True)
    down = {"OPENROUTER_BASE_URL": "http://127.0.0.1:9/api/v1"}
    code, out, _ = dragoman("validate", "openrouter", "--json", **down)
    (finding,) = json.loads(out)["findings"]
    assert (code, finding["state"]) == (1, "fail")
    assert "127.0.0.1 cannot be reached: Connection refused" in finding["text"]
    assert dragoman("validate", "--offline", **down)[0] == 1, "its form is still wrong"


@pytest.mark.req("R-CRED-001", "R-CRED-004")
def test_the_gateway_serves_with_what_was_stored(dragoman, mock):
    dragoman.ok("set-key", "openrouter", given=KEY)
    told = json.loads(dragoman.ok("models", "--provider", "openrouter", "--json", **at_mock(mock)))
    assert told["models"]
    assert all(row["configured"] for row in told["models"])


@pytest.mark.req("R-CLI-003", "R-CLI-004", "R-CRED-005", "R-ADD-011")
def test_google_from_the_first_login_to_the_last(dragoman, server):
    dragoman.config(google_toml(server))
    code, _, err = dragoman("reauth", "google")
    assert (code, "put google_client_secret.json into the secrets folder" in err) == (1, True)
    code, out, _ = dragoman("validate", "google")
    assert (code, "log in first: dragoman reauth google" in out) == (1, True)
    put_client(dragoman, server)
    code, out, err = dragoman.logs_in("reauth", "google", visit=browse)
    assert code == 0, err
    assert "google: logged in" in out
    file = dragoman.secrets / "google_creds.json"
    kept = json.loads(file.read_text())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert server.is_good(kept["token"])
    assert (kept["client_id"], kept["type"]) == (server.client_id, "authorized_user")
    asked = server.forms("/authorize")[0]
    assert (asked["access_type"], asked["prompt"]) == ("offline", "consent")
    assert asked["scope"].split() == [
        "https://www.googleapis.com/auth/drive.file",
        "https://www.googleapis.com/auth/calendar.readonly",
    ]
    assert dragoman.ok("validate", "google") == "✓ login google: the login is good (renewed)\n"
    assert "google: renewed" in dragoman.ok("reauth", "google")
    (row,) = json.loads(dragoman.ok("auth", "status", "google", "--json"))["logins"]
    assert row["state"] == "good"
    assert kept["token"] not in str(row)
    server.revoke_all()
    code, out, _ = dragoman("validate", "google")
    assert code == 1
    assert "was revoked or has ended" in out
    assert out.endswith("log in again: dragoman reauth google\n")
    assert dragoman("auth", "status", "google")[0] == 1
    code, out, err = dragoman.logs_in("reauth", "google", visit=browse)
    assert (code, "google: logged in" in out) == (0, True), err
    assert "taken back, there and here" in dragoman.ok("auth", "revoke", "google")
    assert not file.exists()
    assert not server.is_good(kept["token"])
    log = (dragoman.folder / "home" / "logs" / "credentials.jsonl").read_text()
    assert '"event":"login lost"' in log
    assert not [token for token in (*server.access, *server.used, *server.refresh) if token in log]


@pytest.mark.req("R-CRED-005")
def test_a_person_who_says_no_ends_the_command_with_the_word_for_it(dragoman, server):
    dragoman.config(google_toml(server))
    put_client(dragoman, server)
    server.denied = True
    code, _, err = dragoman.logs_in("reauth", "google", visit=browse)
    assert (code, "google refused: access_denied." in err) == (1, True)
    assert not (dragoman.secrets / "google_creds.json").exists()


def own_toml(server, **members) -> str:
    table = server.login_table(**members)
    return "[oauth.acme]\n" + "".join(
        f"{name} = {json.dumps(value)}\n" for name, value in table.items()
    )


@pytest.mark.req("R-CRED-005", "R-CRED-012")
def test_a_place_of_ones_own_is_a_table(dragoman, server):
    dragoman.config(own_toml(server, grant="client_credentials"))
    assert "Logged in at acme." in dragoman.ok("auth", "login", "acme")
    (row,) = json.loads(dragoman.ok("auth", "status", "acme", "--json"))["logins"]
    assert row["state"] == "good"
    server.issuer = "https://acme.example.com"
    dragoman.config(own_toml(server, issuer="https://acme.example.com"))
    code, out, err = dragoman.logs_in("auth", "login", "acme", "--no-browser", visit=browse)
    assert (code, "Logged in at acme." in out) == (0, True), err
    code, _, err = dragoman("auth", "login", "acmee")
    assert (code, "did you mean 'acme'" in err) == (1, True)
    dragoman.config(own_toml(server, tokn_url="x"))
    code, _, err = dragoman("auth", "status")
    assert (code, "dragoman.toml: [oauth.acme]: unknown member 'tokn_url'" in err) == (1, True)


def ob1_env(server) -> dict[str, str]:
    return {
        "OB1_TOKEN_URL": f"{server.url}/token",
        "OB1_DEVICE_URL": f"{server.url}/device",
        "OB1_ORGANIZATIONS_URL": f"{server.url}/organizations",
        "OB1_CLIENT_ID": server.client_id,
    }


@pytest.mark.req("R-CRED-010", "R-CRED-012", "R-CRED-014", "R-OB1-002")
def test_accounts_of_ob1_are_logged_in_by_a_code(dragoman, server):
    server.public = True
    dragoman.env.update(ob1_env(server))
    code, _, err = dragoman("ob1", "status")
    assert (code, err) == (1, "No valid OB-1 token. Run ob1 auth to login.\n")
    for name in ("ada@example.com", "bob@example.com"):
        server.typed = False
        server.extra = {"user": {"id": name[:3], "email": name}, "organization_id": "org_1"}

        def type_it(url):
            threading.Timer(0.2, setattr, (server, "typed", True)).start()

        code, out, err = dragoman.logs_in("ob1", "auth", "--no-browser", visit=type_it)
        assert code == 0, err
        assert "type the code WDJB-MJHT" in err
        assert f"Logged in at OB-1 as {name}." in out
    file = dragoman.secrets / "config" / "accounts.json"
    kept = json.loads(file.read_text())
    assert [(each["email"], each["org_id"]) for each in kept] == [
        ("ada@example.com", "org_1"),
        ("bob@example.com", "org_1"),
    ]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    out = dragoman.ok("ob1", "accounts", "--json")
    assert [row["state"] for row in json.loads(out)["accounts"]] == ["good", "good"]
    assert not [token for token in server.access if token in out]
    assert "2 of 2 accounts have a good login" in dragoman.ok("ob1", "status")
    assert dragoman.ok("validate", "ob1").count("✓ login ob1 ") == 2
    assert server.count("refresh_token") == 2
    assert "bob@example.com is forgotten here." in dragoman.ok(
        "ob1", "accounts", "--remove", "bob@example.com"
    )
    kept = dragoman.ok("ob1", "export")
    (dragoman.folder / "moved.json").write_text(kept)
    told = json.loads(dragoman.ok("ob1", "refresh", "--json"))["accounts"]
    assert told == [{"account": "ada@example.com", "renewed": True, "why": None}]
    code, _, err = dragoman("ob1", "refresh", "--account", "nobody")
    assert (code, err) == (1, "There is no account 'nobody'.\n")
    assert json.loads(dragoman.ok("ob1", "export"))["accounts"] != json.loads(kept)["accounts"]
    told = json.loads(dragoman.ok("ob1", "import", "moved.json", "--json"))
    assert told == {"added": [], "replaced": ["ada@example.com"]}
    assert dragoman.ok("ob1", "export") == kept
    for wrong in ("[]", '[{"email": "a"}]', "{", '{"accounts": [1]}'):
        code, _, err = dragoman("ob1", "import", "-", given=wrong)
        assert (code, "cannot be read" in err) == (1, False)
    nameless = json.dumps([json.loads(kept)["accounts"][0], {"access_token": "of-nobody"}])
    code, _, err = dragoman("ob1", "import", "-", given=nameless)
    assert (code, "no email and no user_id" in err) == (1, True)
    assert dragoman.ok("ob1", "export") == kept, "nothing was taken over"
    code, _, err = dragoman("auth", "revoke", "ob1")
    assert (code, "it is one of: ada@example.com" in err) == (1, True)
    dragoman.ok("auth", "revoke", "ob1", "--account", "ada@example.com")
    assert json.loads(file.read_text()) == []


@pytest.mark.req("R-CRED-001")
def test_a_secret_that_others_could_read_is_mended_and_told(dragoman, server):
    dragoman.config(google_toml(server))
    put_client(dragoman, server)
    kept = server.issue(Family("x"))
    file = dragoman.secrets / "google_creds.json"
    file.write_text(
        json.dumps({"token": kept["access_token"], "refresh_token": kept["refresh_token"]})
    )
    file.chmod(0o644)
    _, _, err = dragoman("auth", "status", "google")
    assert f"{file}: a secret could be read by others until now; consider it known." in err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_without_the_extra_the_command_that_installs_it_is_told(dragoman, server):
    dragoman.config(own_toml(server, grant="client_credentials"))
    absent = dragoman.folder / "absent" / "oauthlib"
    absent.mkdir(parents=True)
    (absent / "__init__.py").write_text("raise ModuleNotFoundError('oauthlib')")
    code, _, err = dragoman("auth", "login", "acme", PYTHONPATH=str(absent.parent))
    assert (code, "pip install 'dragoman[oauth]'" in err) == (1, True)


@pytest.mark.parametrize(
    "command",
    [
        *("get-key", "set-key", "list-providers", "validate", "test", "reauth"),
        *("auth", "auth login", "auth status", "auth revoke"),
        *("ob1", "ob1 auth", "ob1 status", "ob1 accounts"),
    ],
)
def test_help_of_each_shows_how_it_is_called(dragoman, command):
    out = dragoman.ok(*command.split(), "--help")
    assert f"dragoman {command.split()[0]}" in out


@pytest.mark.req("R-CRED-004")
@pytest.mark.parametrize("file", [".env", "dragoman.toml"])
def test_a_stored_key_goes_to_no_address_that_a_strangers_folder_names(dragoman, mock, file):
    """Who clones a project and runs a command in it does not send its author a key of all folders (F12)."""
    dragoman.ok("set-key", "openrouter", given=KEY)
    url = at_mock(mock)["OPENROUTER_BASE_URL"]
    row = f'[[providers]]\nname = "openrouter"\nbase_url = "{url}"\n'
    text = {".env": f"OPENROUTER_BASE_URL={url}\n", "dragoman.toml": row}[file]
    (dragoman.folder / file).write_text(text)
    seen = len(mock.ask("GET", "/mock/truth", key=None).json()["requests"])
    for command in (
        ("test",),
        ("validate", "openrouter"),
        ("call", "hi", "--model", "openrouter/x"),
    ):
        code, out, err = dragoman(*command)
        assert code != 0, out
        assert file in out + err
        assert "is stored for all folders" in out + err
        assert KEY not in out + err
    assert len(mock.ask("GET", "/mock/truth", key=None).json()["requests"]) == seen
    # What is said on purpose is meant.
    meant = (
        {"OPENROUTER_BASE_URL": url} if file == ".env" else {"DRAGOMAN_CONFIG": "dragoman.toml"}
    )
    assert "accepted" in dragoman.ok("validate", "openrouter", **meant)


@pytest.mark.req("R-CRED-001", "R-CRED-004", "R-CRED-005")
def test_keys_and_logins_in_the_systems_keyring(dragoman, server):
    """The real program and the real library, with a keyring in a file of the test's."""
    ring = dragoman.folder / "ring.json"
    dragoman.env |= {
        "CREDENTIAL_STORE": "keyring",
        "PYTHON_KEYRING_BACKEND": "file_ring.FileRing",
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "FILE_RING": str(ring),
    }

    def run(*arguments, given=""):
        # Started anew each time: a library that finds its backend once must find this one.
        return subprocess.run(
            [sys.executable, "-m", "dragoman", *arguments], env=dragoman.env, cwd=dragoman.folder,
            input=given, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    done = run("set-key", "openrouter", given=KEY)
    assert done.returncode == 0, done.stderr
    assert "the system's keyring" in done.stdout
    assert json.loads(ring.read_text()) == {"dragoman/OPENROUTER_API_KEY": KEY}
    found = json.loads(run("get-key", "openrouter", "--json").stdout)
    assert (found["key"], found["place"]) == ("sk-or-****cdef", "the system's keyring")
    dragoman.config(own_toml(server, grant="client_credentials"))
    done = run("auth", "login", "acme")
    assert done.returncode == 0, done.stderr
    # What is sealed with the ring's own key is read by the next process, and by nobody without the ring.
    sealed = json.loads((dragoman.secrets / "oauth" / "acme.json").read_text())
    assert list(sealed) == ["sealed"]
    assert "dragoman/key of the logins" in json.loads(ring.read_text())
    assert run("auth", "status", "acme").returncode == 0
    ring.with_suffix(".locked").touch()
    told = run("get-key", "openrouter")
    assert told.returncode != 0
    assert "KeyringLocked" in told.stderr
    assert "Traceback" not in told.stderr
