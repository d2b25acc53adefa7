"""What one writing of a request has decided and lost so far."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Literal

from msgspec import Raw

from dragoman.core.loss import Loss
from dragoman.core.parts import Ext
from dragoman.core.request import Request
from dragoman.dialects.base import Target
from dragoman.dialects.gemini.wire import DIALECT

_NAME = re.compile(r"[A-Za-z_][\w.:-]{0,127}", re.ASCII)
_BAD = re.compile(r"[^A-Za-z0-9_.:-]")
_GENERATION = re.compile(r"gemini-(\d+)(?:\.(\d+))?")
_SILENT = frozenset({b"null", b"[]", b"{}", b'""'})


@dataclass(slots=True)
class Draft:
    """The request under way. A fresh one for every try: writing is repeatable."""

    request: Request
    target: Target
    losses: list[Loss] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    """Tool name sent → the caller's own, where they differ (P57)."""
    custom: set[str] = field(default_factory=set)

    def lose(
        self,
        path: str,
        why: str,
        action: Literal["dropped", "changed", "emulated"] = "dropped",
    ) -> None:
        """Records what does not arrive as it was said (D6)."""
        self.losses.append(Loss(path, why, action))

    def tool_name(self, name: str) -> str:
        """The name as Gemini takes it: the same wherever it stands, undone in the reply (P57)."""
        if _NAME.fullmatch(name):
            return name
        digest = hashlib.blake2b(name.encode(), digest_size=4).hexdigest()
        clean = _BAD.sub("_", name)[:110]
        sent = f"{clean if clean[:1].isalpha() else '_' + clean}_{digest}"
        self.names[sent] = name
        return sent

    def foreign(self, ext: Ext | None, path: str) -> None:
        """Records the members that only another dialect knows, as far as they say anything (D6)."""
        for dialect, members in (ext or {}).items():
            if dialect == DIALECT:
                continue
            for name, raw in members.items():
                if bytes(raw) not in _SILENT:
                    self.lose(f"{path}.{name}" if path else name, "not_in_dialect")

    @property
    def generation(self) -> tuple[int, int]:
        """The model's generation, as its id tells; unknown ids are of the newest kind."""
        found = _GENERATION.search(self.target.model)
        return (int(found[1]), int(found[2] or 0)) if found else (3, 0)

    @property
    def modern(self) -> bool:
        """Whether the model is of the third generation or later."""
        return self.generation >= (3, 0)


def own(ext: Ext | None) -> dict[str, Raw]:
    """The members of an extension bag that belong to this dialect."""
    return (ext or {}).get(DIALECT, {})
