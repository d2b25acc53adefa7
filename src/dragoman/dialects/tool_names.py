"""Names of tools that OpenAI's two dialects take, for those of the caller that they do not (P57)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from dragoman.core.parts import ToolCall
from dragoman.core.request import Request

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ODD = re.compile(r"[^a-zA-Z0-9_-]")


def legal_names(request: Request) -> dict[str, str]:
    """The caller's name of each tool that must change → a legal one: the same each time, never one taken."""
    every = list(dict.fromkeys(_tool_names(request)))
    odd = [name for name in every if not _NAME.fullmatch(name)]
    if not odd:
        return {}
    taken = set(every)
    chosen: dict[str, str] = {}
    for name in odd:
        legal = _ODD.sub("_", name)
        if not legal or len(legal) > 64 or legal in taken:
            digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
            legal = f"{legal[:55]}_{digest}"
        taken.add(legal)
        chosen[name] = legal
    return chosen


def _tool_names(request: Request) -> Iterable[str]:
    for tool in request.tools:
        name = getattr(tool, "name", None)
        if isinstance(name, str):
            yield name
    for message in request.messages:
        for part in message.parts:
            if isinstance(part, ToolCall):
                yield part.name


def short_id(given: str, longest: int) -> str:
    """A call's id, hashed if it is too long: the same for the call and for its result (P33)."""
    if len(given) <= longest:
        return given
    digest = hashlib.sha256(given.encode("utf-8", "surrogatepass")).hexdigest()
    return f"call_{digest[:24]}"
