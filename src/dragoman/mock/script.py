"""What one request is told to suffer: a script, and the three ways in which it arrives.

- ``x-mock-*`` headers, for callers that speak to the mock themselves;
- a suffix of the model's name (``gpt-4o-mini--mock-status-503--mock-retry-after-2``), since a
  model's name travels through gateways and headers of callers do not;
- the queue behind ``/mock/script``, for whatever comes next.

The first of the three that is there decides alone. A scripted request rolls no dice: it fails
the way it was told to, or not at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

__all__ = ["HEADER", "SUFFIX", "Script", "ScriptError", "Scripts", "read_scripts"]

HEADER = "x-mock-"
SUFFIX = "--mock-"

_Count = Annotated[int, Meta(ge=0)]
_Milliseconds = Annotated[float, Meta(ge=0)]


class ScriptError(ValueError):
    """A script that cannot be followed; the message names the member and what it may be."""


class Script(Struct, frozen=True, rename="kebab", forbid_unknown_fields=True, omit_defaults=True):
    """One request's fate; every member left out means: as usual."""

    status: Annotated[int, Meta(ge=200, le=599)] | None = None
    """200 and others below 400 answer as usual, with no dice rolled."""
    error_type: str | None = None
    """``type`` of the error's body, of the in-stream one as well."""
    error_code: str | None = None
    message: str | None = None
    """The error's text."""
    retry_after: str | None = None
    """The header of that name, as it is written here; ``none`` leaves it out."""

    delay: _Milliseconds | None = None
    """Milliseconds before the head of the answer."""
    chunk_delay: _Milliseconds | None = None
    """Milliseconds between two frames of a stream."""

    text: str | None = None
    length: _Count | None = None
    """Characters of the text."""
    words: Annotated[int, Meta(ge=1)] = 1
    """Words in one frame of a stream."""
    tool_calls: str | None = None
    """A number of calls, or names of tools between commas."""
    thinking: str | None = None
    """Thinks this text; ``off`` thinks nothing."""
    finish: str | None = None
    """The reason written for the end, as it is written here."""
    usage: bool = True
    """False reports no usage at all; the truth log has it nevertheless."""
    usage_delay: _Milliseconds | None = None
    """Milliseconds before the frame of a stream that has the usage."""
    usage_told: Literal["once", "twice", "growing", "behind"] = "once"
    """How a stream tells of it: its frame twice; half of it in a frame before, or all of it behind the
    end, where the usage has a frame to itself."""
    cached: _Count = 0
    """Input tokens reported, and billed, as read from a cache."""
    cache_write: _Count = 0
    done: bool = True
    """False ends a stream without ``[DONE]`` or ``message_stop``."""

    cut: _Count | None = None
    """Ends the answer after this many bytes of its body."""
    cut_mode: Literal["close", "reset", "end"] = "close"
    """``close`` breaks off by FIN, ``reset`` by RST, ``end`` as if the body were complete."""
    drop: Literal["close", "reset"] | None = None
    """Ends the connection before any byte of an answer."""
    hang: bool = False
    """Never answers."""
    hang_after: _Count | None = None
    """Falls silent after this many frames."""
    error_after: _Count | None = None
    """After this many frames of a stream, an error frame ends it."""
    content_length: int | None = None
    """What is added to the true content length; the body stays as it is."""
    body: str | None = None
    """In place of the answer: ``empty``, ``garbage``, ``html``, or any literal text."""
    slice: Annotated[int, Meta(ge=1)] | None = None
    """Sends a stream in pieces of this many bytes, wherever frames end."""
    comments: _Count = 0
    """SSE comment lines before the first frame."""

    times: Annotated[int, Meta(ge=1)] | None = None
    """How many requests it is for: a queued script's is 1, a suffix counts by model string."""
    model: str | None = None
    """A queued script waits for a request whose model begins so."""
    path: str | None = None
    """A queued script waits for a request whose path ends so."""

    @property
    def fails(self) -> bool:
        """Whether the answer is an HTTP error."""
        return self.status is not None and self.status >= 400

    @property
    def told(self) -> dict[str, object]:
        """The members that differ from the usual, for the truth log."""
        known: dict[str, object] = msgspec.to_builtins(self)
        return known


_NAMES = sorted(
    (field.encode_name for field in msgspec.structs.fields(Script)), key=len, reverse=True
)
"""Longest first, so that ``cut-mode-reset`` is not read as ``cut``."""


def _converted(members: Mapping[str, object], *, where: str, strict: bool) -> Script:
    try:
        return msgspec.convert(members, Script, strict=strict)
    except msgspec.ValidationError as error:
        raise ScriptError(
            f"{where} is not a script: {error}. Known: {', '.join(sorted(_NAMES))}."
        ) from None


def _said(text: str) -> str:
    """Spellings of yes and no that people use in headers."""
    return {"off": "false", "no": "false", "on": "true", "yes": "true"}.get(text, text)


_FLAGS = frozenset({"usage", "done", "hang"})


def _from_texts(members: Mapping[str, str], where: str) -> Script:
    spoken = {name: _said(text) if name in _FLAGS else text for name, text in members.items()}
    return _converted(spoken, where=where, strict=False)


def from_headers(headers: Mapping[str, str]) -> Script | None:
    """The script in ``x-mock-*`` headers, None where there are none."""
    members = {
        name.removeprefix(HEADER): value
        for name, value in headers.items()
        if name.startswith(HEADER)
    }
    return _from_texts(members, "The x-mock headers' content") if members else None


def from_model(model: str) -> Script | None:
    """The script in a model's name: ``--mock-NAME-VALUE``; a name alone means ``true``."""
    _, *told = model.split(SUFFIX)
    if not told:
        return None
    members: dict[str, str] = {}
    for piece in told:
        if piece == "ok":
            continue
        name = next((n for n in _NAMES if piece == n or piece.startswith(f"{n}-")), None)
        if name is None:
            raise ScriptError(
                f"The model's suffix {SUFFIX}{piece!r} names no member of a script. "
                f"Known: ok, {', '.join(sorted(_NAMES))}."
            )
        members[name] = piece[len(name) + 1 :] or "true"
    return _from_texts(members, f"The suffix of model {model!r}")


def read_scripts(body: bytes) -> list[Script]:
    """The scripts of a ``POST /mock/script``: one object, a list, or ``{"scripts": [...]}``."""
    try:
        told = msgspec.json.decode(body)
    except msgspec.DecodeError:
        raise ScriptError('The body is not JSON; send for example {"status": 503}.') from None
    if isinstance(told, dict) and "scripts" in told:
        told = told["scripts"]
    if isinstance(told, dict):
        told = [told]
    if not isinstance(told, list):
        raise ScriptError("The body is neither a script nor a list of scripts.")
    return [_converted(each, where=f"Script {n}", strict=True) for n, each in enumerate(told)]


class Scripts:
    """The queue, and how often each scripted model string has been asked for."""

    def __init__(self) -> None:
        self._queue: list[tuple[Script, int]] = []
        self._asked: Counter[str] = Counter()

    def add(self, scripts: Iterable[Script]) -> None:
        """Puts scripts at the end of the queue."""
        self._queue.extend((script, script.times or 1) for script in scripts)

    def clear(self) -> None:
        """Forgets the queue and the counts."""
        self._queue.clear()
        self._asked.clear()

    @property
    def waiting(self) -> list[dict[str, object]]:
        """The queue, each script with the requests left to it."""
        return [{**script.told, "times": left} for script, left in self._queue]

    def choose(self, headers: Mapping[str, str], model: str, path: str) -> Script | None:
        """The script for a request, taken off the queue if it came from there."""
        if (script := from_headers(headers)) is not None:
            return script
        if SUFFIX in model and (script := from_model(model)) is not None:
            self._asked[model] += 1
            spent = script.times is not None and self._asked[model] > script.times
            return Script() if spent else script
        return self._take(model, path) if self._queue else None

    def _take(self, model: str, path: str) -> Script | None:
        for position, (script, left) in enumerate(self._queue):
            if model.startswith(script.model or "") and path.endswith(script.path or ""):
                if left == 1:
                    del self._queue[position]
                else:
                    self._queue[position] = (script, left - 1)
                return script
        return None
