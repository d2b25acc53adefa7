"""What is gathered while one request is written: losses, and names that must be changed back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from dragoman.core.loss import Loss
from dragoman.core.parts import Ext
from dragoman.core.request import Request
from dragoman.dialects.base import Target, Undo
from dragoman.dialects.chat.flavours import Flavour, flavour_of
from dragoman.dialects.members import Object
from dragoman.dialects.tool_names import legal_names, short_id

_LONGEST_ID = 40  # OpenAI's and Azure's limit of tool_calls[].id (P33)


@dataclass(slots=True)
class Draft:
    """One request on its way out."""

    target: Target
    flavour: Flavour
    losses: list[Loss] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    """The caller's tool name → the one sent, where they differ (P57)."""
    wrapped: set[str] = field(default_factory=set)
    """Names sent of free-text tools that became functions (P67)."""

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
        """The chat family's own members come back, those of others are told as lost."""
        if ext is None:
            return
        for dialect, members in ext.items():
            for name, value in members.items():
                if dialect == "chat":
                    item.setdefault(name, value)
                else:
                    self.lose(f"{at}.{name}" if at else name, f"only {dialect} knows it")

    def undo(self) -> Undo:
        """What the reader of the reply has to change back."""
        return Undo(
            tool_names={sent: own for own, sent in self.names.items()},
            custom_tools=frozenset(self.wrapped),
        )


def open_draft(request: Request, target: Target) -> Draft:
    """A draft for this target, with names chosen for every tool of the request."""
    flavour = flavour_of(target.quirks.flavour)
    return Draft(target, flavour, names=legal_names(request))


def call_id(given: str) -> str:
    """A call's id, hashed if it is too long: the same for the call and for its result (P33)."""
    return short_id(given, _LONGEST_ID)
