"""What is gathered while one request is written: losses, and names that must be changed back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from dragoman.core.loss import Loss
from dragoman.core.parts import Ext
from dragoman.core.request import Request
from dragoman.dialects.base import Target, Undo
from dragoman.dialects.members import Object
from dragoman.dialects.responses.wire import DIALECT
from dragoman.dialects.tool_names import legal_names, short_id

_LONGEST_ID = 64
"""OpenAI's limit of ``call_id`` (P33)."""
_SILENT = frozenset({b"null", b"[]", b"{}", b'""', b"false"})


@dataclass(slots=True)
class Draft:
    """One request on its way out."""

    target: Target
    losses: list[Loss] = field(default_factory=list)
    adjusted: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    """The caller's tool name → the one sent, where they differ (P57)."""
    custom: set[str] = field(default_factory=set)
    """Ids of calls of free-text tools, whose results are of another kind."""

    stop: tuple[str, ...] = ()
    """Sequences at which the reader cuts the answer."""

    def lose(
        self,
        path: str,
        reason: str,
        action: Literal["dropped", "changed", "emulated"] = "dropped",
    ) -> None:
        """Records that something did not arrive as it was said."""
        self.losses.append(Loss(path, reason, action))

    def name(self, name: str) -> str:
        """A tool's name as it is sent."""
        return self.names.get(name, name)

    def extend(self, item: Object, ext: Ext | None, at: str) -> None:
        """This dialect's own members come back, those of others are told as lost."""
        for dialect, members in (ext or {}).items():
            for name, value in members.items():
                if dialect == DIALECT:
                    item.setdefault(name, value)
                elif bytes(value) not in _SILENT:
                    self.lose(f"{at}.{name}" if at else name, f"only {dialect} knows it")

    def undo(self) -> Undo:
        """What the reader of the reply has to change back."""
        return Undo(tool_names={sent: own for own, sent in self.names.items()}, stop=self.stop)


def open_draft(request: Request, target: Target) -> Draft:
    """A draft for this target, with names chosen for every tool of the request."""
    return Draft(target, names=legal_names(request))


def call_id(given: str) -> str:
    """A call's id, hashed if it is too long: the same for the call and for its result (P33)."""
    return short_id(given, _LONGEST_ID)
