"""What the mock says: decided from the request, its script and a seed, and from nothing else."""

from __future__ import annotations

import re
from typing import Any, Literal, TypeAlias
from zlib import crc32

import msgspec
from msgspec import Struct

from dragoman.mock.ask import Ask, Tool, tokens
from dragoman.mock.sample import fitting
from dragoman.mock.script import Script

__all__ = ["NOTHING", "Answer", "Billed", "ToolCall", "answer", "pieces"]

_WORDS = (
    "river stone lantern window garden harbour letter market bridge candle forest mirror silver "
    "copper violin winter summer meadow castle feather compass marble shadow thunder orchard "
    "island needle paper pepper saddle temple tunnel valley velvet wagon willow "
)
_USUAL_LENGTH = 160
_PIECE = re.compile(r"\S+\s*|\s+")

End: TypeAlias = Literal["stop", "length", "tools"]


class ToolCall(Struct, frozen=True):
    """A call of a tool; ``arguments`` is JSON text of an object."""

    id: str
    name: str
    arguments: str


class Billed(Struct, frozen=True):
    """Tokens of one answer; ``input`` counts the cached ones too, ``output`` the thinking."""

    input: int
    output: int
    thinking: int = 0
    cached: int = 0
    cache_write: int = 0


NOTHING = Billed(0, 0)
"""What an error costs."""


class Answer(Struct, frozen=True):
    """One answer, complete, before any dialect."""

    text: str
    thinking: str
    calls: tuple[ToolCall, ...]
    end: End
    stop: str | None
    """The stop sequence that ended the text."""
    billed: Billed


def answer(ask: Ask, script: Script, number: int, seed: int) -> Answer:
    """The answer to ``ask``; ``number`` makes the ids of calls unique."""
    thinking = _thinking(ask, script)
    calls = _calls(ask, script, number)
    text = script.text if script.text is not None else "" if calls else _text(ask, script, seed)
    text, stop = _stopped(text, ask.stops)
    text, cut = _bounded(text, ask.max_tokens, tokens(thinking))
    written = tokens(text) + sum(tokens(call.arguments) + tokens(call.name) for call in calls)
    return Answer(
        text=text,
        thinking=thinking,
        calls=calls,
        end="tools" if calls else "length" if cut else "stop",
        stop=stop,
        billed=Billed(
            input=ask.input,
            output=(written + tokens(thinking)) * ask.n,
            thinking=tokens(thinking) * ask.n,
            cached=min(script.cached, ask.input),
            cache_write=min(script.cache_write, max(0, ask.input - script.cached)),
        ),
    )


def pieces(text: str, words: int) -> list[str]:
    """The text in runs of ``words`` words, nothing lost."""
    found = _PIECE.findall(text)
    if words == 1:
        return found
    return ["".join(found[i : i + words]) for i in range(0, len(found), words)]


def _thinking(ask: Ask, script: Script) -> str:
    if script.thinking is not None:
        return "" if script.thinking == "off" else script.thinking
    return f"The caller says: {ask.prompt[:80]} Let me think." if ask.thinks else ""


def _text(ask: Ask, script: Script, seed: int) -> str:
    if ask.results:
        text = "The tool answered: " + " | ".join(ask.results)
    elif ask.schema is not None:
        return _json(fitting(ask.schema) if ask.schema else {"answer": ask.prompt[:80]})
    elif ask.images:
        text = f"I see {len(ask.images)} image(s): {', '.join(ask.images)}. "
        text += f"You said: {ask.prompt[:80]}"
    else:
        text = _prose(f"You said: {ask.prompt[:80]} ", _USUAL_LENGTH, ask.prompt, seed)
    if script.length is None:
        return text
    return _prose(text, script.length, ask.prompt, seed)[: script.length]


def _prose(opening: str, length: int, prompt: str, seed: int) -> str:
    """``opening``, and words after it until ``length``: the same for the same prompt and seed."""
    if len(opening) >= length:
        return opening
    dice = crc32(prompt[:256].encode("utf-8", "replace"), seed & 0xFFFFFFFF)
    start = _WORDS.index(" ", dice % (len(_WORDS) - 1)) + 1
    turned = _WORDS[start:] + _WORDS[:start]
    missing = length - len(opening)
    return opening + (turned * (missing // len(turned) + 1))[:missing]


def _stopped(text: str, stops: tuple[str, ...]) -> tuple[str, str | None]:
    found = [(place, stop) for stop in stops if stop and (place := text.find(stop)) >= 0]
    if not found:
        return text, None
    place, stop = min(found)
    return text[:place], stop


def _bounded(text: str, limit: int | None, spent: int) -> tuple[str, bool]:
    if limit is None or tokens(text) + spent <= limit:
        return text, False
    room = max(0, limit - spent) * 4
    return text.encode("utf-8", "replace")[:room].decode("utf-8", "ignore"), True


def _calls(ask: Ask, script: Script, number: int) -> tuple[ToolCall, ...]:
    chosen = _scripted_tools(script.tool_calls, ask) if script.tool_calls else _tools(ask)
    return tuple(
        ToolCall(
            id=f"{number % 1_000_000:06d}{place:03d}",
            name=tool.name,
            arguments=_json(fitting(tool.schema)),
        )
        for place, tool in enumerate(chosen)
    )


def _scripted_tools(told: str, ask: Ask) -> list[Tool]:
    """The tools in turn, as often as told; or those named, on offer or not."""
    if told.isdecimal():
        offered = ask.tools or (Tool("mock_tool", {}),)
        return [offered[i % len(offered)] for i in range(int(told))]
    known = {tool.name: tool for tool in ask.tools}
    names = [name.strip() for name in told.split(",")]
    return [known.get(name, Tool(name, {})) for name in names if name]


def _tools(ask: Ask) -> list[Tool]:
    if not ask.tools or ask.choice == "none" or ask.results:
        return []
    named = [tool for tool in ask.tools if tool.name in ask.prompt]
    if ask.choice.startswith("="):
        return [tool for tool in ask.tools if tool.name == ask.choice[1:]]
    if ask.choice == "required":
        named = named or [ask.tools[0]]
    return named if ask.parallel else named[:1]


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
