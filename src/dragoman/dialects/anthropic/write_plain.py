"""A request of words alone, as most are, written at once: nothing in it has to be moved, emulated or lost.

Whatever asks for more is None here and written step by step (``write.py``).
"""

from __future__ import annotations

from operator import itemgetter

from msgspec.structs import astuple

from dragoman.core.parts import Message, Part, Text
from dragoman.core.request import Request, Sampling
from dragoman.dialects.anthropic.wire import encode
from dragoman.dialects.base import Outgoing, Target

_WRITTEN = frozenset(
    {
        "model",
        "messages",
        "stream",
        "system",
        "sampling",
        "max_tokens",
        "end_user",
        "include_usage",
    }
)
_BESIDE = itemgetter(
    *[n for n, name in enumerate(Request.__struct_fields__) if name not in _WRITTEN]
)
_NOTHING = _BESIDE(astuple(Request("", ())))
"""What is said beside those, where nothing is."""
_COMMON = 3
"""Options that this dialect has as well: the first ones."""
_UNSAID = astuple(Sampling())
_RARER = _UNSAID[_COMMON:]


def write_plain(request: Request, target: Target) -> Outgoing | None:
    """The request for a provider of this dialect; None where more is to be said than words in turn."""
    quirks, capability = target.quirks, target.capability
    if _BESIDE(astuple(request)) != _NOTHING or quirks.drop or quirks.rename:
        return None
    options = astuple(request.sampling)
    if options[_COMMON:] != _RARER or (capability.rejects_sampling and options != _UNSAID):
        return None
    turns = _turns(request.messages)
    if turns is None:
        return None
    most, limit = capability.max_output_tokens, request.max_tokens
    adjusted: tuple[str, ...] = ()
    if limit is None:
        limit = target.reserved_output if most is None else min(target.reserved_output, most)
        adjusted = (f"max_tokens={limit}",)
    elif most is not None and limit > most:
        return None
    body: dict[str, object] = {"model": target.model, "max_tokens": limit}
    if request.system:
        system = [_words(part) for part in request.system]
        if None in system:
            return None
        alone = len(system) == 1
        body["system"] = system[0] if alone else [_block(words) for words in system]
    body["messages"] = turns
    temperature, top_p, top_k = options[:_COMMON]
    if temperature is not None:
        if temperature > 1:
            return None
        body["temperature"] = temperature
    if top_p is not None:
        if temperature is not None and capability.temperature_xor_top_p:
            return None
        body["top_p"] = top_p
    if top_k is not None:
        body["top_k"] = top_k
    if request.end_user is not None:
        body["metadata"] = {"user_id": request.end_user}
    if request.stream:
        body["stream"] = True
    return Outgoing(encode(body), (), adjusted)


def _turns(messages: tuple[Message, ...]) -> list[dict[str, str]] | None:
    """User and assistant by turns, the user last, each with one text; None where it is otherwise."""
    turns: list[dict[str, str]] = []
    before = ""
    for message in messages:
        role, parts = message.role, message.parts
        if role in {before, "system"} or len(parts) != 1:
            return None
        words = _words(parts[0])
        if words is None or message.name is not None or message.ext is not None:
            return None
        turns.append({"role": role, "content": words})
        before = role
    return turns if before == "user" else None


def _words(part: Part) -> str | None:
    """What a part says that is nothing but text; None where it is more, or says nothing."""
    if (
        not isinstance(part, Text)
        or part.citations
        or part.cache is not None
        or part.ext is not None
    ):
        return None
    text = part.text
    return None if not text or text.isspace() else text


def _block(words: str | None) -> dict[str, object]:
    return {"type": "text", "text": words}
