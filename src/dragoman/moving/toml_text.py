"""Writes a ``dragoman.toml``: the standard library reads TOML and does not write it.

Only what such a file holds: texts, numbers, true and false, lists, tables, and a list of tables.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def toml_text(tables: Mapping[str, Any], comments: tuple[str, ...] = ()) -> str:
    """The text of a file; ``comments`` stand at its head, one a line."""
    lines = [f"# {_one_line(line)}".rstrip() for line in comments]
    if lines:
        lines.append("")
    later = []
    for name, value in tables.items():
        if _is_table(value) or _is_tables(value):
            later.append((name, value))
        else:
            lines.append(f"{_key(name)} = {_value(value)}")
    for name, value in later:
        if _is_tables(value):
            for row in value:
                lines += ["", f"[[{_key(name)}]]", *_members(row)]
        elif all(_is_table(inside) for inside in value.values()):
            for inner, inside in value.items():
                lines += ["", f"[{_key(name)}.{_key(inner)}]", *_members(inside)]
        else:
            lines += ["", f"[{_key(name)}]", *_members(value)]
    return "\n".join(lines) + "\n"


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping) and bool(value)


def _is_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(_is_table(each) for each in value)


def _members(table: Mapping[str, Any]) -> list[str]:
    return [f"{_key(name)} = {_value(value)}" for name, value in table.items()]


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            return _text(value)
        case list() | tuple():
            return "[" + ", ".join(map(_value, value)) + "]"
        case Mapping():
            inside = ", ".join(f"{_key(name)} = {_value(each)}" for name, each in value.items())
            return "{ " + inside + " }" if inside else "{}"
        case _:
            raise TypeError(f"{type(value).__name__} has no place in the file")


def _text(text: str) -> str:
    # A basic string of TOML is one of JSON, but for DEL and for halves of characters.
    text = text.encode("utf-8", "replace").decode()
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _one_line(text: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in text)
