"""Recorded replies of real providers, read by the official SDKs through the gateway.

The mock speaks as its authors understood the providers; these replies are the providers' own
words, with all the liberties they take. A provider that replays them stands behind the gateway,
and each is read three times: by the SDK of its dialect straight from the provider, by the same
SDK through the gateway, and by the other dialect's SDK through the gateway.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import anthropic
import jiter
import openai
import pytest

from recorded import exchanges
from replay import Answer, Upstream, replaying
from servers import KEY, Server, gateway_server, providers_at

HELLO = [{"role": "user", "content": "Hello"}]
SERVED = {
    "openai": "openai",
    "azure": "openai",
    "openrouter": "openrouter",
    "groq": "groq",
    "deepseek": "deepseek",
    "mistral": "mistral",
    "xai": "xai",
    "anthropic": "anthropic",
}
"""Whose recording is replayed by which of our providers."""
FAMILIES = {"openai_chat": "chat", "anthropic_messages": "anthropic"}
SAMPLE = {"anthropic": 60, "openai": 60}
USUAL_SAMPLE = 20
ALWAYS = (
    "pydantic-ai:tests/models/cassettes/test_anthropic/test_anthropic_web_search_tool_stream.yaml",
    "prism:tests/Fixtures/anthropic/stream-with-web-search-citations-1.sse",
    "dd-trace-py:tests/contrib/openai/cassettes/v1/chat_completion_custom_tool_call.yaml",
    "rig:tests/cassettes/openai/chat_tool_truncation_matrix/blocking_gpt41_low_agent.yaml",
    "rig:tests/cassettes/groq/agent_tool_sessions/parallel_tool_calls_single_turn_streaming.yaml",
    "ai:packages/anthropic/src/__fixtures__/anthropic-refusal.chunks.txt",
)
"""Recordings that have found something: citations, free-form calls, cut arguments, refusals."""
MISREAD = {
    # The provider repeats the tool's name, and OpenAI's SDK writes it twice: llm_versionllm_version.
    "llm:tests/cassettes/test_tools_streaming/test_tools_streaming_variant_a.yaml#0",
}
"""What the SDK straight from the provider gets wrong, and the gateway right."""

pytestmark = [pytest.mark.req("R-TEST-009", "R-TEST-010"), pytest.mark.timeout(180)]


@dataclass(frozen=True)
class Recording:
    """One recorded reply, as a provider of ours will give it."""

    id: str
    family: str
    provider: str
    answer: Answer

    @property
    def model(self) -> str:
        return f"recorded-{zlib.crc32(self.id.encode()):08x}"


@cache
def recordings() -> tuple[Recording, ...]:
    pools: dict[tuple[str, bool], list[Recording]] = {}
    for dialect in FAMILIES:
        for record in exchanges(dialect):
            found = recorded(record)
            if found is not None:
                pools.setdefault((found.provider, found.answer.streamed), []).append(found)
    chosen: list[Recording] = []
    for (provider, _), pool in sorted(pools.items()):
        pool.sort(key=lambda each: each.model)  # a fixed order that mixes the sources
        size = SAMPLE.get(provider, USUAL_SAMPLE)
        chosen += pool[:size] + [each for each in pool[size:] if each.id.startswith(ALWAYS)]
    return tuple(chosen)


def recorded(record: dict[str, Any]) -> Recording | None:
    """The recording, if it is a whole answer of a provider that we know."""
    family = FAMILIES.get(record["dialect"])
    provider = SERVED.get(record["provider"])
    usual = (family == "anthropic") is (provider == "anthropic")
    if family is None or provider is None or not usual or record["status"] != 200:
        return None
    stream = record.get("response_sse_text")
    if stream is not None:
        edges = ("event: message_start", "event: message_stop")
        edges = edges if family == "anthropic" else ("data: [DONE]",)
        if any(stream.count(edge) != 1 for edge in edges) or '"error"' in stream:
            return None  # cut, failed, or several answers in one file
        answer = Answer(stream.encode(), content_type="text/event-stream", streamed=True)
    else:
        body = record.get("response_json")
        wanted = "content" if family == "anthropic" else "choices"
        if not isinstance(body, dict) or not body.get(wanted):
            return None
        answer = Answer(json.dumps(body, ensure_ascii=False).encode())
    return Recording(record["id"], family, provider, answer)


def sample(family: str, *, streamed: bool) -> list[Recording]:
    return [
        each for each in recordings() if each.family == family and each.answer.streamed is streamed
    ]


@pytest.fixture(scope="module")
def provider() -> Iterator[Upstream]:
    """Every recording, behind the name of its model."""
    with replaying() as upstream:
        upstream.answers = {each.model: each.answer for each in recordings()}
        yield upstream


@pytest.fixture(scope="module")
def through(provider: Upstream, tmp_path_factory) -> Iterator[Server]:
    """A gateway in front of it."""
    folder = tmp_path_factory.mktemp("recordings")
    with gateway_server(folder, **providers_at(provider.port)) as server:
        yield server


@dataclass(frozen=True)
class Said:
    """What a reply means, whoever reads it: its words, and its calls with their arguments."""

    text: str
    calls: tuple[tuple[str, str], ...]


# ------------------------------------------------------------------ OpenAI's SDK


def read_chat(client: openai.OpenAI, model: str, *, streamed: bool) -> Any:
    if not streamed:
        return client.chat.completions.create(model=model, messages=HELLO)
    with client.chat.completions.stream(
        model=model, messages=HELLO, stream_options={"include_usage": True}
    ) as stream:
        try:
            return stream.get_final_completion()
        except openai.LengthFinishReasonError as short:
            return short.completion
        except openai.ContentFilterFinishReasonError:
            return stream.current_completion_snapshot


def said_in_chat(completion: Any) -> Said:
    message = completion.choices[0].message
    content = message.content or message.refusal or ""
    if isinstance(content, list):  # Mistral's parts, which OpenAI's SDK hands out as they are
        content = parts_of(content, "text")
    called = [called_in_chat(call) for call in message.tool_calls or ()]
    if message.function_call:  # what calls were before there were tools
        called.append((message.function_call.name, canonical(message.function_call.arguments)))
    return Said(content.strip(), tuple(called))


def called_in_chat(call: Any) -> tuple[str, str]:
    if call.type == "custom":  # free text, which other dialects carry as an argument (P37)
        return call.custom.name, json.dumps({"input": call.custom.input})
    return call.function.name, canonical(call.function.arguments)


def parts_of(content: list[dict[str, Any]], kind: str) -> str:
    """The words of Mistral's parts of one kind."""
    found = [part[kind] for part in content if part["type"] == kind]
    return "".join(each if isinstance(each, str) else parts_of(each, "text") for each in found)


# ------------------------------------------------------------------ Anthropic's SDK


def read_message(client: anthropic.Anthropic, model: str, *, streamed: bool) -> Any:
    if not streamed:
        return client.messages.create(model=model, messages=HELLO, max_tokens=1000)
    with client.messages.stream(model=model, messages=HELLO, max_tokens=1000) as stream:
        return stream.get_final_message()


def said_in_message(message: Any) -> Said:
    text = "".join(block.text for block in message.content if block.type == "text")
    calls = tuple(
        (block.name, canonical(block.input.get("_raw") or json.dumps(block.input)))
        for block in message.content
        if block.type == "tool_use"  # arguments that were cut off stand under _raw (P35)
    )
    return Said(text.strip(), calls)


def canonical(arguments: str) -> str:
    """The arguments in one spelling; of cut ones as much as Anthropic's SDK makes of them."""
    held = jiter.from_json((arguments or "{}").encode(), partial_mode=True)
    return json.dumps(held if isinstance(held, dict) else {"input": held}, sort_keys=True)


def plain(reply: Any) -> Any:
    """What the SDK holds, less what the gateway adds for those who ask for usage."""
    held = reply.model_dump(warnings=False)
    if isinstance(held.get("usage"), dict):
        held["usage"].pop("cost", None)
    return held


def mended(held: dict[str, Any]) -> dict[str, Any]:
    """An answer with the repairs that the gateway has declared for some providers (D1)."""
    for choice in held.get("choices", ()):
        message = choice["message"]
        for call in message.get("tool_calls") or ():
            call["type"] = call["type"] or "function"
        content = message["content"]
        if isinstance(content, list):
            message["content"] = parts_of(content, "text")
            message["reasoning_content"] = parts_of(content, "thinking")
    return held


def differences(got: Any, wanted: Any, path: str = "") -> list[str]:
    """Where two answers differ, in words short enough to read."""
    if isinstance(got, dict) and isinstance(wanted, dict):
        return [
            line
            for name in sorted({*got, *wanted})
            for line in differences(got.get(name), wanted.get(name), f"{path}.{name}")
        ]
    if isinstance(got, list) and isinstance(wanted, list) and len(got) == len(wanted):
        return [
            line
            for place, pair in enumerate(zip(got, wanted, strict=True))
            for line in differences(*pair, f"{path}[{place}]")
        ]
    return [] if got == wanted else [f"{path}: {got!r:.80} instead of {wanted!r:.80}"]


# ------------------------------------------------------------------ stories


READERS: dict[str, tuple[Callable[..., Any], Callable[[Any], Said]]] = {
    "chat": (read_chat, said_in_chat),
    "anthropic": (read_message, said_in_message),
}


@pytest.fixture(scope="module")
def clients(provider: Upstream, through: Server) -> Iterator[dict[tuple[str, str], Any]]:
    """Both SDKs, straight to the provider and through the gateway."""
    settings = {"api_key": KEY, "max_retries": 0, "timeout": 30}
    with (
        openai.OpenAI(base_url=f"{provider.url}/v1", **settings) as chat,
        openai.OpenAI(base_url=f"{through.url}/v1", **settings) as chat_through,
        anthropic.Anthropic(base_url=provider.url, **settings) as messages,
        anthropic.Anthropic(base_url=through.url, **settings) as messages_through,
    ):
        yield {
            ("chat", "straight"): chat,
            ("chat", "through"): chat_through,
            ("anthropic", "straight"): messages,
            ("anthropic", "through"): messages_through,
        }


def straight(clients: dict[tuple[str, str], Any], each: Recording) -> Any:
    """What the SDK makes of the provider's own bytes; None where it cannot read them."""
    read, _ = READERS[each.family]
    try:
        return read(clients[each.family, "straight"], each.model, streamed=each.answer.streamed)
    except Exception:  # noqa: BLE001  some providers' streams are too odd for OpenAI's SDK
        return None


def told(wrong: dict[str, str]) -> str:
    lines = [f"{name}\n    {why[:400]}" for name, why in wrong.items()]
    return "\n".join([f"{len(wrong)} recordings:", *lines])


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("family", ["chat", "anthropic"])
def test_the_sdk_of_the_same_dialect_holds_what_it_would_hold_without_us(
    clients, family, streamed
):
    read, _ = READERS[family]
    wrong: dict[str, str] = {}
    compared = 0
    for each in sample(family, streamed=streamed):
        name = f"{each.provider}/{each.model}"
        try:
            got = read(clients[family, "through"], name, streamed=streamed)
        except Exception as error:  # noqa: BLE001  collected, and told together
            if straight(clients, each) is not None:
                wrong[each.id] = f"{type(error).__name__}: {error}"[:200]
            continue
        expected = straight(clients, each)
        if expected is None:
            continue
        compared += 1
        if found := differences(plain(got), mended(plain(expected))):
            wrong[each.id] = "; ".join(found)
    assert not wrong, told(wrong)
    assert compared >= 60


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("family", ["chat", "anthropic"])
def test_the_other_dialects_sdk_reads_the_same_words_and_calls(clients, family, streamed):
    other = "anthropic" if family == "chat" else "chat"
    read, said = READERS[other]
    _, meant = READERS[family]
    wrong: dict[str, str] = {}
    compared = 0
    for each in sample(family, streamed=streamed):
        name = f"{each.provider}/{each.model}"
        try:
            got = said(read(clients[other, "through"], name, streamed=streamed))
        except Exception as error:  # noqa: BLE001  collected, and told together
            wrong[each.id] = f"{type(error).__name__}: {error}"[:200]
            continue
        original = straight(clients, each)
        if original is None or each.id in MISREAD:
            continue
        compared += 1
        if got != meant(original):
            wrong[each.id] = f"{got} instead of {meant(original)}"
    assert not wrong, told(wrong)
    assert compared >= 60
