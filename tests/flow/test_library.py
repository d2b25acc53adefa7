"""Programs that call ``get_response``: the scenarios of the library, as real processes with real files (R-CFG)."""

from __future__ import annotations

import json
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from administrators import admin_key
from replay import Answer, replaying
from servers import gateway_server, make_home

ROOT = Path(__file__).resolve().parents[2]
KEY = "sk-or-v1-0123456789abcdef0123456789abcdef0123456789abcdef"
MODEL = "deepseek/deepseek-chat-v3.1:free"


def completion(text="payment", number=1, **message):
    return Answer(
        json.dumps(
            {
                "id": f"gen-{number}",
                "object": "chat.completion",
                "created": 1,
                "model": "whatever/the-provider-says",
                "choices": [
                    {
                        "index": 0,
                        "message": {"role": "assistant", "content": text, **message},
                        "finish_reason": "stop",
                    }
                ],
                "usage": {
                    "prompt_tokens": 11,
                    "completion_tokens": 7,
                    "total_tokens": 18,
                    "cost": 0.00042,
                },
            }
        ).encode()
    )


class Place:
    """A folder with programs, the library's home and a provider."""

    def __init__(self, folder, upstream):
        self.folder = folder
        self.home = folder / "home"
        self.upstream = upstream
        self.environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder),
            "DRAGOMAN_HOME": str(self.home),
            "OPENROUTER_API_KEY": KEY,
            "OPENROUTER_BASE_URL": f"{upstream.url}/api/v1",
        }
        shutil.copytree(
            ROOT / "examples" / "library",
            folder,
            dirs_exist_ok=True,
            ignore=shutil.ignore_patterns("*_json", "__pycache__"),
        )

    def run(self, program, *arguments, **environment):
        return subprocess.run(
            [sys.executable, str(self.folder / program), *arguments],
            env={**self.environment, **environment},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    def python(self, code, name="flow/asking.py", **environment):
        """Runs a program of some lines; what it prints, as JSON."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("import dragoman, json, sys\n" + code)
        done = self.run(name, **environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def own(self, name):
        return json.loads((self.home / "api" / "api_json" / name).read_text())

    def change(self, path, **members):
        value = json.loads(path.read_text())
        value["config"].update(members)
        path.write_text(json.dumps(value))

    @property
    def config(self):
        return self.folder / "flow" / "flow_json" / "openrouter_skill_config.json"

    def asked(self):
        return [each.json() for each in self.upstream.seen if each.method == "POST"]

    def ledger(self):
        with sqlite3.connect(self.home / "dragoman.db") as database:
            return database.execute(
                "SELECT caller, requested_model, tenant, cost_pico, status FROM ledger_requests ORDER BY call_id"
            ).fetchall()


@pytest.fixture
def place(request, tmp_path):
    """With the tables that a first call would make, copied, unless nothing is to be there."""
    if getattr(request, "param", None) != "bare":
        make_home(tmp_path / "home")
    with replaying() as upstream:
        upstream.answers[""] = completion()
        yield Place(tmp_path, upstream)


bare = pytest.mark.parametrize("place", ["bare"], indirect=True, ids=[""])


TELL = """
def tell(work):
    try:
        return {"text": work()}
    except dragoman.CallError as error:
        return {"code": error.code, "error": str(error), "status": error.status}
"""


@pytest.mark.req("R-CFG-004", "R-CFG-007", "R-CFG-008", "R-CFG-009", "R-CFG-013", "R-TEST-001")
def test_a_first_call_makes_the_config_and_the_next_one_works(place):
    (place.folder / "flow" / "flow_json").mkdir()
    mine = place.folder / "flow" / "flow_json" / "flow_mbank_config.json"
    mine.write_text("mine")
    first = place.run("flow/flow_mbank.py")
    assert first.returncode == 1
    assert "Caller 'flow_mbank' must specify a model from their config" in first.stderr
    assert "Config was created" in first.stderr
    assert "retry" in first.stderr
    assert place.asked() == []
    second = place.run("flow/flow_mbank.py")
    assert (second.returncode, second.stdout) == (0, "payment\n"), second.stderr
    asked = place.asked()[0]
    # The caller's own model, temperature and length; its messages as they are; one try.
    assert (asked["model"], asked["temperature"], asked["max_tokens"]) == (MODEL, 0.5, 1500)
    assert [each["role"] for each in asked["messages"]] == ["system", "user"]
    assert "routing" not in asked
    assert mine.read_text() == "mine"
    data = place.own("openrouter_data.json")["data"]
    assert list(data["provisioned_configs"]) == data["callers_tracked"] == ["flow_mbank"]
    assert place.own("openrouter_log.json")["logs"][0]["operation"] == "provision_config"


@pytest.mark.req("R-CFG-001", "R-USE-001", "R-USE-004", "R-USE-005", "R-USE-014")
def test_usage_and_cost_are_the_providers_and_stand_in_the_files_and_the_ledger(place):
    told = place.python(
        """
reply = dragoman.ask(prompt="Hello!", model="some/model", caller="orchestrator->skill1")
print(json.dumps([reply.text, reply.tokens, str(reply.cost_usd), reply.generation_id, reply.served_by]))
"""
    )
    assert told == ["payment", 18, "0.00042", "gen-1", "openrouter/some/model"]
    data = place.own("api_data.json")
    assert data["usage_by_caller"]["orchestrator->skill1"] == {
        "requests": 1,
        "total_cost": 0.00042,
        "total_tokens": 18,
    }
    entry = place.own("api_log.json")["logs"][-1]
    assert (entry["status"], entry["generation_id"], entry["tokens"]) == ("success", "gen-1", 18)
    assert place.ledger() == [
        ("orchestrator->skill1", "openrouter/some/model", "local", 420_000_000, "complete")
    ]


@pytest.mark.req("R-CFG-011", "R-TEST-003")
@bare
def test_scenario_3_a_missing_model_is_told_and_changes_nothing(place):
    code = (
        TELL
        + "print(json.dumps([tell(lambda: dragoman.get_response(prompt='x', caller='flow_mbank')) for _ in '12']))"
    )
    _, told = place.python(code)
    assert told["error"] == "Caller 'flow_mbank' must specify a model from their config"
    assert told["code"] == "no_model"
    assert place.upstream.seen == []
    assert place.own("api_data.json")["usage_by_caller"] == {}
    assert place.own("openrouter_data.json")["data"]["failed_requests"] == 2
    assert place.own("api_log.json")["logs"][-1]["status"] == "error"
    assert not (place.home / "dragoman.db").exists()


@pytest.mark.req("R-CFG-012", "R-TEST-004", "R-ADD-003")
def test_scenario_4_an_invalid_model_is_the_providers_error_logged_and_tracked(place):
    place.upstream.answers["invalid/model"] = Answer(
        b'{"error":{"message":"invalid/model is not a valid model ID","code":400}}', 400
    )
    told = place.python(
        TELL
        + "import logging; logging.basicConfig(level='INFO', format='%(name)s %(message)s')\n"
        + "def work():\n    try:\n        return dragoman.get_response(prompt='x', model='invalid/model')\n"
        + "    except Exception as error:\n        return [type(error).__name__, str(error), error.status]\n"
        + "print(json.dumps(work()))"
    )
    assert "invalid/model is not a valid model ID" in told[1]
    assert told[2] == 400
    assert [each["model"] for each in place.asked()] == ["invalid/model"]  # once, and no other
    entry = place.own("api_log.json")["logs"][-1]
    assert (entry["status"], entry["model"]) == ("error", "invalid/model")
    assert "not a valid model ID" in entry["error"]
    assert place.own("api_data.json")["usage_by_caller"]["asking"]["requests"] == 1
    assert place.ledger()[0][4] == "upstream_error"


@pytest.mark.req("R-TEST-005", "R-CFG-004")
def test_scenario_5_a_deleted_config_is_made_anew_and_the_call_goes_on_at_once(place):
    code = "print(json.dumps(dragoman.get_response(prompt='x', model='a/b')))"
    assert place.python(code) == "payment"
    place.config.unlink()
    assert place.python(code) == "payment"
    assert json.loads(place.config.read_text())["config"]["ai_model"] == MODEL


@pytest.mark.req("R-TEST-006", "R-CFG-013", "R-CFG-015")
def test_scenario_6_two_callers_have_two_models(place):
    code = "print(json.dumps([dragoman.get_ai_model(), dragoman.get_response(prompt='x', model=dragoman.get_ai_model(), on_error='none')]))"
    names = ("conversational_ai", "code_analysis")
    models = ("anthropic/claude-3.5-sonnet", "openai/gpt-4o-mini")
    for name, model, temperature in zip(names, models, (0.9, 0.1), strict=True):
        assert place.python(code, f"{name}/{name}.py") == [None, None]
        folder = place.folder / name / f"{name}_json"
        place.change(
            folder / "openrouter_skill_config.json", ai_model=model, ai_temperature=temperature
        )
        assert place.python(code, f"{name}/{name}.py") == [model, "payment"]
    assert [(each["model"], each["temperature"]) for each in place.asked()] == [
        (models[0], 0.9),
        (models[1], 0.1),
    ]
    assert [row[0] for row in place.ledger()] == list(names)


@pytest.mark.req("R-CFG-014", "R-ADD-004")
def test_what_is_switched_off_says_where(place):
    code = TELL + "print(json.dumps(tell(lambda: dragoman.get_response(prompt='x', model='a/b'))))"
    assert place.python(code) == {"text": "payment"}
    place.change(place.config, enabled=False)
    told = place.python(code)
    assert told["code"] == "disabled"
    assert str(place.config) in told["error"]
    place.change(place.config, enabled=True)
    own = place.home / "api" / "api_json" / "openrouter_config.json"
    place.change(own, enabled=False)
    assert str(own) in place.python(code)["error"]
    place.change(own, enabled=True, auto_provision=False)
    place.config.unlink()
    told = place.python(code)
    assert told["code"] == "not_provisioned"
    assert not place.config.exists()
    assert len(place.asked()) == 1


@pytest.mark.req("R-ADD-003", "R-ADD-004", "R-TEST-002")
def test_lines_of_requests_and_answers_are_as_the_switches_say(place):
    code = (
        "import logging; logging.basicConfig(level='INFO', format='%(message)s')\n"
        "print(json.dumps(dragoman.get_response(prompt='secret words', model='a/b')))"
    )
    place.python(code)
    said = place.run("flow/asking.py").stderr
    assert "api_request: caller=asking model=a/b" in said
    assert "payment" not in said
    assert "secret words" not in said
    own = place.home / "api" / "api_json" / "openrouter_config.json"
    place.change(own, log_requests=False, log_responses=True)
    said = place.run("flow/asking.py").stderr
    assert "api_request" not in said
    assert "api_response: caller=asking model=a/b text=payment" in said


@pytest.mark.req("R-ADD-005", "R-ENV-016")
def test_address_time_and_key_are_the_files_where_the_environment_says_none(place):
    del place.environment["OPENROUTER_API_KEY"], place.environment["OPENROUTER_BASE_URL"]
    code = TELL + "print(json.dumps(tell(lambda: dragoman.get_response(prompt='x', model='a/b'))))"
    told = place.python(code)
    assert told["code"] == "missing_provider_key"
    assert "OPENROUTER_API_KEY" in told["error"]
    folder = place.home / "api" / "api_json"
    place.change(
        folder / "api_config.json", providers={"openrouter": {"api_key": KEY, "base_url": "x"}}
    )
    place.change(folder / "openrouter_config.json", base_url=f"{place.upstream.url}/api/v1")
    assert place.python(code) == {"text": "payment"}
    assert place.upstream.seen[-1].named["authorization"] == f"Bearer {KEY}"
    assert place.upstream.seen[-1].target.endswith("/api/v1/chat/completions")


@pytest.mark.req("R-CFG-016", "R-FILE-002")
def test_a_conversation_keeps_its_turns_its_file_and_its_hooks(place):
    notes = place.folder / "notes.txt"
    notes.write_text("The bakery opens at six.")
    done = place.run(
        "skills/skills_context/live_chat_context_skill.py", str(notes), "When?", "And why?"
    )
    assert done.stdout == "payment\npayment\n", done.stderr
    first, second = (each["messages"] for each in place.asked())
    assert [each["role"] for each in first] == ["system", "user", "user"]
    assert "opens at six" in first[1]["content"]
    assert second[:3] == first
    assert [each["content"] for each in second[3:]] == ["payment", "And why?"]
    assert {row[0] for row in place.ledger()} == {"live_chat_context"}


@pytest.mark.req("R-CFG-016")
def test_hooks_change_what_is_sent_and_a_failure_leaves_the_conversation_as_it_was(place):
    told = place.python(
        """
def shout(messages):
    for each in messages:
        each["content"] = each["content"].upper()
    return messages
chat = dragoman.Conversation("a/b", hooks=[shout], file=__import__("pathlib").Path("chat.json"))
chat.say("hello")
before = list(chat.messages)
try:
    chat.say("again", extra={"stream": True})
except dragoman.CallError as error:
    failure = error.code
again = dragoman.Conversation("a/b", file=__import__("pathlib").Path("chat.json"))
print(json.dumps([failure, before == chat.messages == again.messages, before[0]["content"]]))
"""
    )
    assert told == ["no_stream", True, "hello"]
    assert place.asked()[0]["messages"][0]["content"] == "HELLO"


@pytest.mark.req("R-FILE-008")
def test_tools_of_one_answer_run_and_their_results_go_back(place):
    calls = [
        {
            "id": f"c{n}",
            "type": "function",
            "function": {"name": "double", "arguments": f'{{"n": {n}}}'},
        }
        for n in (1, 2)
    ]
    place.upstream.answers["tools/asked"] = completion(None, tool_calls=calls)
    told = place.python(
        """
reply = dragoman.ask(prompt="x", model="tools/asked", tools=[{"type": "function", "function": {"name": "double"}}])
print(json.dumps([reply.text, dragoman.parallel(reply.tool_calls, {"double": lambda n: 2 * n})]))
"""
    )
    assert told[0] == ""
    assert told[1] == [
        {"role": "tool", "tool_call_id": "c1", "content": "2"},
        {"role": "tool", "tool_call_id": "c2", "content": "4"},
    ]


@pytest.mark.req("R-CFG-001", "R-USE-014")
@bare
def test_against_a_running_gateway_no_provider_key_is_needed(place, tmp_path):
    server = tmp_path / "server"
    server.mkdir()
    upstream = {
        name: place.environment.pop(name) for name in ("OPENROUTER_API_KEY", "OPENROUTER_BASE_URL")
    }
    with gateway_server(server, **upstream) as gateway:
        told = place.python(
            TELL
            + """
reply = dragoman.ask(prompt="Hello!", model="openrouter/a/b", caller="é->b")
wrong = tell(lambda: dragoman.get_response(prompt="x", model="nobody/knows"))
print(json.dumps([reply.text, reply.tokens, str(reply.cost_usd), reply.served_by, wrong]))
""",
            DRAGOMAN_BASE_URL=gateway.url,
            DRAGOMAN_API_KEY="drg_test",
        )
        assert told[:4] == ["payment", 18, "0.00042", "openrouter/a/b"]
        assert told[4]["code"] == "model_not_found"
        assert {row["caller"] for row in gateway.rows()} >= {"é->b"}
    assert not (place.home / "dragoman.db").exists()
    gone = place.python(
        TELL + "print(json.dumps(tell(lambda: dragoman.get_response(prompt='x', model='a/b'))))",
        DRAGOMAN_BASE_URL=gateway.url,
    )
    assert f"No answer of the gateway at {gateway.url}" in gone["error"]


@pytest.mark.req("R-CFG-009", "R-CFG-018")
def test_many_threads_call_at_once_and_every_call_is_counted_once(place):
    told = place.python(
        """
from concurrent.futures import ThreadPoolExecutor
def one(n):
    return dragoman.get_response(prompt=str(n), model="a/b", caller="many")
with ThreadPoolExecutor(12) as pool:
    print(json.dumps(sorted(set(pool.map(one, range(36))))))
"""
    )
    assert told == ["payment"]
    assert len(place.asked()) == 36
    assert place.own("api_data.json")["usage_by_caller"]["many"]["total_tokens"] == 36 * 18
    assert len(place.ledger()) == 36


@pytest.mark.req("R-ADD-001", "R-ADD-002", "R-AUTH-011", "R-USE-002")
def test_older_names_are_there_for_whoever_asks_for_them(place):
    place.upstream.answers["x"] = completion()
    told = place.python(
        """
from dragoman.library.openrouter import stand_in_as
stand_in_as("api")
from api.openrouter import OpenRouterClient, get_response, DEFAULT_CONFIG_TEMPLATE
from api.api_connect import APIConnect
from api.api_usage import APIUsageTracker
import logging; logging.basicConfig(level="INFO", stream=sys.stderr)
print(json.dumps([
    OpenRouterClient.get_response([{"role": "user", "content": "x"}], "a/b", "older"),
    get_response([{"role": "user", "content": "x"}], "a/b", "older"),
    DEFAULT_CONFIG_TEMPLATE["ai_model"],
    APIConnect.get_api_key()[:9],
]))
"""
    )
    assert told == ["payment", "payment", MODEL, "sk-or-v1-"]
    said = place.run("flow/asking.py").stderr
    assert "key_access: provider=openrouter place=OPENROUTER_API_KEY" in said
    assert KEY not in said


@pytest.mark.req("R-USE-002", "R-ADD-002")
def test_a_generations_usage_is_asked_for_and_counted_once(place, tmp_path):
    data = {
        "id": "gen-9",
        "total_cost": 0.5,
        "tokens_prompt": 3,
        "tokens_completion": 4,
        "latency": 5,
    }
    folder = place.home / "api" / "api_json"
    code = """
from dragoman.library.openrouter import APIUsageTracker
told = [APIUsageTracker.track_usage("manual", "gen-9", "a/b") for _ in range(2)]
print(json.dumps(told))
"""
    place.upstream.listing = Answer(json.dumps({"data": data}).encode())
    place.python("print(json.dumps(dragoman.get_response(prompt='x', model='a/b')))")
    place.change(folder / "openrouter_config.json", base_url=f"{place.upstream.url}/api/v1")
    assert place.python(code) == [data, data]
    assert place.upstream.seen[-1].target == "/api/v1/generation?id=gen-9"
    assert place.own("api_data.json")["usage_by_caller"]["manual"] == {
        "requests": 1,
        "total_cost": 0.5,
        "total_tokens": 7,
    }


@pytest.mark.req("R-USE-013", "R-USE-014")
def test_a_program_and_a_gateway_share_a_home_and_its_ledger(place, tmp_path):
    upstream = {
        name: place.environment[name] for name in ("OPENROUTER_API_KEY", "OPENROUTER_BASE_URL")
    }
    with gateway_server(tmp_path, **upstream) as gateway:
        assert gateway.environment["DRAGOMAN_HOME"] == str(place.home)
        assert place.python("print(json.dumps(dragoman.get_response(prompt='x', model='a/b')))")
        assert gateway.chat("openrouter/a/b").status == 200
        page = gateway.ask("GET", "/api/admin/requests?limit=10", key=admin_key(gateway)).json()
        assert {row["caller"] for row in page["data"]} >= {"asking"}
        assert len(page["data"]) == 2


@pytest.mark.req("R-AUTH-004")
def test_a_program_makes_no_admin_key_that_nobody_would_see(place, tmp_path):
    place.python("print(json.dumps(dragoman.get_response(prompt='x', model='a/b')))")
    with gateway_server(tmp_path) as gateway:
        assert admin_key(gateway)


@pytest.mark.req("R-CFG-001")
def test_a_program_with_a_loop_of_its_own_and_a_forked_child_call_as_well(place):
    told = place.python(
        """
import asyncio, os
def one():
    return dragoman.get_response(prompt="x", model="a/b", caller="looping")
async def main():
    return [one(), *await asyncio.gather(*(asyncio.to_thread(one) for _ in range(3)))]
found = asyncio.run(main())
sys.stdout.flush()
child = os.fork()
if child == 0:
    os._exit(0 if one() == "payment" else 1)
_, status = os.waitpid(child, 0)
print(json.dumps([found, status]))
"""
    )
    assert told == [["payment"] * 4, 0]


@pytest.mark.req("R-USE-014")
def test_a_label_in_a_header_is_bounded_and_printable(tmp_path):
    with gateway_server(tmp_path) as gateway:
        for label in ("a%0a%1b[31m%00b", "x" * 4000, "%ff%fe", "", "%"):
            assert gateway.chat(headers={"x-dragoman-caller": label}).status == 200
        callers = [row["caller"] for row in gateway.rows()]
        assert "a[31mb" in callers
        assert max(map(len, callers)) <= 512
        assert all(each.isprintable() for each in callers)


@pytest.mark.req("R-ENV-016", "R-ADD-005", "R-CFG-012")
def test_a_provider_that_says_nothing_is_waited_for_as_long_as_the_file_says_and_asked_once(place):
    with silent_server() as (url, asked):
        code = (
            TELL.replace("dragoman.CallError", "Exception")
            + "import time\nbegan = time.monotonic()\n"
            + "told = tell(lambda: dragoman.get_response(prompt='x', model='a/b'))\n"
            + "print(json.dumps([told, time.monotonic() - began]))"
        )
        place.environment["OPENROUTER_BASE_URL"] = url
        place.python("print(json.dumps(dragoman.get_ai_model()))")
        own = place.home / "api" / "api_json"
        own.mkdir(parents=True, exist_ok=True)
        (own / "openrouter_config.json").write_text('{"config": {"timeout_seconds": 1}}')
        told, took = place.python(code)
        assert told["status"] == 504
        assert 1 <= took < 15  # with the opening of the house
        assert len(asked) == 1
    assert place.ledger()[0][4] == "timeout"


@contextmanager
def silent_server():
    """Takes connections and never answers; who came stands in the list."""
    came = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def take():
            while True:
                try:
                    came.append(listener.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/api/v1", came
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)
    for each in came:
        each.close()
