"""What a request asks for beside its words: the same in ``/api/chat`` and ``/api/generate``."""

from __future__ import annotations

from typing import Any, get_args

import msgspec

from dragoman.core.errors import invalid
from dragoman.core.parts import Ext
from dragoman.core.request import Effort, FunctionTool, Output, Reasoning, Sampling, Tool
from dragoman.dialects.ollama import wire
from dragoman.dialects.ollama.wire import Members

OPTION = "options."
"""What stands before the name of an option in an extension bag."""

_EFFORTS: dict[str, Effort] = {word: word for word in get_args(Effort)}
_THINK = msgspec.json.Decoder(bool | str)
_STREAM = msgspec.json.Decoder(bool)
_TEXT = msgspec.json.Decoder(str)

SAMPLING = (
    ("temperature", "temperature", wire.take_float),
    ("top_p", "top_p", wire.take_float),
    ("top_k", "top_k", wire.take_int),
    ("min_p", "min_p", wire.take_float),
    ("seed", "seed", wire.take_int),
    ("frequency_penalty", "frequency_penalty", wire.take_float),
    ("presence_penalty", "presence_penalty", wire.take_float),
    ("repeat_penalty", "repetition_penalty", wire.take_float),
)
"""An option, its canonical name, and how it is read."""


def read_stream(members: Members) -> bool:
    """Whether the answer streams, which it does unless the caller says no (P121)."""
    raw = wire.take(members, "stream")
    return True if raw is None else wire.value(_STREAM, raw, "stream")


def read_model(members: Members) -> str:
    """The model's name."""
    name = wire.take_text(members, "model")
    if not name:
        raise invalid("The member model is required.", "model", "missing_required_field")
    return name


def read_tools(members: Members) -> tuple[Tool, ...]:
    """The caller's functions."""
    raw = wire.take(members, "tools")
    if raw is None:
        return ()
    return tuple(
        _tool(wire.members(item, f"tools[{number}]"), f"tools[{number}]")
        for number, item in enumerate(wire.items(raw, "tools"))
    )


def _tool(tool: Members, at: str) -> FunctionTool:
    tool.pop("type", None)  # There is one type, which some leave out.
    raw = wire.take(tool, "function")
    if raw is None:
        raise invalid(f"{at}.function is required.", f"{at}.function", "missing_required_field")
    function = wire.members(raw, f"{at}.function")
    name = wire.take_text(function, "name", f"{at}.function.")
    if not name:
        where = f"{at}.function.name"
        raise invalid(f"{where} is required.", where, "missing_required_field")
    return FunctionTool(
        name,
        wire.take_text(function, "description", f"{at}.function.") or None,
        wire.take(function, "parameters"),
        wire.take_bool(function, "strict", f"{at}.function."),
        ext=wire.bag(tool),
    )


def read_output(members: Members) -> Output:
    """``format``: nothing, the word json, or a schema."""
    raw = wire.take(members, "format")
    if raw is None:
        return Output()
    if wire.starts_with(raw, b"{"):
        return Output("json_schema", schema=raw)
    if wire.starts_with(raw, b'"') and wire.value(_TEXT, raw, "format") == "json":
        return Output("json")
    raise invalid('format must be "json" or a JSON schema.', "format", "invalid_value")


def read_reasoning(members: Members) -> Reasoning:
    """``think``: yes, no, or how much."""
    raw = wire.take(members, "think")
    if raw is None:
        return Reasoning()
    think = wire.value(_THINK, raw, "think")
    if isinstance(think, bool):
        return Reasoning("enabled" if think else "disabled")
    effort = _EFFORTS.get(think)
    if effort is None:
        raise invalid(
            f"think is {think[:64]!r}; it must be true, false, low, medium, high or max.",
            "think",
            "invalid_value",
        )
    return Reasoning(effort=effort)


def read_options(members: Members) -> tuple[Sampling, int | None]:
    """``options``: how tokens are drawn, and how many; what only Ollama knows goes back in (P122)."""
    found: dict[str, Any] = {}
    raw = wire.take(members, "options")
    options = {} if raw is None else wire.members(raw, "options")
    for name, canonical, read in SAMPLING:
        if name in options:
            found[canonical] = read(options, name, OPTION)
    stop = wire.take_strings(options, "stop", OPTION)
    limit = wire.take_int(options, "num_predict", OPTION)
    members.update({f"{OPTION}{name}": raw for name, raw in options.items()})
    found["logprobs"] = wire.take_bool(members, "logprobs")
    top = wire.take_int(members, "top_logprobs")
    found["top_logprobs"] = top or None
    # -1 is without end, -2 to the end of the context; 0 says nothing either.
    return Sampling(**found, stop=stop), limit if limit is not None and limit > 0 else None


def read_rest(members: Members) -> Ext | None:
    """What has no canonical name; what speaks to the gateway has been read by it."""
    for name in ("routing", "models"):
        members.pop(name, None)
    return wire.bag(members)
