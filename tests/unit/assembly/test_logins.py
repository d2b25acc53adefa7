"""Logins as a process is configured: Google's files, the operator's tables, and tokens that are renewed."""

import json
import stat
import time

import pytest
from cryptography.fernet import Fernet

from authorization_server import Family, authorization_server
from dragoman.assembly.logins import open_logins, tunnels_of
from dragoman.config.load import load_settings
from dragoman.config.settings import ConfigError
from dragoman.core.errors import HouseError

pytestmark = pytest.mark.req("R-CRED-001", "R-CRED-005")


@pytest.fixture
def server():
    with authorization_server() as up:
        yield up


@pytest.fixture
def told():
    return []


@pytest.fixture
def opened(tmp_path, monkeypatch, told):
    """Opens the logins with these tables."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DRAGOMAN_SECRETS", str(tmp_path / "secrets"))
    monkeypatch.setenv("DRAGOMAN_HOME", str(tmp_path / "home"))

    def opening(tables, env=None, **flags):
        settings = load_settings(flags, table={"oauth": tables})
        return open_logins(settings, env or {}, lambda *said: told.append(said))

    return opening


def google_at(server, **members):
    return {
        "token_url": f"{server.url}/token",
        "authorize_url": f"{server.url}/authorize",
        "revoke_url": f"{server.url}/revoke",
        **members,
    }


def put_google_files(server, folder, **members):
    """What the Cloud console gives out, and a token as Google's library has saved it."""
    folder.mkdir(mode=0o700, exist_ok=True)
    client = {"client_id": server.client_id, "client_secret": server.client_secret}
    (folder / "google_client_secret.json").write_text(json.dumps({"installed": client}))
    kept = server.issue(Family("https://www.googleapis.com/auth/drive.file"))
    file = folder / "google_creds.json"
    file.write_text(
        json.dumps(
            {
                "token": kept["access_token"],
                "refresh_token": kept["refresh_token"],
                "token_uri": f"{server.url}/token",
                **client,
                "scopes": ["https://www.googleapis.com/auth/drive.file"],
                "expiry": "2020-01-01T00:00:00Z",
                **members,
            }
        )
    )
    return file


def test_googles_files_are_read_and_an_old_token_is_renewed_and_saved(
    opened, server, tmp_path, told
):
    file = put_google_files(server, tmp_path / "secrets")
    server.rotate = False
    token = opened({"google": google_at(server)}).token("google")
    found = token.current()
    assert server.is_good(found.access.reveal())
    kept = json.loads(file.read_text())
    assert kept["token"] == found.access.reveal()
    assert kept["client_id"] == server.client_id, "Google's own library can go on with the file"
    assert kept["expiry"].endswith("Z")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert ("login renewed", "google", "") in told
    # They were open to all until now.
    assert [said[1] for said in told if "could be read by others" in said[0]]
    assert opened({"google": google_at(server)}).token("google").current() == found
    assert server.count("refresh_token") == 1


def test_a_token_is_renewed_by_the_client_that_it_was_given_to(opened, server, tmp_path):
    put_google_files(server, tmp_path / "secrets")
    other = {"installed": {"client_id": "another", "client_secret": "x"}}
    (tmp_path / "secrets" / "google_client_secret.json").write_text(json.dumps(other))
    logins = opened({"google": google_at(server)})
    assert logins.token("google").current()
    assert logins.login("google").client_id == "another", "a new login is the new client's"


def test_a_client_file_of_another_kind_is_told(opened, server, tmp_path):
    put_google_files(server, tmp_path / "secrets")
    (tmp_path / "secrets" / "google_client_secret.json").write_text('{"type": "service_account"}')
    with pytest.raises(HouseError, match=r"google_client_secret\.json is no client of Google's"):
        opened({"google": google_at(server)}).token("google")


def test_without_a_login_the_command_is_told(opened, server):
    with pytest.raises(
        HouseError, match="There is no login for google; log in first: dragoman reauth google"
    ):
        opened({"google": google_at(server)}).token("google").current()


def test_what_a_client_is_can_be_said_by_the_environment(opened):
    env = {"GOOGLE_CLIENT_ID": "id-1", "OB1_TOKEN_URL": "https://id.example.com/token"}
    logins = opened({}, env)
    assert logins.login("google").client_id == "id-1"
    assert logins.login("ob1").token_url == "https://id.example.com/token"


def test_tokens_are_sealed_where_a_key_is_set(opened, server, tmp_path):
    key = Fernet.generate_key().decode()
    logins = opened({"own": server.login_table(grant="client_credentials")}, fernet_key=key)
    token = logins.token("own").current()
    kept = (tmp_path / "secrets" / "oauth" / "own.json").read_text()
    assert token.access.reveal() not in kept
    assert logins.token("own").current() == token
    assert server.count("client_credentials") == 1


def test_a_token_of_ones_own_is_fetched_again_before_it_ends(opened, server):
    logins = opened({"own": server.login_table(grant="client_credentials", refresh_buffer_s=100)})
    token = logins.token("own")
    first = token.current()
    assert token.current() is first
    server.lasts_s = 1000
    token.keep(type(first)(access=first.access, expires_at=time.time() + 50))
    assert token.current().access != first.access
    assert server.count("client_credentials") == 2


def test_who_we_are_not_is_no_end_of_a_login(opened, server):
    logins = opened({"own": server.login_table(client_secret="wrong")})
    kept = server.issue(Family("read"))
    table = logins.shelf(logins.login("own"))
    table.path.parent.mkdir(parents=True)
    table.path.write_text(json.dumps({**kept, "expires_at": 1}))
    with pytest.raises(HouseError, match=r"invalid_client.*see to client_id and client_secret"):
        logins.token("own").current()
    assert "login_again" not in json.loads(table.path.read_text())


def test_a_wrong_name_is_told_with_the_nearest(opened):
    with pytest.raises(ConfigError, match="called 'gogle'; did you mean 'google'"):
        opened({}).login("gogle")
    with pytest.raises(ConfigError, match=r"\[oauth.own\]: token_url is missing"):
        opened({"own": {}})


@pytest.mark.req("R-CRED-013")
def test_a_proxy_is_for_the_hosts_of_those_that_have_accounts(opened, tmp_path):
    logins = opened({})
    settings = load_settings({"ob1_proxy_url": "http://u:s3cret@proxy.internal:3128"})
    found = tunnels_of(settings, logins.known, {"ob1": "https://ob1.example.com/v1"})
    assert set(found) == {"ob1.example.com", "api.workos.com", "dashboard.openblocklabs.com"}
    assert {(each.host, each.port) for each in found.values()} == {("proxy.internal", 3128)}
    assert tunnels_of(load_settings({}), logins.known) == {}
    for wrong, told in (
        ({"ob1_proxy_url": "s3cret"}, "OB1_PROXY_URL: say it as"),
        ({"ob1_proxy_url": "http://p:1", "upstream_client": "ry"}, "needs UPSTREAM_CLIENT=direct"),
    ):
        with pytest.raises(ConfigError, match=told) as caught:
            tunnels_of(load_settings(wrong), logins.known)
        assert "s3cret" not in caught.value.message
