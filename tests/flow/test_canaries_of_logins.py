"""No token of a login lies about: OAuth's access and refresh tokens, OB-1's, device codes, and a client's secret.

The servers quote what they were shown, in refusals and in the middle of streams, as some do. Every token that
was ever given out is looked for: in logs, metrics, traces, answers, pages, the database and the secrets folder,
where all of them are sealed.
"""

import asyncio
import json

import pytest
from cryptography.fernet import Fernet

from administrators import made_key
from authorization_server import Family
from collector import collecting
from databases import a_database, rows_as_text
from harness.canaries import files, mark, search
from ob1_service import environment, ob1_service, put_accounts
from rest_api import serving
from servers import beside, gateway_server, until

MODEL = "ob1/anthropic/claude-sonnet-4.6"
STATUSES = (400, 402, 403, 404, 418, 429, 500, 503)
TOML = """
[[services]]
name = "byname"
base_url = "{api}/login"
credentials = [{{ tenant = "*", login = "mine" }}]

[oauth.mine]
grant = "device_code"
authorize_url = "{logins}/authorize"
token_url = "{logins}/token"
device_url = "{logins}/device"
revoke_url = "{logins}/revoke"
client_id = "client-1"
client_secret = "{secret}"
"""
PAGES = ("/metrics", "/ready", "/v1/usage?group=request&limit=1000", "/v1/models", "/services")
ADMIN_PAGES = (
    "/api/admin/accounts",
    "/api/admin/providers",
    "/api/admin/audit",
    "/api/admin/metrics",
)


class Good:
    """The tokens that are good now."""

    def __init__(self, logins):
        self._logins = logins

    def __contains__(self, token):
        return self._logins.is_good(token)


def put_login(logins, folder):
    """A login of a service, whose token has ended."""
    told = logins.issue(Family("read"))
    kept = {**told, "expires_at": 1.0}
    del kept["expires_in"]
    (folder / "oauth").mkdir(parents=True, mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    file = folder / "oauth" / "mine.json"
    file.write_text(json.dumps(kept))
    file.chmod(0o600)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.gate)])
def database(request, tmp_path):
    if request.param == "sqlite":
        yield {}
        return
    with a_database("postgresql", tmp_path) as url:
        yield {"DATABASE_URL": url}


@pytest.mark.timeout(120)
@pytest.mark.req("R-OBS-007", "R-SEC-004", "R-SEC-006", "R-CRED-005", "R-OB1-005")
def test_no_token_of_a_login_is_left_lying_about(tmp_path, database):
    admin, places = f"admin-{mark()}", []
    with ob1_service() as (logins, backend), serving() as api, collecting() as collector:
        logins.echoing, logins.public, api.good = True, True, Good(logins)
        logins.client_secret = mark()
        secrets = tmp_path / "secrets"
        accounts = secrets / "config" / "accounts.json"
        put_accounts(logins, accounts, "ada", ends_in_s=-10)
        put_login(logins, secrets)
        said = TOML.format(api=api.url, logins=logins.url, secret=logins.client_secret)
        (tmp_path / "dragoman.toml").write_text(said)
        (tmp_path / "dragoman.toml").chmod(0o600)
        told = {
            **environment(logins, accounts),
            **database,
            "DRAGOMAN_SECRETS": str(secrets),
            "FERNET_KEY": Fernet.generate_key().decode(),
            "DEFAULT_ADMIN_USER_ID": "root",
            "DEFAULT_ADMIN_API_KEY": admin,
            "LOG_LEVEL": "debug",
            "MAX_RETRIES": "0",
            "BREAKER_FAILURES": "1000",
            "DISABLE_PROVIDER_AUTO_DISABLE": "true",
            "USAGE_FLUSH_INTERVAL": "0.1",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
        }
        with gateway_server(tmp_path, **told) as server:
            key = made_key(server, admin, "user")["key"]

            def heard(reply, *statuses):
                assert reply.status in statuses, reply.body
                places.append((f"answer {len(places)}", repr(reply).encode() + reply.body))
                return reply

            def call(**members):
                return server.chat(MODEL, key=key, **members)

            def service(path):
                return server.ask("GET", f"/services/byname/{path}", key=key)

            # Served, by tokens that were renewed first; services say again what they were shown.
            for stream in (False, True):
                heard(call(stream=stream), 200)
            for path in ("mirror", "mirror-in-pieces", "echo"):
                heard(service(path), 200)
            assert logins.count("refresh_token") == 2
            # Refused and renewed.
            logins.access.clear()
            heard(call(), 200)
            heard(service("mirror"), 200)
            assert logins.count("refresh_token") == 4
            # Failed, with the token in what is told of it: whole, and without the organization behind it.
            for form in (b"{shown}", b"{access}"):
                for status in STATUSES:
                    backend.answers = [(status, b'{"error":{"message":"%b, no"}}' % form)]
                    heard(call(), status)
                backend.answers = [(200, b'data: {"error":{"message":"%b ended"}}\n\n' % form)]
                heard(call(stream=True), 200, 500, 502)
                backend.answers = [(200, b"{not JSON, but " + form)]
                heard(call(), 502)
            heard(service("unknown"), 403)
            # Ended for good, in the words of a server that quotes what it refuses.
            logins.revoke_all()
            heard(call(), 401)
            heard(call(), 503)
            heard(service("mirror"), 502, 503)
            heard(service("mirror"), 502, 503)
            until(lambda: "log in again" in server.log.read_text())
            # Logged in anew, and looked at by commands.
            logins.typed = True
            logins.extra = {"user": {"id": "u1", "email": "ada@example.com"}}
            commands = (
                ("ob1", "auth", "--no-browser"),
                ("auth", "login", "mine"),
                ("ob1", "status"),
                ("ob1", "accounts"),
                ("auth", "status"),
                ("auth", "status", "--json"),
                ("auth", "revoke", "mine"),
            )
            places += [(" ".join(each), beside(server, *each).encode()) for each in commands]
            heard(until(lambda: (found := call()).status == 200 and found), 200)
            rows = server.rows(key)
            places += [(page, server.ask("GET", page, key=key).body) for page in PAGES]
            places += [(page, server.ask("GET", page, key=admin).body) for page in ADMIN_PAGES]
            for row in rows:
                for path, who in (
                    ("/v1/requests/{}/explain", key),
                    ("/api/admin/requests/{}", admin),
                ):
                    page = server.ask("GET", path.format(row["call_id"]), key=who)
                    assert page.status == 200, page.body
                    places.append((path, page.body))
            until(lambda: len(collector.spans) > len(rows))
            assert server.stop() == 0
            places.append(("the log", server.log.read_bytes() + server.said.encode()))
        places += [("traces", body) for body in collector.bodies]
        shown = {each["headers"]["authorization"] for each in backend.seen}
        assert len(shown) == 3
    if database:
        tables = asyncio.run(rows_as_text(database["DATABASE_URL"]))
        places += [(f"table {name}", data) for name, data in tables.items()]
    places += [*files(tmp_path / "home"), *files(secrets)]
    marks = {f"token {number}": each.encode() for number, each in enumerate(logins.issued)}
    assert len(marks) > 12
    hits = search(marks | {"client secret": logins.client_secret.encode()}, places)
    assert not hits, "\n".join(map(str, hits[:20]))
