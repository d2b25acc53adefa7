"""What a request says at its top level, before any dialect reads the rest.

The body is decoded once, one level deep: nested values stay the caller's own bytes (D2).
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec
from msgspec import Raw, Struct

from dragoman.core.errors import CallerError, invalid

Streams: TypeAlias = Literal["if_said", "unless_said", "always", "never"]
"""When a request streams: most dialects say ``stream``, Ollama's means yes where it does not (P121),
Gemini's says it in the path."""

_MEMBERS = msgspec.json.Decoder(dict[str, Raw]).decode
_TEXT = msgspec.json.Decoder(str).decode
_ANY = msgspec.json.Decoder()
_UNSAID: dict[Streams, bool] = {
    "if_said": False,
    "unless_said": True,
    "always": True,
    "never": False,
}
"""Whether a request streams that does not say so."""


class Ask(Struct, frozen=True):
    """A request's bytes, its members, and the two that steer it."""

    body: bytes
    members: dict[str, Raw]
    model: str | None
    """None where the caller names its models in ``models`` alone, as OpenRouter's may."""
    stream: bool


def read_ask(body: bytes, named: str | None = None, streams: Streams = "if_said") -> Ask:
    """The top level of a JSON request.

    Args:
        body: as it came.
        named: the model that the path names; what the body says of one does not count then.
        streams: what the matched route says of streaming.

    Raises:
        CallerError: no JSON object, no model, or a member of the wrong type; the message says which.
    """
    try:
        members = _MEMBERS(body)
    except msgspec.ValidationError as error:
        raise invalid(f"The request body must be a JSON object: {error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if not body.strip():
            raise invalid("The request body is empty; send a JSON object.") from None
        raise invalid(f"The request body is not valid JSON: {error}.") from None
    except RecursionError:
        raise invalid("The request body is nested too deeply.") from None
    model = _model(members) if named is None else named
    stream = _stream(members, streams) if "stream" in members else _UNSAID[streams]
    return Ask(body, members, model, stream)


def _model(members: dict[str, Raw]) -> str | None:
    try:
        model = _TEXT(members["model"])
    except (KeyError, msgspec.DecodeError, UnicodeDecodeError):
        return _odd_model(members)
    return model if model.strip() else _odd_model(members)


def _odd_model(members: dict[str, Raw]) -> str | None:
    """None where the request may do without one; else what is wrong with what it says."""
    value = members.get("model")
    model = None if value is None else _value(value, "model")
    if model is None and "models" in members:
        return None
    if model is None:
        raise CallerError(
            "invalid_request",
            "The request names no model; say one as provider/model, see GET /v1/models.",
            code="missing_required_field",
            param="model",
        )
    if not isinstance(model, str):
        raise invalid(
            f"model must be a string, not {_kind(model)}.", "model", "invalid_field_type"
        )
    raise invalid("model is empty; say one as provider/model.", "model", "invalid_field_value")


def _stream(members: dict[str, Raw], streams: Streams) -> bool:
    if streams in {"always", "never"}:
        return streams == "always"
    stream = _value(members["stream"], "stream")
    if stream is None:
        return streams == "unless_said"
    if isinstance(stream, bool):
        return stream
    raise invalid(
        f"stream must be true or false, not {_kind(stream)}.", "stream", "invalid_field_type"
    )


def _value(raw: Raw, param: str) -> object:
    try:
        return _ANY.decode(raw)
    except RecursionError:
        raise invalid(f"{param} is nested too deeply.", param) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid(f"{param} is not valid JSON: {error}.", param) from None


def _kind(value: object) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean"}
    if value is None:
        return "null"
    return names.get(type(value), "a number")
