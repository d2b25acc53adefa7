"""What one writing of a request has decided and lost so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from dragoman.core.loss import Loss
from dragoman.core.parts import Ext
from dragoman.core.request import Request
from dragoman.dialects.base import Target
from dragoman.dialects.ollama.wire import DIALECT, is_nothing, own

Object: TypeAlias = dict[str, Any]

_FALSE = frozenset({b"false", b"0"})


@dataclass(slots=True)
class Draft:
    """The request under way. A fresh one for every try: writing is repeatable."""

    request: Request
    target: Target
    losses: list[Loss] = field(default_factory=list)
    wrapped: set[str] = field(default_factory=set)
    """Free-text tools that became functions (P67)."""

    def lose(
        self,
        path: str,
        why: str,
        action: Literal["dropped", "changed", "emulated"] = "dropped",
    ) -> None:
        """Records what does not arrive as it was said (D6)."""
        self.losses.append(Loss(path, why, action))

    def extend(self, item: Object, ext: Ext | None, at: str) -> None:
        """Ollama's own members come back, those of other dialects are told as lost."""
        if ext is None:
            return
        for name, raw in own(ext).items():
            item.setdefault(name, raw)
        self.foreign(ext, at)

    def foreign(self, ext: Ext, at: str) -> None:
        """Records the members that only another dialect knows, as far as they say anything."""
        for dialect, members in ext.items():
            if dialect == DIALECT:
                continue
            for name, raw in members.items():
                if not is_nothing(raw) and bytes(raw) not in _FALSE:
                    self.lose(f"{at}.{name}" if at else name, f"only {dialect} knows it")
