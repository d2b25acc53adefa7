"""A call's arguments as the JSON object that most dialects demand (P34, P35, P36, P67)."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from dragoman.core.parts import ToolCall
from dragoman.dialects.halves import mend

_BAD_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_ANY = msgspec.json.Decoder(Raw)

_encode = msgspec.json.Encoder().encode


def as_object(call: ToolCall) -> tuple[Raw, bool]:
    """The object, its own bytes wherever the arguments are one (P27), and whether they were.

    Nothing at all is no arguments. Free text stands under ``input``, as does JSON of
    another kind; text that is no JSON, cut short by a token limit most often, under ``_raw``.
    """
    if call.kind == "custom":
        return Raw(_encode({"input": mend(call.arguments)})), True
    if not call.arguments.strip():
        return Raw(b"{}"), True
    data = mend(call.arguments).encode()
    try:
        _OBJECT.decode(data)
    except _BAD_JSON:
        pass
    else:
        return Raw(data), True
    try:
        return Raw(_encode({"input": _ANY.decode(data)})), False
    except _BAD_JSON:
        return Raw(_encode({"_raw": data.decode()})), False


def as_object_on_one_line(call: ToolCall) -> tuple[Raw, bool]:
    """The same, the white space between its tokens gone."""
    written, whole = as_object(call)
    return Raw(msgspec.json.format(written, indent=-1)), whole
