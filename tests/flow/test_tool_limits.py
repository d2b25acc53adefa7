"""Limits of tools: off unless configured, told in every caller's dialect before anybody is asked, hot."""

import json

import pytest

from servers import asked, gateway_server, providers_at, until

ADMIN = "drg_admin_0123456789"
PARAMETERS = {"type": "object", "properties": {"a": {"type": "string"}}}
LOOK = {"name": "look_up", "description": "Looks", "parameters": PARAMETERS}
CHAT = [{"type": "function", "function": LOOK}]
CLAUDE = [{"name": "look_up", "input_schema": PARAMETERS}]
MODEL = "openai/gpt-4o-mini"
LIMITED = (
    '[tools]\nmax_tools = 1\nmax_schema_depth = 1\nallowed_names = ["get_*"]\nallowlist = "{}"\n'
)


@pytest.mark.req("R-ADD-035")
def test_limits_of_tools_are_told_before_anybody_is_asked(mock, tmp_path):
    file = tmp_path / "dragoman.toml"
    file.write_text("")
    environment = {
        **providers_at(mock.port),
        "DRAGOMAN_CONFIG": str(file),
        "DEFAULT_ADMIN_USER_ID": "boss",
        "DEFAULT_ADMIN_API_KEY": ADMIN,
    }
    with gateway_server(tmp_path, **environment) as server:
        assert server.chat(MODEL, tools=CHAT).status == 200
        before = asked(mock, "gpt-4o-mini")
        assert server.chat(MODEL, tools=CHAT).status == 200
        assert asked(mock, "gpt-4o-mini") == before + 1

        file.write_text(LIMITED.format("enforce"))
        reply = server.ask("POST", "/admin/config/reload", key=ADMIN)
        assert reply.status == 200, reply.body
        for stream in (False, True):
            reply = server.chat(MODEL, tools=CHAT, stream=stream)
            assert reply.status == 400
            error = reply.json()["error"]
            assert (error["code"], error["param"]) == (
                "tool_limit_exceeded", "tools[0].function.parameters",
            )  # fmt: skip
            assert "has 2 levels; at most 1" in error["message"]
        reply = server.message("openai/gpt-4o-mini", tools=CLAUDE * 2)
        assert reply.status == 400
        assert reply.json()["type"] == "error"
        assert "2 tools are offered; at most 1" in reply.json()["error"]["message"]
        declared = [{"functionDeclarations": [{"name": "look_up"}]}]
        reply = server.ask(
            "POST",
            "/v1beta/models/gemini-2.5-flash:generateContent",
            {"contents": [{"role": "user", "parts": [{"text": "x"}]}], "tools": declared},
        )
        assert reply.status == 400
        assert reply.json()["error"]["status"] == "INVALID_ARGUMENT"
        assert "'look_up' is not among those" in reply.json()["error"]["message"]
        assert asked(mock, "gpt-4o-mini") == before + 1
        assert server.chat(MODEL).status == 200

        file.write_text(LIMITED.format("warn").replace("depth = 1", "depth = 9"))
        assert server.ask("POST", "/admin/config/reload", key=ADMIN).status == 200
        reply = server.chat(MODEL, tools=CHAT)
        assert reply.status == 200

        def warned():
            lines = [line for line in server.log.read_text().splitlines() if "look_up" in line]
            return [json.loads(line) for line in lines if line.startswith("{")]

        assert until(warned)[0]["request_id"] == reply.headers["x-request-id"]

        file.write_text("[tools]\nmax_tool = 1\n")
        reply = server.ask("POST", "/admin/config/reload", key=ADMIN)
        assert reply.status == 400
        assert "did you mean 'max_tools'?" in reply.body.decode()
