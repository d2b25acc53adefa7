"""The tools that one answer calls, run beside each other, and their results as messages (R-FILE-008)."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

MOST_AT_ONCE = 8


def parallel(
    tool_calls: Sequence[Mapping[str, Any]],
    functions: Mapping[str, Callable[..., Any]],
    *,
    max_workers: int = MOST_AT_ONCE,
) -> list[dict[str, Any]]:
    """Runs every tool call; one ``tool`` message for each, in their order, matched by ``tool_call_id``.

    A function gets the call's arguments by name; it may be a coroutine function. Text is passed on as it is, all
    else as JSON. What a function raises, an unknown tool and arguments that cannot be read become the result
    of that call alone, ``{"error": …}``: the model is told, and the others go on.

    Args:
        tool_calls: as an assistant's message holds them.
        functions: by the tools' names.
        max_workers: how many run at once.
    """
    if not tool_calls:
        return []
    with ThreadPoolExecutor(min(max_workers, len(tool_calls)), "tool") as pool:
        contents = list(pool.map(lambda call: _content(call, functions), tool_calls))
    return [
        {"role": "tool", "tool_call_id": str(call.get("id", "")), "content": content}
        for call, content in zip(tool_calls, contents, strict=True)
    ]


def _content(call: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]]) -> str:
    try:
        return _text(_run(call, functions))
    except Exception as error:  # noqa: BLE001  whatever a tool raises is its result
        return _text({"error": f"{type(error).__name__}: {error}"})


def _run(call: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]]) -> Any:
    said = call.get("function") or {}
    name = said.get("name")
    function = functions.get(str(name))
    if function is None:
        raise LookupError(f"there is no tool {name!r}; there are {', '.join(functions) or 'none'}")
    arguments = msgspec.json.decode(said.get("arguments") or "{}", type=dict[str, Any])
    result = function(**arguments)
    return asyncio.run(_awaited(result)) if inspect.isawaitable(result) else result


async def _awaited(work: Any) -> Any:
    return await work


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode()
