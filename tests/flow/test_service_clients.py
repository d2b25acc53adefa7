"""A program calls any REST API that a TOML file describes, with a key or a login (R-CRED-004, 006)."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

import dragoman
from dragoman.clients.rest import ServiceError
from dragoman.core.errors import CallerError, GatewayError, UpstreamError
from dragoman.core.secret import Secret
from dragoman.credentials.token import Token
from replay import Answer, replaying

pytestmark = pytest.mark.req("R-CRED-006", "R-CRED-008")


class Tokens:
    """A login whose token is refused once."""

    def __init__(self, *values):
        self.values = list(values)

    def current(self):
        return Token(access=Secret(self.values[0]))

    def renewed(self, refused):
        assert refused == self.values[0]
        self.values.pop(0)
        return self.current()


@pytest.fixture
def upstream(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DRAGOMAN_SECRETS", str(tmp_path / "secrets"))
    monkeypatch.setenv("DRAGOMAN_HOME", str(tmp_path / "home"))
    for name in ("GITHUB_TOKEN", "GH_TOKEN", "DRAGOMAN_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    with replaying() as found:
        found.answers[""] = Answer(b'{"login":"me"}')
        found.listing = Answer(b'{"login":"me"}')
        yield found


def adjusted(tmp_path, upstream, **members):
    said = {"name": "github", "base_url": f"{upstream.url}/api", **members}
    rows = "".join(f"{name} = {json.dumps(value)}\n" for name, value in said.items())
    (tmp_path / "dragoman.toml").write_text(f"[[services]]\n{rows}")


def test_a_shipped_service_with_a_key_of_the_environment(tmp_path, upstream, monkeypatch):
    adjusted(tmp_path, upstream)
    monkeypatch.setenv("GITHUB_TOKEN", "ghp_1")
    github = dragoman.get_service("github")
    assert github.get("/user", params={"a": ["1", "ü"]}).json() == {"login": "me"}
    github.post("repos/x/issues", json={"title": "t"})
    first, second = upstream.seen
    assert (first.method, first.target) == ("GET", "/api/user?a=1&a=%C3%BC")
    assert first.named["authorization"] == "Bearer ghp_1"
    assert first.named["accept"] == "application/vnd.github+json"
    assert (second.method, second.json()) == ("POST", {"title": "t"})
    assert second.named["content-type"] == "application/json"


def test_every_look_at_a_services_key_is_logged_without_it(
    tmp_path, upstream, monkeypatch, caplog
):
    adjusted(tmp_path, upstream)
    caplog.set_level("INFO", "dragoman.clients")
    monkeypatch.setenv("GH_TOKEN", "ghp_canary")
    dragoman.get_service("github")
    monkeypatch.delenv("GH_TOKEN")
    dragoman.get_service("github")
    said = [each.getMessage() for each in caplog.records]
    assert said == [
        "key_access: service=github place=GH_TOKEN",
        "key_access: service=github place=none",
    ]


def test_a_file_of_the_programs_own_and_another_header(tmp_path, upstream):
    file = tmp_path / "corp.toml"
    file.write_text(
        f'name = "corp"\nbase_url = "{upstream.url}/v1"\nauth = {{ header = "x-key", prefix = "" }}\n'
    )
    corp = dragoman.get_service("corp", file=file, key="k")
    corp.delete("things/1")
    assert upstream.seen[0].named["x-key"] == "k"
    assert "authorization" not in upstream.seen[0].named


def test_a_login_that_is_refused_is_renewed_and_the_call_made_again_once(tmp_path, upstream):
    adjusted(tmp_path, upstream)
    upstream.listing = Answer(b'{"message":"Bad credentials"}', 401)
    github = dragoman.get_service("github", token=Tokens("old", "new"))
    with pytest.raises(ServiceError) as refused:
        github.get("user")
    assert refused.value.status == 401
    assert [each.named["authorization"] for each in upstream.seen] == ["Bearer old", "Bearer new"]


def test_a_403_raises_at_once_with_what_the_service_said(tmp_path, upstream):
    adjusted(tmp_path, upstream)
    upstream.listing = Answer(b'{"message":"Resource not accessible"}', 403)
    github = dragoman.get_service("github", key="k")
    with pytest.raises(ServiceError, match=r"github answered 403: .*not accessible") as refused:
        dragoman.api_call_with_retry(lambda: github.get("user"))
    assert refused.value.answer.json()["message"] == "Resource not accessible"
    assert len(upstream.seen) == 1


def test_a_refusal_that_repeats_the_credential_does_not_bring_it_into_a_log(tmp_path, upstream):
    """What is raised is logged by somebody (K8); the answer itself is the program's own."""
    adjusted(tmp_path, upstream)
    upstream.listing = Answer(b'{"message":"bad token ghp_canary123"}', 403)
    with pytest.raises(ServiceError) as refused:
        dragoman.get_service("github", key="ghp_canary123").get("user")
    assert "ghp_canary123" not in str(refused.value) + repr(refused.value)
    assert "[redacted]" in str(refused.value)


def test_a_connection_that_breaks_is_made_again(tmp_path, upstream):
    adjusted(tmp_path, upstream, base_url="http://127.0.0.1:9")
    github = dragoman.get_service("github", key="k")
    waited = []
    with pytest.raises(UpstreamError):
        dragoman.api_call_with_retry(lambda: github.get("user"), 2, sleep=waited.append)
    assert waited == [1, 2]


def test_no_path_leaves_the_address_and_no_credential_is_told(tmp_path, upstream):
    adjusted(tmp_path, upstream)
    github = dragoman.get_service("github", key="k")
    for path in ("../x", "a/%2e%2e/b"):
        with pytest.raises(CallerError):
            github.get(path)
    assert github.get("a b/ü").status == 200
    assert upstream.seen[0].target == "/api/a%20b/%C3%BC"
    with pytest.raises(GatewayError, match=r"dragoman auth login github"):
        dragoman.get_service("github").get("user")
    with pytest.raises(GatewayError, match="GITLAB_TOKEN"):
        dragoman.get_service("gitlab")
    with pytest.raises(GatewayError, match="did you mean 'github'"):
        dragoman.get_service("githug")


def test_threads_share_a_client(tmp_path, upstream):
    adjusted(tmp_path, upstream)
    github = dragoman.get_service("github", key="k")
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda n: github.get(f"users/{n}").status, range(64)))
    assert found == [200] * 64
    assert len({each.target for each in upstream.seen}) == 64
