"""The policy table (`dialects.md` §5) and the mapping tables (§3.1), cell by cell.

Every row says a feature in a client's own words and what becomes of it at each provider, with the
providers' real files and the real rules about models. Features that both client dialects can say
are said in the other one than the target's; what only chat can say goes through ``write_request``
all the same. A cell asserts the whole truth: what the provider reads, and every loss.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from dragoman.catalog.capability import capability_of
from dragoman.catalog.load import load_providers
from dragoman.core.errors import CallerError
from dragoman.dialects.base import Target
from dragoman.dialects.registry import DIALECTS

MODELS = {
    "openai": "gpt-4o",
    "anthropic": "claude-sonnet-4-5",
    "groq": "openai/gpt-oss-120b",
    "openrouter": "x-ai/grok-4",
    "mistral": "mistral-medium-latest",
    "deepseek": "deepseek-chat",
}
SEEING = "meta-llama/llama-4-scout-17b-16e-instruct"
"""A model at Groq that takes images."""
_KEYS = {f"{name.upper()}_API_KEY": "k" for name in MODELS}
PROVIDERS = load_providers(_KEYS, []).providers


# --------------------------------------------------------------------------- the cells' words

ABSENT = object()
ON, OFF = True, False


@dataclass(frozen=True)
class Cell:
    """What has to stand in the provider's request, and what has to be told as lost."""

    shows: tuple[tuple[str, Any], ...] = ()
    losses: tuple[tuple[str, str], ...] = ()
    refused: str | None = None


def passes(*shows: Any) -> Cell:
    """PASS, or MAP without a loss: ``path, value`` pairs in the provider's words."""
    return Cell(tuple(zip(shows[::2], shows[1::2], strict=True)))


def drops(*paths: str, without: str = "") -> Cell:
    """DROP+W: each path is told, and nothing of it is sent."""
    gone = without or paths[0]
    return Cell(((gone, ABSENT),), tuple((path, "dropped") for path in paths))


def emulates(path: str, *shows: Any, also: tuple[tuple[str, str], ...] = ()) -> Cell:
    """EMULATE: said by other means, and told."""
    return Cell(passes(*shows).shows, ((path, "emulated"), *also))


def changes(path: str, *shows: Any) -> Cell:
    """MAP to the nearest there is, and told."""
    return Cell(passes(*shows).shows, ((path, "changed"),))


def rejects(param: str) -> Cell:
    """REJECT: 400 in the client's dialect, with the member's path."""
    return Cell(refused=param)


# --------------------------------------------------------------------------- requests

HI = {"role": "user", "content": "hi"}
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": ["a"],
    "additionalProperties": False,
}
F = {"name": "f", "input_schema": {"type": "object", "properties": {}}}
F_CHAT = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
G_CHAT = {"type": "function", "function": {"name": "g", "parameters": {"type": "object"}}}
PNG = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
PNG_URL = "data:image/png;base64,iVBORw0KGgo="
PDF = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
PDF_URL = "data:application/pdf;base64,JVBERi0="
CALL = {
    "role": "assistant",
    "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {}}],
}
CHAT_CALL = {
    "role": "assistant",
    "tool_calls": [{"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}


def user(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(blocks)}]}


def assistant(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [HI, {"role": "assistant", "content": list(blocks)}, HI]}


def result(**block: Any) -> dict[str, Any]:
    told = {"type": "tool_result", "tool_use_id": "t1", **block}
    return {"tools": [F], "messages": [HI, CALL, {"role": "user", "content": [told]}]}


@dataclass(frozen=True)
class Row:
    """A feature: how the client says it, and a cell for each provider."""

    name: str
    client: str
    said: dict[str, Any]
    cells: dict[str, Cell]
    models: dict[str, str] | None = None


def every(*names: str, is_: Cell) -> dict[str, Cell]:
    return dict.fromkeys(names, is_)


CHATS = ("openai", "groq", "openrouter", "mistral", "deepseek")
FOREIGN = ("groq", "mistral", "deepseek")

ROWS = [
    # ------------------------------------------------------------------ instructions
    Row(
        "system prompt",
        "anthropic",
        {"system": "s"},
        every(*CHATS, is_=passes("messages.0", {"role": "system", "content": "s"})),
    ),
    Row(
        "system prompt to Anthropic",
        "chat",
        {"messages": [{"role": "developer", "content": "s"}, HI]},
        {"anthropic": passes("system", "s", "messages", [HI])},
    ),
    Row(
        "system prompt to a reasoning model of OpenAI",
        "anthropic",
        {"system": "s"},
        {"openai": passes("messages.0.role", "developer")},
        {"openai": "gpt-5"},
    ),
    Row(
        "system in the middle",
        "anthropic",
        {
            "messages": [
                HI,
                {"role": "assistant", "content": "a"},
                {"role": "system", "content": "s"},
                HI,
            ]
        },
        every(*CHATS, is_=passes("messages.2", {"role": "system", "content": "s"})),
    ),
    Row(
        "system in the middle, older Claude",
        "chat",
        {
            "messages": [
                HI,
                {"role": "assistant", "content": "a"},
                {"role": "system", "content": "s"},
            ]
        },
        {"anthropic": emulates("messages[2]", "messages.2.content", "<system>\ns\n</system>")},
    ),
    Row(
        "system in the middle, newer Claude",
        "chat",
        {
            "messages": [
                HI,
                {"role": "assistant", "content": "a"},
                HI,
                {"role": "system", "content": "s"},
            ]
        },
        {"anthropic": passes("messages.3", {"role": "system", "content": "s"})},
        {"anthropic": "claude-opus-5"},
    ),
    Row(
        # Mistral's order (§1.8): only the assistant may speak after a result.
        "system after a tool's result",
        "chat",
        {
            "tools": [F_CHAT],
            "messages": [
                HI,
                CHAT_CALL,
                {"role": "tool", "tool_call_id": "t1", "content": "r"},
                {"role": "system", "content": "s"},
            ],
        },
        {
            "mistral": passes("messages.3.role", "assistant", "messages.4.role", "system"),
            "openai": passes("messages.3.role", "system"),
        },
    ),
    # ------------------------------------------------------------------ tools
    Row(
        "a required tool",
        "anthropic",
        {"tools": [F], "tool_choice": {"type": "any"}},
        every(*CHATS, is_=passes("tool_choice", "required", "tools.0.function.name", "f")),
    ),
    Row(
        "a required tool at Anthropic",
        "chat",
        {"tools": [F_CHAT], "tool_choice": "required"},
        {"anthropic": passes("tool_choice", {"type": "any"})},
    ),
    Row(
        "a required tool at a model that cannot be forced (P171)",
        "chat",
        {"tools": [F_CHAT], "tool_choice": "required"},
        {"anthropic": changes("tool_choice", "tool_choice", {"type": "auto"})},
        {"anthropic": "claude-fable-5"},
    ),
    Row(
        "a required tool while thinking (P56)",
        "chat",
        {"tools": [F_CHAT], "tool_choice": "required", "reasoning_effort": "high"},
        {
            "anthropic": changes("tool_choice", "tool_choice", {"type": "auto"}),
            "deepseek": changes("tool_choice", "tool_choice", "auto"),
            "groq": passes("tool_choice", "required"),
            "openrouter": passes("tool_choice", "required"),
            "mistral": passes("tool_choice", "required"),
        },
    ),
    Row(
        # Thinking that nobody asked for gives way to what was asked for.
        "a required tool at a model that thinks unasked",
        "anthropic",
        {"tools": [F], "tool_choice": {"type": "any"}},
        {"deepseek": changes("thinking", "tool_choice", "required", "thinking.type", "disabled")},
        {"deepseek": "deepseek-v4-flash"},
    ),
    Row(
        "a named tool",
        "anthropic",
        {"tools": [F], "tool_choice": {"type": "tool", "name": "f"}},
        every(*CHATS, is_=passes("tool_choice", {"type": "function", "function": {"name": "f"}})),
    ),
    Row(
        "a named tool at Anthropic",
        "chat",
        {"tools": [F_CHAT], "tool_choice": {"type": "function", "function": {"name": "f"}}},
        {"anthropic": passes("tool_choice", {"type": "tool", "name": "f"})},
    ),
    Row(
        "no tool",
        "anthropic",
        {"tools": [F], "tool_choice": {"type": "none"}},
        every(*CHATS, is_=passes("tool_choice", "none", "tools.0.function.name", "f")),
    ),
    Row(
        "no tool at Anthropic",
        "chat",
        {"tools": [F_CHAT], "tool_choice": "none"},
        {"anthropic": passes("tool_choice", {"type": "none"}, "tools.0.name", "f")},
    ),
    Row(
        "some of the tools",
        "chat",
        {
            "tools": [F_CHAT, G_CHAT],
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [{"type": "function", "function": {"name": "g"}}],
                },
            },
        },
        {
            "openai": passes("tool_choice.type", "allowed_tools", "tools.1.function.name", "g"),
            "anthropic": emulates(
                "tool_choice", "tools.0.name", "g", "tool_choice", {"type": "any"}
            ),
            **every(
                "groq",
                "openrouter",
                "mistral",
                "deepseek",
                is_=emulates("tool_choice", "tools.0.function.name", "g", "tools.1", ABSENT),
            ),
        },
    ),
    Row(
        # DeepSeek's reference lacks the member, but it answers requests that hold it; leaving it
        # out would lose it for certain (the provider's file says so).
        "one call at a time",
        "anthropic",
        {"tools": [F], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
        every(*CHATS, is_=passes("parallel_tool_calls", OFF)),
    ),
    Row(
        "one call at a time at Anthropic",
        "chat",
        {"tools": [F_CHAT], "parallel_tool_calls": False},
        {"anthropic": passes("tool_choice", {"type": "auto", "disable_parallel_tool_use": True})},
    ),
    Row(
        "a tool of free text",
        "chat",
        {"tools": [{"type": "custom", "custom": {"name": "g"}}]},
        {
            "openai": passes("tools.0", {"type": "custom", "custom": {"name": "g"}}),
            "anthropic": passes("tools.0.input_schema.required", ["input"]),
            **every(
                "groq",
                "openrouter",
                "mistral",
                "deepseek",
                is_=passes("tools.0.function.parameters.required", ["input"]),
            ),
        },
    ),
    Row(
        "a tool with a grammar",
        "chat",
        {
            "tools": [
                {
                    "type": "custom",
                    "custom": {
                        "name": "g",
                        "format": {
                            "type": "grammar",
                            "grammar": {"definition": "x", "syntax": "lark"},
                        },
                    },
                }
            ]
        },
        {
            "openai": passes("tools.0.custom.format.grammar.syntax", "lark"),
            "anthropic": emulates("tools[0].format"),
            **every(
                "groq", "openrouter", "mistral", "deepseek", is_=emulates("tools[0].custom.format")
            ),
        },
    ),
    Row(
        "a hosted tool",
        "anthropic",
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        {
            **every(*CHATS, is_=rejects("tools[0]")),
            "anthropic": passes("tools.0.name", "web_search"),
        },
    ),
    Row(
        # One family: what the provider makes of it is for it to say (P65).
        "web search of the chat family",
        "chat",
        {"web_search_options": {}},
        {"anthropic": rejects("tools[0]"), **every(*CHATS, is_=passes("web_search_options", {}))},
    ),
    Row(
        "a tool with an enforced schema",
        "chat",
        {
            "tools": [
                {
                    "type": "function",
                    "function": {"name": "f", "strict": True, "parameters": SCHEMA},
                }
            ]
        },
        {
            "anthropic": passes("tools.0.strict", ON),
            "groq": passes("tools.0.function.strict", ON),
            "deepseek": drops("tools[0].strict", without="tools.0.function.strict"),
        },
    ),
    # ------------------------------------------------------------------ media
    Row(
        "an image in bytes",
        "anthropic",
        user({"type": "image", "source": PNG}),
        every(*CHATS, is_=passes("messages.0.content.0.image_url.url", PNG_URL)),
        {"groq": SEEING},
    ),
    Row(
        "an image in bytes at Anthropic",
        "chat",
        user({"type": "image_url", "image_url": {"url": PNG_URL}}),
        {"anthropic": passes("messages.0.content.0", {"type": "image", "source": PNG})},
    ),
    Row(
        "an image of a kind that Anthropic does not take (P80)",
        "chat",
        user({"type": "image_url", "image_url": {"url": "data:image/tiff;base64,SUkqAA=="}}),
        {"anthropic": rejects("messages[0].content[0]")},
    ),
    Row(
        "an image by address",
        "anthropic",
        user({"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}),
        every(*CHATS, is_=passes("messages.0.content.0.image_url.url", "https://x/y.png")),
        {"groq": SEEING},
    ),
    Row(
        "an image by address at Anthropic",
        "chat",
        user({"type": "image_url", "image_url": {"url": "https://x/y.png"}}),
        {
            "anthropic": passes(
                "messages.0.content.0.source", {"type": "url", "url": "https://x/y.png"}
            )
        },
    ),
    Row(
        "a PDF",
        "anthropic",
        user({"type": "document", "source": PDF}),
        {
            "openai": passes("messages.0.content.0.file.file_data", PDF_URL),
            "openrouter": passes("messages.0.content.0.file.file_data", PDF_URL),
            "mistral": passes("messages.0.content.0.document_url", PDF_URL),
            **every("groq", "deepseek", is_=rejects("messages[0].content[0]")),
        },
    ),
    Row(
        "a PDF at Anthropic",
        "chat",
        user({"type": "file", "file": {"file_data": PDF_URL, "filename": "a.pdf"}}),
        {
            "anthropic": passes(
                "messages.0.content.0.source", PDF, "messages.0.content.0.title", "a.pdf"
            )
        },
    ),
    Row(
        "a PDF by address (P185)",
        "anthropic",
        user({"type": "document", "source": {"type": "url", "url": "https://x/y.pdf"}}),
        {
            **every("openai", "groq", "deepseek", is_=rejects("messages[0].content[0]")),
            "openrouter": passes("messages.0.content.0.file.file_data", "https://x/y.pdf"),
            "mistral": passes("messages.0.content.0.document_url", "https://x/y.pdf"),
        },
    ),
    Row(
        # Groq's own ``documents`` stand beside the conversation; the text in its place says more.
        "a text document to cite",
        "anthropic",
        user(
            {
                "type": "document",
                "title": "T",
                "citations": {"enabled": True},
                "source": {"type": "text", "media_type": "text/plain", "data": "words"},
            }
        ),
        every(
            *CHATS,
            is_=emulates(
                "messages[0].content[0]",
                "messages.0.content",
                "T\n\nwords",
                also=(("messages[0].content[0].citations", "dropped"),),
            ),
        ),
    ),
    Row(
        "a search result to cite",
        "anthropic",
        user(
            {
                "type": "search_result",
                "title": "T",
                "source": "s",
                "citations": {"enabled": True},
                "content": [{"type": "text", "text": "words"}],
            }
        ),
        every(
            *CHATS,
            is_=emulates(
                "messages[0].content[0]", also=(("messages[0].content[0].citations", "dropped"),)
            ),
        ),
    ),
    Row(
        "sound",
        "chat",
        user({"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}),
        {
            "openai": passes("messages.0.content.0.input_audio.format", "wav"),
            "openrouter": passes("messages.0.content.0.input_audio.format", "wav"),
            "mistral": passes("messages.0.content.0.input_audio", "UklGRg=="),
            **every("anthropic", "groq", "deepseek", is_=rejects("messages[0].content[0]")),
        },
    ),
    Row(
        "a film",
        "chat",
        user({"type": "video_url", "video_url": {"url": "https://x/y.mp4"}}),
        {
            "openrouter": passes("messages.0.content.0.video_url.url", "https://x/y.mp4"),
            **every("openai", "anthropic", *FOREIGN, is_=rejects("messages[0].content[0]")),
        },
    ),
    Row(
        "an answer in sound",
        "chat",
        {"modalities": ["text", "audio"], "audio": {"format": "wav", "voice": "a"}},
        {
            **every("openai", "openrouter", is_=passes("modalities", ["text", "audio"])),
            **every("anthropic", *FOREIGN, is_=rejects("modalities")),
        },
    ),
    Row(
        "how the answer would sound",
        "chat",
        {"audio": {"format": "wav", "voice": "a"}},
        {"openai": passes("audio.voice", "a"), **every("anthropic", *FOREIGN, is_=drops("audio"))},
    ),
    Row(
        "a file stored at Anthropic (P82)",
        "anthropic",
        user({"type": "image", "source": {"type": "file", "file_id": "f"}}),
        every(*CHATS, is_=rejects("messages[0].content[0]")),
    ),
    Row(
        "a file stored in the chat family (P82)",
        "chat",
        user({"type": "file", "file": {"file_id": "f"}}),
        {
            "anthropic": rejects("messages[0].content[0]"),
            "openai": passes("messages.0.content.0.file.file_id", "f"),
        },
    ),
    Row(
        "how closely to look at an image",
        "chat",
        user({"type": "image_url", "image_url": {"url": PNG_URL, "detail": "original"}}),
        {
            "openai": passes("messages.0.content.0.image_url.detail", "original"),
            "anthropic": drops(
                "messages[0].content[0].detail", without="messages.0.content.0.detail"
            ),
            **every(
                "groq",
                "mistral",
                is_=drops(
                    "messages[0].content[0].detail",
                    without="messages.0.content.0.image_url.detail",
                ),
            ),
        },
        {"groq": SEEING},
    ),
    # ------------------------------------------------------------------ the answer's form
    Row(
        "a schema",
        "anthropic",
        {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        {
            **every(
                "openai",
                "groq",
                "openrouter",
                "mistral",
                is_=passes("response_format.json_schema.schema", SCHEMA),
            ),
            "deepseek": emulates(
                "response_format.json_schema", "response_format", {"type": "json_object"}
            ),
        },
    ),
    Row(
        "a schema at Anthropic",
        "chat",
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": SCHEMA},
            }
        },
        {"anthropic": passes("output_config.format.schema.required", ["a"], "tools", ABSENT)},
    ),
    Row(
        "a schema at an older Claude (P64)",
        "chat",
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": SCHEMA},
            }
        },
        {"anthropic": emulates("response_format", "tool_choice.name", "json_response")},
        {"anthropic": "claude-3-5-sonnet"},
    ),
    Row(
        # Groq and DeepSeek refuse it where the word stands nowhere (P123), so it is added, and told.
        "any JSON",
        "chat",
        {"response_format": {"type": "json_object"}},
        {
            **every(
                "openai",
                "openrouter",
                "mistral",
                is_=passes("response_format.type", "json_object"),
            ),
            **every(
                "groq",
                "deepseek",
                is_=emulates("response_format", "response_format.type", "json_object"),
            ),
            "anthropic": emulates("response_format", "output_config", ABSENT),
        },
    ),
    # ------------------------------------------------------------------ sampling
    Row(
        "several answers",
        "chat",
        {"n": 2},
        {
            **every("openai", "openrouter", "mistral", is_=passes("n", 2)),
            **every("anthropic", "groq", "deepseek", is_=rejects("n")),
        },
    ),
    Row(
        "log probabilities",
        "chat",
        {"logprobs": True, "top_logprobs": 2},
        {
            **every("openai", "openrouter", "mistral", "deepseek", is_=passes("top_logprobs", 2)),
            **every("anthropic", "groq", is_=drops("logprobs", "top_logprobs")),
        },
    ),
    Row(
        "log probabilities of a model that thinks",
        "chat",
        {"logprobs": True, "reasoning_effort": "high"},
        every("openai", "deepseek", is_=drops("logprobs")),
        {"openai": "gpt-5"},
    ),
    Row(
        "biases of tokens (P118)",
        "chat",
        {"logit_bias": {"1": 1}},
        {
            **every("openai", "openrouter", is_=passes("logit_bias", {"1": 1})),
            **every("anthropic", *FOREIGN, is_=drops("logit_bias")),
        },
    ),
    Row(
        # DeepSeek's reference lacks it, but it answers requests that hold it.
        "a seed, of 0 even",
        "chat",
        {"seed": 0},
        {
            **every("openai", "groq", "openrouter", "deepseek", is_=passes("seed", 0)),
            "mistral": passes("random_seed", 0, "seed", ABSENT),
            "anthropic": drops("seed"),
        },
    ),
    Row(
        "stop sequences",
        "anthropic",
        {"stop_sequences": ["x"]},
        every(*CHATS, is_=passes("stop", ["x"])),
    ),
    Row(
        "stop sequences at Anthropic",
        "chat",
        {"stop": "x"},
        {"anthropic": passes("stop_sequences", ["x"])},
    ),
    Row(
        "top_k",
        "anthropic",
        {"top_k": 5},
        {
            **every("openrouter", "mistral", "anthropic", is_=passes("top_k", 5)),
            **every("openai", "groq", "deepseek", is_=drops("top_k")),
        },
    ),
    Row(
        "min_p",
        "chat",
        {"min_p": 0.1},
        {
            "openrouter": passes("min_p", 0.1),
            **every("openai", "anthropic", *FOREIGN, is_=drops("min_p")),
        },
    ),
    Row(
        "penalties",
        "chat",
        {"frequency_penalty": 0.5, "presence_penalty": 0.25},
        {
            **every(*CHATS, is_=passes("frequency_penalty", 0.5, "presence_penalty", 0.25)),
            "anthropic": drops("frequency_penalty", "presence_penalty"),
        },
    ),
    Row(
        "a penalty of repetition",
        "chat",
        {"repetition_penalty": 1.1},
        {
            **every("openrouter", "mistral", is_=passes("repetition_penalty", 1.1)),
            **every("openai", "anthropic", "groq", "deepseek", is_=drops("repetition_penalty")),
        },
    ),
    Row(
        "temperature",
        "anthropic",
        {"temperature": 0.5},
        every(*CHATS, is_=passes("temperature", 0.5)),
    ),
    Row(
        "a temperature above Anthropic's",
        "chat",
        {"temperature": 1.5},
        {"anthropic": changes("temperature", "temperature", 1.0)},
    ),
    Row(
        "temperature at a model that refuses it (P112, P182)",
        "chat",
        {"temperature": 0.5},
        every("openai", "anthropic", is_=drops("temperature")),
        {"openai": "o3", "anthropic": "claude-opus-5"},
    ),
    # ------------------------------------------------------------------ thinking
    Row(
        "an effort",
        "anthropic",
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
        {
            **every("openai", "groq", "mistral", is_=passes("reasoning_effort", "high")),
            "openrouter": passes("reasoning", {"effort": "high"}),
            "deepseek": passes("thinking.type", "enabled", "reasoning_effort", "high"),
        },
        {"openai": "gpt-5"},
    ),
    Row(
        "an effort at a newer Claude",
        "chat",
        {"reasoning_effort": "high"},
        {"anthropic": passes("thinking", {"type": "adaptive"}, "output_config.effort", "high")},
        {"anthropic": "claude-opus-5"},
    ),
    Row(
        "an effort at an older Claude",
        "chat",
        {"reasoning_effort": "low", "max_tokens": 9000},
        {"anthropic": passes("thinking", {"type": "enabled", "budget_tokens": 2048})},
    ),
    Row(
        "no thinking",
        "chat",
        {"reasoning_effort": "none"},
        {
            **every("openai", "groq", "mistral", is_=passes("reasoning_effort", "none")),
            "openrouter": passes("reasoning", {"effort": "none"}),
            **every("anthropic", "deepseek", is_=passes("thinking", {"type": "disabled"})),
        },
        {"openai": "gpt-5.1"},
    ),
    Row(
        "a budget",
        "anthropic",
        {"thinking": {"type": "enabled", "budget_tokens": 5000}, "max_tokens": 9000},
        {
            **every("openai", "groq", "mistral", is_=passes("reasoning_effort", "medium")),
            "openrouter": passes("reasoning", {"max_tokens": 5000}),
            "deepseek": passes("reasoning_effort", "high"),  # its medium (P107)
        },
        {"openai": "gpt-5"},
    ),
    Row(
        "a budget at a Claude that takes none (P172)",
        "chat",
        {"reasoning": {"max_tokens": 5000}},
        {
            "anthropic": changes(
                "reasoning.max_tokens",
                "thinking.type",
                "adaptive",
                "output_config.effort",
                "medium",
            )
        },
        {"anthropic": "claude-opus-5"},
    ),
    Row(
        "thinking kept to oneself",
        "anthropic",
        {
            "thinking": {"type": "adaptive", "display": "omitted"},
            "output_config": {"effort": "low"},
        },
        {
            "openai": passes("reasoning_effort", "low"),
            "groq": passes("reasoning_format", "hidden"),
            "openrouter": passes("reasoning", {"effort": "low", "exclude": True}),
            "mistral": passes("reasoning_effort", "low"),
            "deepseek": drops("reasoning.visibility"),
        },
        {"openai": "gpt-5"},
    ),
    Row(
        "thinking shown",
        "chat",
        {"reasoning_effort": "high", "include_reasoning": True},
        {
            "anthropic": passes("thinking", {"type": "adaptive", "display": "summarized"}),
            "groq": passes("reasoning_format", "parsed"),
            "openai": drops("reasoning.visibility"),
        },
        {"openai": "gpt-5", "anthropic": "claude-opus-5"},
    ),
    Row(
        "thinking of a model that does not think",
        "anthropic",
        {"thinking": {"type": "enabled", "budget_tokens": 2000}, "max_tokens": 4000},
        every("openai", "groq", "anthropic", is_=drops("reasoning_effort")),
        {"groq": "llama-3.3-70b-versatile", "anthropic": "claude-3-5-haiku"},
    ),
    Row(
        "no thinking of a model that does not think",
        "anthropic",
        {"thinking": {"type": "disabled"}},
        every(
            "openai",
            "groq",
            "anthropic",
            is_=passes("reasoning_effort", ABSENT, "thinking", ABSENT),
        ),
        {"groq": "llama-3.3-70b-versatile", "anthropic": "claude-3-5-haiku"},
    ),
    Row(
        "thoughts of nobody in the history",
        "anthropic",
        assistant(
            {"type": "thinking", "thinking": "t", "signature": ""}, {"type": "text", "text": "a"}
        ),
        {
            **every(
                "openai",
                "anthropic",
                is_=Cell((("messages.1.content", "a"),), (("messages[1].content[0]", "dropped"),)),
            ),
            **every("groq", "openrouter", is_=passes("messages.1.reasoning", "t")),
            "mistral": passes("messages.1.content.0.type", "thinking"),
            "deepseek": passes("messages.1.reasoning_content", "t"),
        },
    ),
    Row(
        "thoughts that Anthropic signed, elsewhere (P93)",
        "anthropic",
        assistant(
            {"type": "thinking", "thinking": "t", "signature": "s"}, {"type": "text", "text": "a"}
        ),
        every(
            *CHATS,
            is_=Cell((("messages.1.content", "a"),), (("messages[1].content[0]", "dropped"),)),
        ),
    ),
    Row(
        "thoughts that Anthropic signed, to Claude by way of OpenRouter",
        "anthropic",
        assistant(
            {"type": "thinking", "thinking": "t", "signature": "s"}, {"type": "text", "text": "a"}
        ),
        {"openrouter": passes("messages.1.reasoning_details.0.signature", "s")},
        {"openrouter": "anthropic/claude-opus-5"},
    ),
    Row(
        "thoughts without a signature to Anthropic (P93)",
        "chat",
        {"messages": [HI, {"role": "assistant", "reasoning_content": "t", "content": "a"}, HI]},
        {
            "anthropic": Cell(
                (("messages.1.content", "a"),), (("messages[1].content[0]", "dropped"),)
            )
        },
    ),
    # ------------------------------------------------------------------ caches
    Row(
        "a cache mark (P124)",
        "anthropic",
        {"system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}]},
        {
            "openai": passes("messages.0.content.0.prompt_cache_breakpoint", {"mode": "explicit"}),
            "openrouter": passes("messages.0.content.0.cache_control", {"type": "ephemeral"}),
            **every(
                *FOREIGN, is_=drops("system[0].cache_control", without="messages.0.content.0.x")
            ),
        },
    ),
    Row(
        "a cache mark at Anthropic",
        "chat",
        user(
            {
                "type": "text",
                "text": "hi",
                "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"},
            }
        ),
        {
            "anthropic": changes(
                "messages[0].content[0].cache_control.ttl",
                "messages.0.content.0.cache_control",
                {"type": "ephemeral", "ttl": "1h"},
            )
        },
    ),
    Row(
        "a cache mark on a tool",
        "anthropic",
        {"tools": [{**F, "cache_control": {"type": "ephemeral"}}]},
        {
            "openrouter": passes("tools.0.cache_control", {"type": "ephemeral"}),
            **every(
                "openai",
                *FOREIGN,
                is_=drops("tools[0].cache_control", without="tools.0.cache_control"),
            ),
        },
    ),
    Row(
        "a cache mark for all",
        "anthropic",
        {"cache_control": {"type": "ephemeral"}},
        {
            "openrouter": passes("cache_control", {"type": "ephemeral"}),
            **every("openai", *FOREIGN, is_=drops("cache_control")),
        },
    ),
    Row(
        "a cache's key and time",
        "chat",
        {"prompt_cache_key": "k", "prompt_cache_retention": "24h"},
        {
            **every("openai", "openrouter", is_=passes("prompt_cache_key", "k")),
            "mistral": Cell(
                (("prompt_cache_key", "k"),), (("prompt_cache_retention", "dropped"),)
            ),
            **every(
                "anthropic",
                "groq",
                "deepseek",
                is_=drops("prompt_cache_key", "prompt_cache_retention"),
            ),
        },
    ),
    # ------------------------------------------------------------------ about the call
    Row(
        "who asks",
        "anthropic",
        {"metadata": {"user_id": "u"}},
        {
            **every("openai", "groq", "openrouter", is_=passes("user", "u")),
            **every("mistral", "deepseek", is_=drops("user")),
        },
    ),
    Row(
        "who asks Anthropic", "chat", {"user": "u"}, {"anthropic": passes("metadata.user_id", "u")}
    ),
    Row(
        "labels and storage",
        "chat",
        {"metadata": {"a": "b"}, "store": True},
        {
            **every(
                "openai", "groq", "openrouter", is_=passes("metadata", {"a": "b"}, "store", ON)
            ),
            "mistral": Cell(
                (("metadata", {"a": "b"}), ("store", ABSENT)), (("store", "dropped"),)
            ),
            **every("anthropic", "deepseek", is_=drops("metadata", "store")),
        },
    ),
    *(
        Row(
            f"a safeguard: {name} (§5: only where it is not the same dialect)",
            "chat",
            {name: value},
            {"anthropic": rejects(name), **every(*CHATS, is_=passes(name, value))},
        )
        for name, value in {
            "moderation": {"policy": "block"},
            "safe_prompt": True,
            "guardrails": [{"block_on_error": True}],
        }.items()
    ),
    Row(
        "a tier",
        "anthropic",
        {"service_tier": "standard_only"},
        {
            **every("openai", "openrouter", is_=passes("service_tier", "default")),
            "groq": passes("service_tier", "on_demand"),
            "mistral": passes("service_tier", "standard_only"),
            "deepseek": passes("service_tier", ABSENT),  # it has no other
        },
    ),
    Row(
        "a tier that others lack",
        "chat",
        {"service_tier": "flex"},
        {
            **every("openai", "groq", "openrouter", is_=passes("service_tier", "flex")),
            **every("anthropic", "mistral", "deepseek", is_=drops("service_tier")),
        },
    ),
    Row(
        "priority",
        "chat",
        {"service_tier": "priority"},
        {
            "groq": passes("service_tier", "performance"),
            "anthropic": changes("service_tier", "service_tier", "auto"),
        },
    ),
    Row("speed", "anthropic", {"speed": "fast"}, every(*CHATS, is_=drops("speed"))),
    Row(
        "a prediction",
        "chat",
        {"prediction": {"type": "content", "content": "x"}},
        {
            **every("openai", "openrouter", "mistral", is_=passes("prediction.content", "x")),
            **every("anthropic", "groq", "deepseek", is_=drops("prediction")),
        },
    ),
    Row(
        "verbosity",
        "chat",
        {"verbosity": "low"},
        {
            **every("openai", "openrouter", is_=passes("verbosity", "low")),
            **every("anthropic", *FOREIGN, is_=drops("verbosity")),
        },
    ),
    # ------------------------------------------------------------------ history
    Row(
        "an answer begun (P76, P154)",
        "anthropic",
        {"messages": [HI, {"role": "assistant", "content": "a"}]},
        {
            **every(
                "openai", "groq", "deepseek", is_=changes("messages[1]", "messages.1.content", "a")
            ),
            "openrouter": passes("messages.1.content", "a"),
            "mistral": passes("messages.1.prefix", ON),
        },
    ),
    Row(
        "an answer begun, older Claude",
        "chat",
        {"messages": [HI, {"role": "assistant", "content": "a"}]},
        {"anthropic": passes("messages.1.content", "a")},
    ),
    Row(
        "an answer begun, newer Claude",
        "chat",
        {"messages": [HI, {"role": "assistant", "content": "a"}]},
        {"anthropic": rejects("messages")},
        {"anthropic": "claude-opus-5"},
    ),
    Row(
        "a tool that failed (P53)",
        "anthropic",
        result(content="bad", is_error=True),
        every(
            *CHATS,
            is_=emulates("messages[2].content[0].is_error", "messages.2.content", "Error: bad"),
        ),
    ),
    Row(
        # §1.6 and §3.1 have parts in Groq's tool messages; §5's cell for Groq is older than they are.
        "a tool's result with an image (P52)",
        "anthropic",
        result(content=[{"type": "image", "source": PNG}]),
        {
            **every(
                "openai",
                "deepseek",
                is_=emulates(
                    "messages[2].content[0].content[0]",
                    "messages.3.content.1.image_url.url",
                    PNG_URL,
                ),
            ),
            **every(
                "groq",
                "openrouter",
                "mistral",
                is_=passes("messages.2.content.0.image_url.url", PNG_URL),
            ),
        },
        {"groq": SEEING},
    ),
    Row(
        "citations in the history",
        "anthropic",
        assistant(
            {
                "type": "text",
                "text": "a",
                "citations": [
                    {
                        "type": "char_location",
                        "cited_text": "x",
                        "document_index": 0,
                        "start_char_index": 0,
                        "end_char_index": 1,
                    }
                ],
            }
        ),
        {
            **every(*CHATS, is_=drops("messages[1].content[0].citations")),
            "anthropic": passes("messages.1.content.0.citations.0.cited_text", "x"),
        },
    ),
    Row(
        "annotations in the history",
        "chat",
        {
            "messages": [
                HI,
                {"role": "assistant", "content": "a", "annotations": [{"type": "x"}]},
                HI,
            ]
        },
        {
            "anthropic": drops("messages[1].annotations"),
            "openai": passes("messages.1.annotations", [{"type": "x"}]),
        },
    ),
    Row(
        # As OpenAI's own client sends back what it was told.
        "members in the history that say nothing",
        "chat",
        {"messages": [HI, {"role": "assistant", "content": "a", "annotations": []}, HI]},
        {"anthropic": passes("messages.1", {"role": "assistant", "content": "a"})},
    ),
    Row(
        "a refusal in the history (P86)",
        "chat",
        {"messages": [HI, {"role": "assistant", "content": None, "refusal": "no"}, HI]},
        {
            **every("openai", "openrouter", is_=passes("messages.1.refusal", "no")),
            **every("anthropic", *FOREIGN, is_=passes("messages.1.content", "no")),
        },
    ),
    Row(
        "the assistant's sound in the history (P87)",
        "chat",
        {"messages": [HI, {"role": "assistant", "audio": {"id": "a"}}, HI]},
        {
            **every("openai", "openrouter", is_=passes("messages.1.audio.id", "a")),
            **every("anthropic", *FOREIGN, is_=rejects("messages[1].content[0]")),
        },
    ),
    Row(
        "a name (P77)",
        "chat",
        {"messages": [{**HI, "name": "bob"}]},
        {
            **every("openai", "openrouter", "deepseek", is_=passes("messages.0.name", "bob")),
            **every(
                "anthropic",
                "groq",
                "mistral",
                is_=drops("messages[0].name", without="messages.0.name"),
            ),
        },
    ),
    # ------------------------------------------------------------------ what nobody knows
    Row("an unknown member", "anthropic", {"zzz": 1}, every(*CHATS, is_=drops("zzz"))),
    Row("an unknown member to Anthropic", "chat", {"zzz": 1}, {"anthropic": drops("zzz")}),
    *(
        Row(
            f"an unknown member of {path}",
            "chat",
            said,
            {"anthropic": drops(f"{path}.zzz")},
        )
        for path, said in {
            "messages[0]": {"messages": [{**HI, "zzz": 1}]},
            "messages[0].content[0]": user({"type": "text", "text": "hi", "zzz": 1}),
            "tools[0]": {"tools": [{**F_CHAT, "zzz": 1}]},
        }.items()
    ),
    Row(
        "an unknown member of a block",
        "anthropic",
        user({"type": "text", "text": "hi", "zzz": 1}),
        every(*CHATS, is_=drops("messages[0].content[0].zzz")),
    ),
    Row(
        "an unknown block",
        "anthropic",
        user({"type": "container_upload", "file_id": "f"}),
        {
            **every(*CHATS, is_=rejects("messages[0].content[0]")),
            "anthropic": passes("messages.0.content.0.file_id", "f"),
        },
    ),
    Row(
        "an unknown part (P88)",
        "chat",
        user({"type": "hologram", "x": 1}),
        every(*MODELS, is_=rejects("messages[0].content[0].type")),
    ),
    Row(
        "another provider's container",
        "anthropic",
        {"container": "c"},
        every(*CHATS, is_=rejects("container")),
    ),
    # ------------------------------------------------------------------ bounds
    Row(
        "a bound",
        "anthropic",
        {"max_tokens": 77},
        {
            "openai": passes("max_completion_tokens", 77, "max_tokens", ABSENT),
            **every(
                "groq",
                "openrouter",
                "mistral",
                "deepseek",
                is_=passes("max_tokens", 77, "max_completion_tokens", ABSENT),
            ),
        },
    ),
    Row(
        "a bound at Anthropic", "chat", {"max_tokens": 77}, {"anthropic": passes("max_tokens", 77)}
    ),
    Row(
        "a warm cache and no answer (P170)",
        "anthropic",
        {"max_tokens": 0},
        {**every(*CHATS, is_=rejects("max_tokens")), "anthropic": passes("max_tokens", 0)},
    ),
    Row(
        "usage of a stream",
        "anthropic",
        {"stream": True},
        {
            **every(
                "openai",
                "groq",
                "openrouter",
                "deepseek",
                is_=passes("stream_options", {"include_usage": True}),
            ),
            "mistral": passes("stream", ON, "stream_options", ABSENT),
        },
    ),
]

CASES = [(row, provider) for row in ROWS for provider in row.cells]


def written(row: Row, provider: str) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The provider's request, and its losses, as attempt would have them."""
    at = PROVIDERS[provider]
    model = (row.models or {}).get(provider, MODELS[provider])
    capability = capability_of(at.family, at.quirks.flavour, model)
    target = Target(provider, model, at.quirks, capability)
    bounded = {"max_tokens": 4000} if row.client == "anthropic" else {}
    said = {"model": "m", "messages": [HI], **bounded, **row.said}
    request = DIALECTS[row.client].read_request(json.dumps(said).encode())
    out = DIALECTS[at.family].write_request(request, target)
    return json.loads(out.body), [(loss.path, loss.action) for loss in out.losses]


def found(value: Any, path: str) -> Any:
    """What stands at a dotted path; ABSENT if nothing does."""
    for step in path.split("."):
        try:
            value = value[int(step) if isinstance(value, list) else step]
        except (KeyError, IndexError, TypeError, ValueError):
            return ABSENT
    return value


@pytest.mark.parametrize(
    ("row", "provider"), CASES, ids=[f"{row.name} -> {provider}" for row, provider in CASES]
)
def test_a_feature_arrives_or_its_loss_is_told_or_it_is_refused(row: Row, provider: str) -> None:
    cell = row.cells[provider]
    if cell.refused is not None:
        with pytest.raises(CallerError) as caught:
            written(row, provider)
        assert (caught.value.status, caught.value.param) == (400, cell.refused)
        return
    body, losses = written(row, provider)
    assert {path: found(body, path) for path, _ in cell.shows} == dict(cell.shows)
    assert sorted(losses) == sorted(cell.losses)


def test_every_provider_has_a_say_in_most_rows() -> None:
    """The table is as wide as the policy's: nobody is forgotten."""
    seen = {provider: sum(provider in row.cells for row in ROWS) for provider in MODELS}
    assert min(seen.values()) > 45, seen
