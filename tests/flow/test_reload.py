"""The configuration file read again while serving: whole or not at all, and nobody under way notices."""

import json
import os
import signal
import threading
import time
from decimal import Decimal

import pytest

from administrators import made_key
from servers import children, gateway_server, providers_at, until

ADMIN = "drg_admin_0123456789"
ROUTED = '[aliases]\nfast = "{}"\n'
OPENAI, GROQ = "openai/gpt-4o-mini", "groq/llama-3.3-70b-versatile"


def environment(mock, file):
    return {
        **providers_at(mock.port),
        "DRAGOMAN_CONFIG": str(file),
        "DEFAULT_ADMIN_USER_ID": "boss",
        "DEFAULT_ADMIN_API_KEY": ADMIN,
    }


def reload(server):
    return server.ask("POST", "/admin/config/reload", key=ADMIN)


def provider_of(server, model="fast"):
    reply = server.chat(model)
    return reply.headers.get("x-dragoman-provider") if reply.status == 200 else reply.status


def version(server):
    return server.ask("GET", "/ready", key=None).json()["config"]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "dragoman.toml"
    path.write_text(ROUTED.format(OPENAI))
    return path


def test_a_good_file_changes_routing_and_a_bad_one_nothing(mock, tmp_path, file):
    with gateway_server(tmp_path, **environment(mock, file)) as server:
        assert provider_of(server) == "openai"
        first = version(server)
        file.write_text(
            ROUTED.format(GROQ) + '[prices."groq/llama-3.3-70b-versatile"]\ninput = "7"\n'
        )
        reply = reload(server)
        assert reply.status == 200, reply.body
        told = reply.json()
        assert told["changed"] == ["aliases", "prices"]
        assert (told["restart"], told["workers"]) == ([], 1)
        assert version(server) == told["version"] != first
        assert provider_of(server) == "groq"
        for bad, says in (
            ("[aliases]\nfast = \n", "line 2"),
            ('[aliases]\nfast = "groq/x"\n\n[[providers]]\nname = "a"\nbse_url = "x"\n', "line 6"),
            ('[aliases]\nfast = "grok/x"\n', "did you mean groq?"),
            ('[server]\nport = "x"\n', "line 2"),
            ('[[providers]]\nname = "a"\nbase_url = "${NO_SUCH}"\n', "NO_SUCH"),
            ("", "empty"),
        ):
            file.write_text(bad)
            reply = reload(server)
            assert reply.status == 400, bad
            error = reply.json()["error"]
            assert error["code"] == "configuration_error"
            assert says in error["message"]
            assert version(server) == told["version"]
            assert provider_of(server) == "groq"
        file.unlink()
        assert "does not exist" in reload(server).json()["error"]["message"]
        assert provider_of(server) == "groq"


def test_only_an_admin_may_ask_for_it(mock, tmp_path, file):
    with gateway_server(tmp_path, **environment(mock, file)) as server:
        assert server.ask("POST", "/admin/config/reload").status == 403
        assert server.ask("POST", "/api/admin/config/reload", key=None).status == 401
        assert server.ask("GET", "/admin/config/reload", key=ADMIN).status == 405
    without = {**environment(mock, file), "ENABLE_ADMIN_ROUTES": "false"}
    with gateway_server(tmp_path, **without) as server:
        assert reload(server).status == 404


def test_who_asks_for_it_is_in_the_audit_log(mock, tmp_path, file):
    """What an administrator does, well or not, and who tried to that may not (A6)."""
    with gateway_server(tmp_path, **environment(mock, file)) as server:

        def told():
            found = server.ask("GET", "/api/admin/audit?limit=100", key=ADMIN).json()["data"]
            return [(each["action"], each["target"], each["outcome"]) for each in reversed(found)]

        file.write_text(ROUTED.format(GROQ))
        assert reload(server).status == 200
        begun = ("config.reload", "dragoman.toml", "begun")
        assert told() == [begun, ("config.reload", "dragoman.toml", "done")]
        (done,) = server.ask("GET", "/api/admin/audit?outcome=done", key=ADMIN).json()["data"]
        assert done["after"] == {"changed": ["aliases"], "version": version(server)}
        assert done["before"] is None
        file.write_text("[aliases]\nfast = \n")
        assert reload(server).status == 400
        assert told()[2:] == [begun, ("config.reload", "dragoman.toml", "failed")]
        user = made_key(server, ADMIN, "eve", limits={"rpm": 3})
        rows = [
            "POST /admin/config/reload",
            "POST /api/admin/models/refresh-provider-counts",
            "GET /v1/admin/usage/export",
        ]
        before = len(told())
        for row in rows:
            assert server.ask(*row.split(), key=user["key"]).status == 403
        assert told()[before:] == [("access.refused", row, "refused") for row in rows]
        assert server.ask(*rows[0].split(), key=user["key"]).status == 429
        assert len(told()) == before + 3, "nobody fills the log faster than a limit lets in"
        verdict = server.ask("GET", "/api/admin/audit/verify", key=ADMIN).json()
        assert verdict["whole"] is True


def test_what_needs_a_restart_is_named_and_left_as_it_is(mock, tmp_path, file):
    env_file = tmp_path / ".env"
    with gateway_server(tmp_path, **environment(mock, file)) as server:
        file.write_text("[server]\nport = 1\n\n" + ROUTED.format(GROQ))
        env_file.write_text("KEY_PREFIX=other\nMAX_RETRIES=0\n")
        told = reload(server).json()
        assert told["restart"] == ["[server] port", "key_prefix"]
        assert told["changed"] == ["max_retries", "aliases"]
        assert provider_of(server) == "groq"


def test_no_request_under_way_fails_in_twenty_reloads(mock, tmp_path, file):
    with gateway_server(tmp_path, **environment(mock, file)) as server:
        failed, served, over = [], set(), threading.Event()

        def ask(stream):
            while not over.is_set():
                reply = server.chat("fast", stream=stream)
                whole = not stream or reply.body.endswith(b"data: [DONE]\n\n")
                if reply.status != 200 or not whole or b'"error"' in reply.body:
                    failed.append(reply.body)
                served.add(reply.headers.get("x-dragoman-provider"))

        threads = [threading.Thread(target=ask, args=(n % 2 == 0,)) for n in range(6)]
        for thread in threads:
            thread.start()
        base = f"http://127.0.0.1:{mock.port}/openai/v1"
        own = f'[[providers]]\nname = "own"\nbase_url = "{base}"\n'
        try:
            for turn in range(20):
                text = ROUTED.format("own/gpt-4o-mini") + own if turn % 2 else ROUTED.format(GROQ)
                file.write_text(text)
                assert reload(server).status == 200
        finally:
            over.set()
            for thread in threads:
                thread.join(20)
        assert failed == []
        assert served == {"openai", "groq", "own"}
        rows = server.rows(limit=1000)
        assert {row["status"] for row in rows} == {"complete"}


def test_a_stream_that_began_before_ends_as_it_began(mock, tmp_path, file):
    with gateway_server(tmp_path, **environment(mock, file)) as server:
        found = {}

        def stream():
            model = "fast"
            found["reply"] = server.chat(model, stream=True)

        file.write_text(ROUTED.format(f"{OPENAI}--mock-length-150--mock-chunk-delay-60"))
        assert reload(server).status == 200
        thread = threading.Thread(target=stream)
        thread.start()
        time.sleep(0.4)
        file.write_text(ROUTED.format(GROQ))
        assert reload(server).status == 200
        assert thread.is_alive()
        thread.join(20)
        assert found["reply"].body.endswith(b"data: [DONE]\n\n")
        assert found["reply"].headers["x-dragoman-provider"] == "openai"


@pytest.mark.req("M8", "R-USE-009")
@pytest.mark.parametrize("number", [5])
def test_calls_under_way_cost_what_they_did_when_they_began(mock, tmp_path, file, number):
    """A hundred thousand words a dollar for who came before the change, a hundred times as much for who came after."""
    slow = f"{OPENAI}--mock-length-40--mock-delay-2500"
    priced = f'[prices."{slow}"]\ninput = "0"\noutput = "{{}}"\n'.format
    file.write_text(priced("10"))
    with gateway_server(tmp_path, **environment(mock, file)) as server:

        def ask(stream):
            said = {"stream_options": {"include_usage": True}} if stream else {}
            found.append(server.chat(slow, stream=stream, **said))

        found = []
        threads = [threading.Thread(target=ask, args=(place % 2 == 0,)) for place in range(number)]
        for thread in threads:
            thread.start()
        time.sleep(0.4)
        file.write_text(priced("1000"))
        assert reload(server).status == 200
        assert all(thread.is_alive() for thread in threads)
        for thread in threads:
            thread.join(20)
        before = {reply.headers["x-request-id"] for reply in found}
        after = server.chat(slow).headers["x-request-id"]
        for row in server.rows():
            dollars = 1000 if row["request_id"] == after else 10
            assert Decimal(row["cost_usd"]) == Decimal(row["output_tokens"]) * dollars / 1_000_000
        assert len(before) == number
        assert server.row(after)["output_tokens"] > 0
        # What the caller is told in its stream and in a header is the same.
        for reply in found:
            cost = server.row(reply.headers["x-request-id"])["cost_usd"]
            told = reply.headers.get("x-dragoman-cost-usd")
            assert told == cost or f'"cost":{cost}' in reply.body.decode()


def test_a_hang_up_reads_the_file_again_and_the_server_goes_on(mock, tmp_path, file):
    with gateway_server(tmp_path, **environment(mock, file)) as server:
        file.write_text(ROUTED.format(GROQ))
        server.process.send_signal(signal.SIGHUP)
        until(lambda: provider_of(server) == "groq")
        file.write_text("[aliases\n")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: "configuration refused" in server.log.read_text())
        line = next(
            json.loads(line)
            for line in server.log.read_text().splitlines()
            if "configuration refused" in line
        )
        assert "line 1" in line["error"]
        assert provider_of(server) == "groq"


@pytest.mark.parametrize(
    "by",
    [
        "http",
        pytest.param("signal", marks=pytest.mark.gate),
        pytest.param("signal to a worker", marks=pytest.mark.gate),
    ],
)
def test_all_workers_change_and_a_new_one_begins_with_what_is_in_force(mock, tmp_path, file, by):
    with gateway_server(tmp_path, "--workers", "2", **environment(mock, file)) as server:
        # Only who serves can be told to read it again.
        until(lambda: server.log.read_text().count("configuration in force") == 2)
        file.write_text(ROUTED.format(GROQ))
        workers = children(server.process)
        if by == "http":
            reply = reload(server)
            assert reply.status == 200, reply.body
            assert reply.json()["workers"] == 2
        else:
            os.kill(server.process.pid if by == "signal" else workers[1], signal.SIGHUP)
            until(lambda: all(provider_of(server) == "groq" for _ in range(8)))
        assert {provider_of(server) for _ in range(30)} == {"groq"}
        assert children(server.process) == workers, "none was restarted"
        # A file that is broken meanwhile keeps no worker from starting.
        file.write_text("[broken\n")
        assert reload(server).status == 400
        os.kill(workers[0], signal.SIGKILL)
        until(lambda: len(set(children(server.process)) - {workers[0]}) == 2, 15)
        time.sleep(0.5)
        assert {provider_of(server) for _ in range(30)} == {"groq"}


def test_a_file_that_is_being_written_is_waited_for(mock, tmp_path, file):
    with gateway_server(tmp_path, **environment(mock, file)) as server:
        text = ROUTED.format(GROQ) + "".join(f'a{n} = "groq/m"\n' for n in range(40))

        def write():
            with file.open("w", buffering=1) as slow:
                for line in text.splitlines(keepends=True):
                    slow.write(line)
                    time.sleep(0.01)

        writer = threading.Thread(target=write)
        writer.start()
        time.sleep(0.1)
        reply = reload(server)
        assert not writer.is_alive()
        assert reply.status == 200, reply.body
        assert provider_of(server, "a39") == "groq"
