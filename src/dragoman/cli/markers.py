"""Requirements of installed packages, and whether their markers hold here (PEP 508).

The standard library reads a package's metadata and leaves the requirements as text; the
``packaging`` library, which could read them, is none of ours.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping

from msgspec import Struct

__all__ = ["Requirement", "holds", "parse_requirement"]

_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?([^;]*)(?:;(.*))?$")
_TOKEN = re.compile(
    r"\s*(?:(?P<punct>[()])|(?P<op>===|~=|==|!=|<=|>=|<|>|not\s+in\b|in\b)|(?P<join>and\b|or\b)"
    r"|'(?P<single>[^']*)'|\"(?P<double>[^\"]*)\"|(?P<name>[a-z_][a-z_.]*))"
)
_VERSIONS = frozenset({"python_version", "python_full_version", "implementation_version"})


class Requirement(Struct, frozen=True):
    """A package that another one needs; ``marker`` says where."""

    name: str
    """Normalised: lower case, with hyphens."""
    extras: tuple[str, ...] = ()
    marker: str = ""


def normalised(name: str) -> str:
    """One spelling of a package's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def parse_requirement(text: str) -> Requirement:
    """A line of ``Requires-Dist``."""
    found = _REQUIREMENT.match(text)
    if found is None:
        raise ValueError(f"{text!r} is no requirement.")
    name, extras, _, marker = found.groups()
    return Requirement(
        name=normalised(name),
        extras=tuple(normalised(extra) for extra in (extras or "").split(",") if extra.strip()),
        marker=(marker or "").strip(),
    )


def holds(marker: str, extra: str = "") -> bool:
    """Whether a marker is true on this machine, for the named extra or for none."""
    if not marker:
        return True
    return _Parser(marker, {**_machine(), "extra": extra}).disjunction()


def _machine() -> dict[str, str]:
    release = sys.version_info
    return {
        "python_version": f"{release.major}.{release.minor}",
        "python_full_version": platform.python_version(),
        "implementation_name": sys.implementation.name,
        "implementation_version": platform.python_version(),
        "platform_python_implementation": platform.python_implementation(),
        "os_name": os.name,
        "sys_platform": sys.platform,
        "platform_system": platform.system(),
        "platform_machine": platform.machine(),
        "platform_release": platform.release(),
        "platform_version": platform.version(),
    }


class _Parser:
    """Reads ``a == "b" and (c or d)`` from left to right; ``and`` binds closer than ``or``."""

    def __init__(self, marker: str, values: Mapping[str, str]) -> None:
        self._tokens = list(_tokens(marker))
        self._values = values
        self._at = 0

    def _take(self) -> tuple[str, str]:
        token = self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")
        self._at += 1
        return token

    def _next_is(self, kind: str, text: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at] == (kind, text):
            self._at += 1
            return True
        return False

    def disjunction(self) -> bool:
        """Terms joined by ``or``."""
        result = self._conjunction()
        while self._next_is("join", "or"):
            result = self._conjunction() or result
        return result

    def _conjunction(self) -> bool:
        result = self._term()
        while self._next_is("join", "and"):
            result = self._term() and result
        return result

    def _term(self) -> bool:
        if self._next_is("punct", "("):
            result = self.disjunction()
            if not self._next_is("punct", ")"):
                raise ValueError("A marker's parenthesis is not closed.")
            return result
        left, operator, right = self._take(), self._take(), self._take()
        if operator[0] != "op":
            raise ValueError("A marker compares nothing.")
        versions = left[1] in _VERSIONS or right[1] in _VERSIONS
        return _compare(self._value(left), operator[1], self._value(right), versions=versions)

    def _value(self, token: tuple[str, str]) -> str:
        kind, text = token
        if kind == "text":
            return text
        if kind == "name" and text in self._values:
            return self._values[text]
        raise ValueError(f"A marker names {text!r}, which is unknown.")


def _tokens(marker: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(marker.rstrip()):
        found = _TOKEN.match(marker, at)
        if found is None:
            raise ValueError(f"The marker {marker!r} cannot be read.")
        at = found.end()
        kind = str(found.lastgroup)
        text = found[kind]
        yield ("text" if kind in {"single", "double"} else kind), " ".join(text.split())


def _compare(left: str, operator: str, right: str, *, versions: bool) -> bool:
    if operator in {"in", "not in"}:
        inside = left in [item.strip() for item in right.split(",")] or left in right
        return inside == (operator == "in")
    if not versions:
        return {
            "==": left == right,
            "===": left == right,
            "!=": left != right,
            "<": left < right,
            "<=": left <= right,
            ">": left > right,
            ">=": left >= right,
            "~=": left == right,
        }[operator]
    return _compare_versions(left, operator, right)


def _compare_versions(left: str, operator: str, right: str) -> bool:
    wild = right.endswith(".*")
    a, b = _numbers(left), _numbers(right.removesuffix(".*"))
    if wild:
        return (a[: len(b)] == b) == (operator == "==")
    if operator == "~=":
        return a >= b and a[: len(b) - 1] == b[:-1]
    width = max(len(a), len(b))
    a, b = a + [0] * (width - len(a)), b + [0] * (width - len(b))
    return {
        "==": a == b,
        "===": left == right,
        "!=": a != b,
        "<": a < b,
        "<=": a <= b,
        ">": a > b,
        ">=": a >= b,
    }[operator]


def _numbers(version: str) -> list[int]:
    """The release part of a version."""
    release = re.match(r"[\d.]*", version)
    assert release is not None, "the pattern matches the empty text too"
    return [int(number) for number in release[0].split(".") if number]
