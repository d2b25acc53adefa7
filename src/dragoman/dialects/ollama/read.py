"""A caller's request to ``/api/chat`` → the canonical request (`dialects.md` §1.5).

Used on the translated way only. What has no canonical name rides in the extension bag, options
as ``options.NAME``, and is told as lost by whoever cannot say it.
"""

from __future__ import annotations

from dragoman.core.errors import CallerError, invalid, unsupported
from dragoman.core.request import Request
from dragoman.dialects.ollama import read_options as options
from dragoman.dialects.ollama import wire
from dragoman.dialects.ollama.read_messages import read_messages


def read_request(body: bytes) -> Request:
    """The canonical request.

    Raises:
        CallerError: a member is missing, of a wrong type, or the body is no JSON object.
    """
    try:
        return _read(wire.members(body, ""))
    except RecursionError:
        raise invalid("The request body is nested too deeply.") from None


def _read(members: wire.Members) -> Request:
    model = options.read_model(members)
    raw = wire.take(members, "messages")
    system, turns = read_messages(raw) if raw is not None else ((), ())
    if not (system or turns):
        raise nothing_to_load("messages")
    sampling, limit = options.read_options(members)
    return Request(
        model=model,
        messages=turns,
        stream=options.read_stream(members),
        system=system,
        tools=options.read_tools(members),
        sampling=sampling,
        output=options.read_output(members),
        reasoning=options.read_reasoning(members),
        max_tokens=limit,
        include_usage=True,
        ext=options.read_rest(members),
    )


def nothing_to_load(param: str) -> CallerError:
    """A request without words loads a model into memory or drops it, which only Ollama does."""
    return unsupported(
        f"{param} is empty, which loads or unloads a model of Ollama's; this model's provider has "
        "nothing to load.",
        param,
    )
