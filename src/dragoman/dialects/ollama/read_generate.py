"""A caller's request to ``/api/generate`` → the canonical request (`dialects.md` §1.5).

The prompt is what the user says. What reaches below a conversation (a template of the caller's
own, a prompt without one, text to be filled in before a suffix, the tokens of an earlier answer)
changes what the model sees and is refused where there is nothing like it.
"""

from __future__ import annotations

from dragoman.core.errors import invalid, unsupported
from dragoman.core.parts import Message, Part, Text
from dragoman.core.request import Request
from dragoman.dialects.ollama import read_options as options
from dragoman.dialects.ollama import wire
from dragoman.dialects.ollama.read import nothing_to_load
from dragoman.dialects.ollama.read_messages import read_images

_ONLY_OLLAMA = {
    "suffix": "text behind the answer",
    "template": "a template of the caller's own",
    "context": "the tokens of an earlier answer",
    "raw": "a prompt without any template",
}


def read_request(body: bytes) -> Request:
    """The canonical request.

    Raises:
        CallerError: a member is missing, of a wrong type or means what no other provider can do.
    """
    try:
        return _read(wire.members(body, ""))
    except RecursionError:
        raise invalid("The request body is nested too deeply.") from None


def _read(members: wire.Members) -> Request:
    model = options.read_model(members)
    for name, what in _ONLY_OLLAMA.items():
        raw = wire.take(members, name)
        if raw is not None and bytes(raw) != b"false":
            raise unsupported(
                f"{name} asks for {what}, which only Ollama has: leave it out or use a model of "
                "Ollama's.",
                name,
            )
    words = wire.take_text(members, "prompt")
    images = read_images(members, "")
    if not (words or images):
        raise nothing_to_load("prompt")
    parts: tuple[Part, ...] = (Text(words), *images) if words else tuple(images)
    instructions = wire.take_text(members, "system")
    sampling, limit = options.read_options(members)
    return Request(
        model=model,
        messages=(Message("user", parts),),
        stream=options.read_stream(members),
        system=(Text(instructions),) if instructions else (),
        sampling=sampling,
        output=options.read_output(members),
        reasoning=options.read_reasoning(members),
        max_tokens=limit,
        include_usage=True,
        ext=options.read_rest(members),
    )
