"""Accounts and days, asked over real HTTP as the providers' files say."""

import asyncio
import json
import threading
from contextlib import contextmanager
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from dragoman.catalog.load import load_providers
from dragoman.core.errors import UpstreamError
from dragoman.core.secret import Secret
from dragoman.transport.http import open_transport
from dragoman.transport.lookups import ask_credits, ask_generation, ask_report
from ledger_views import rows
from old_calls import home_with, left
from servers import gateway_server, providers_at, until

D = Decimal
DAY = 20_000


@contextmanager
def organisation(pages, status=200):
    """Tells the costs of days, page by page, to whoever asks."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            query = parse_qs(urlsplit(self.path).query)
            asked.append(
                (self.path, {name.lower(): value for name, value in self.headers.items()})
            )
            body = json.dumps(pages[int(query.get("page", ["0"])[0])]).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


def asking(story):
    async def whole():
        transport = open_transport(None, max_connections=4, tls_ca=None)
        try:
            return await story(transport)
        finally:
            await transport.close()

    return asyncio.run(whole())


def cost(amount, line):
    return {"amount": {"value": amount, "currency": "usd"}, "line_item": line}


@pytest.mark.req("M18")
def test_a_day_is_read_to_its_last_page_with_the_admin_key_alone():
    pages = [
        {
            "data": [{"results": [cost(0.1, "gpt-5, input"), cost(0.2, "gpt-5, output")]}],
            "next_page": "1",
        },
        {"data": [{"results": [cost(1.5, "gpt-4o, input")]}], "next_page": None},
    ]
    with organisation(pages) as (url, asked):
        registry = load_providers({"OPENAI_API_KEY": "sk-x" * 20, "OPENAI_BASE_URL": f"{url}/v1"})
        provider, report = registry.providers["openai"], registry.definitions["openai"].report

        async def story(transport):
            return await ask_report(provider, report, Secret("sk-admin-1"), DAY, transport)

        assert asking(story) == {"gpt-5": D("0.3"), "gpt-4o": D("1.5")}
        assert [headers["authorization"] for _, headers in asked] == ["Bearer sk-admin-1"] * 2
        assert asked[0][0].startswith("/v1/organization/costs?start_time=1728000000&")
        assert asked[1][0].endswith("&page=1")


@pytest.mark.req("M18")
def test_anthropics_day_is_asked_by_its_own_header():
    told = {
        "data": [{"results": [{"amount": "250", "model": "claude-sonnet-4-5"}]}],
        "next_page": None,
    }
    with organisation([told]) as (url, asked):
        registry = load_providers({"ANTHROPIC_API_KEY": "sk-ant-x" * 8, "ANTHROPIC_BASE_URL": url})
        provider, report = (
            registry.providers["anthropic"],
            registry.definitions["anthropic"].report,
        )

        async def story(transport):
            return await ask_report(provider, report, Secret("sk-ant-admin"), DAY, transport)

        assert asking(story) == {"claude-sonnet-4-5": D("2.5")}
        ((path, headers),) = asked
        assert headers["x-api-key"] == "sk-ant-admin"
        assert headers["anthropic-version"] == "2023-06-01"
        assert parse_qs(urlsplit(path).query)["group_by[]"] == ["description"]


@pytest.mark.parametrize(("pages", "status"), [([{"error": "no"}], 403), (["text"], 500)])
def test_who_refuses_is_told_without_what_it_says(pages, status):
    with organisation(pages, status) as (url, _):
        registry = load_providers({"OPENAI_API_KEY": "sk-x" * 20, "OPENAI_BASE_URL": f"{url}/v1"})
        provider, report = registry.providers["openai"], registry.definitions["openai"].report

        async def story(transport):
            with pytest.raises(UpstreamError, match=f"openai answered {status}"):
                await ask_report(provider, report, Secret("sk-admin-1"), DAY, transport)

        asking(story)


@pytest.mark.req("R-USE-002", "R-USE-003")
def test_an_answer_and_an_account_of_openrouters(mock):
    """What the commands for one answer and for the account ask."""
    mock.ask("POST", "/mock/config", {"generationDelay": 0}, key=None)
    try:
        registry = load_providers(providers_at(mock.port))
        provider, known = registry.providers["openrouter"], registry.definitions["openrouter"]
        credential = registry.credentials["openrouter"][0].credential
        body = {"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "Hello!"}]}
        path = "/openrouter/api/v1/chat/completions"
        answer = mock.ask("POST", path, body, key="any").json()

        async def story(transport):
            account = await ask_credits(provider, known.credits, credential, transport)
            found = await ask_generation(
                provider, known.lookup, credential, answer["id"], transport
            )
            none = await ask_generation(provider, known.lookup, credential, "gen-none", transport)
            return account, found, none

        account, found, none = asking(story)
        usage = answer["usage"]
        assert none is None
        assert (found.usage.input, found.usage.output) == (
            usage["prompt_tokens"],
            usage["completion_tokens"],
        )
        assert found.usage.cost == D(str(usage["cost"]))
        assert {"generation_time", "latency", "provider_name", "total_cost"} <= found.facts.keys()
        assert account.total == 100
        assert 0 < account.used < 1
        assert account.remaining == account.total - account.used
    finally:
        mock.ask("POST", "/mock/config", {"generationDelay": 300}, key=None)


@pytest.mark.req("M18")
def test_a_running_gateway_asks_for_a_day_and_tells_by_how_much_it_was_wrong(tmp_path):
    """What calls of some days ago were reckoned at stands in the ledger; the provider says half as much again."""
    home = home_with(tmp_path, 1, 2, 3, cost_pico=2 * 10**12)
    pages = [{"data": [{"results": [cost(3, "gpt-4o-mini, input")]}], "next_page": None}]
    (tmp_path / "dragoman.toml").write_text("[alerts]\nlook_every_s = 1\n")
    with organisation(pages) as (url, asked):
        environment = {
            "OPENAI_API_KEY": "sk-x" * 20,
            "OPENAI_BASE_URL": f"{url}/v1",
            "OPENAI_ADMIN_KEY": "sk-admin-1",
            "RECONCILE_INTERVAL_S": "0.2",
        }
        with gateway_server(tmp_path, **environment) as server:
            until(lambda: left(home, "ledger_drifts"))
            (drift,) = rows(server, "SELECT * FROM ledger_drifts")
            assert (drift["provider"], drift["model"], drift["source"]) == (
                "openai",
                "gpt-4o-mini",
                "report",
            )
            assert (drift["ours_pico"], drift["theirs_pico"]) == (2 * 10**12, 3 * 10**12)
            name = (
                'dragoman_cost_drift_ratio{model="gpt-4o-mini",provider="openai",source="report"} '
            )

            def share():
                page = server.ask("GET", "/metrics").body.decode().splitlines()
                return [float(each.split()[-1]) for each in page if each.startswith(name)]

            assert until(share) == [0.5]
    reports = [headers for path, headers in asked if "/organization/costs" in path]
    assert [headers["authorization"] for headers in reports] == ["Bearer sk-admin-1"]
