"""Recorded replies of real Ollama servers, read by official SDKs through the gateway.

Each is read three times: by Ollama's own client straight from the server that replays it, by the
same client through the gateway, and by OpenAI's through the gateway.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from typing import Any

import ollama
import openai
import pytest

from recorded import exchanges
from replay import Answer, Upstream, replaying
from servers import KEY, Server, gateway_server, providers_at

pytestmark = [pytest.mark.req("R-TEST-009", "R-TEST-010"), pytest.mark.timeout(180)]
HELLO = [{"role": "user", "content": "Hello"}]


def recordings() -> Iterator[tuple[str, Answer]]:
    """Whole answers and complete streams, by names of models that stand for them."""
    for record in exchanges("ollama_chat"):
        name = f"recorded-{zlib.crc32(record['id'].encode()):08x}"
        text = record.get("response_sse_text")
        body = record.get("response_json")
        if text is not None and text.count('"done":true') == 1:
            kind = "application/x-ndjson"
            yield name, Answer(text.encode(), content_type=kind, streamed=True)
        elif record["status"] == 200 and isinstance(body, dict) and body.get("done") is True:
            yield name, Answer(json.dumps(body).encode())


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with replaying() as server:
        server.answers.update(recordings())
        yield server


@pytest.fixture(scope="module")
def behind(upstream, tmp_path_factory) -> Iterator[Server]:
    address = providers_at(upstream.port)["OLLAMA_BASE_URL"]
    with gateway_server(tmp_path_factory.mktemp("own"), OLLAMA_BASE_URL=address) as server:
        yield server


def by_ollama(client: ollama.Client, model: str, *, stream: bool) -> dict[str, Any]:
    answer = client.chat(model=model, messages=HELLO, stream=stream)
    lines = list(answer) if stream else [answer]
    calls = [call for line in lines for call in line.message.tool_calls or ()]
    return {
        "text": "".join(line.message.content or "" for line in lines),
        "thinking": "".join(line.message.thinking or "" for line in lines),
        "calls": [(call.function.name, dict(call.function.arguments)) for call in calls],
        "end": lines[-1].done_reason,
        "counts": (lines[-1].prompt_eval_count or 0, lines[-1].eval_count or 0),
    }


def by_openai(client: openai.OpenAI, model: str, *, stream: bool) -> dict[str, Any]:
    asked = {"model": model, "messages": HELLO}
    if stream:
        options = {"include_usage": True}
        with client.chat.completions.stream(**asked, stream_options=options) as events:
            try:
                whole = events.get_final_completion()
            except openai.LengthFinishReasonError as error:
                whole = error.completion
    else:
        whole = client.chat.completions.create(**asked)
    message = whole.choices[0].message
    functions = [call.function for call in message.tool_calls or ()]
    end = whole.choices[0].finish_reason
    return {
        "text": message.content or "",
        "thinking": getattr(message, "reasoning_content", None) or "",
        "calls": [(function.name, json.loads(function.arguments)) for function in functions],
        "end": "stop" if end == "tool_calls" else end,
        "counts": (whole.usage.prompt_tokens, whole.usage.completion_tokens),
    }


def test_every_recording_says_the_same_through_the_gateway(upstream, behind):
    seen = 0
    headers = {"Authorization": f"Bearer {KEY}"}
    with (
        ollama.Client(host=f"{upstream.url}/ollama") as there,
        ollama.Client(host=behind.url, headers=headers) as here,
        openai.OpenAI(api_key=KEY, base_url=f"{behind.url}/v1", max_retries=0) as gpt,
    ):
        for model, answer in list(upstream.answers.items()):
            stream = answer.streamed
            straight = by_ollama(there, model, stream=stream)
            assert by_ollama(here, f"ollama/{model}", stream=stream) == straight, model
            chat = by_openai(gpt, f"ollama/{model}", stream=stream)
            if straight["end"] not in {"stop", "length"}:
                chat["end"] = straight["end"]  # a word that OpenAI's clients do not know
            assert chat == straight, model
            seen += 1
    assert seen > 20
