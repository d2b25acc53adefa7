"""What one writing of a request has decided and lost so far."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from msgspec import Raw

from dragoman.core.loss import Loss
from dragoman.core.parts import CacheMark, Ext
from dragoman.core.request import Request
from dragoman.dialects.anthropic.wire import DIALECT
from dragoman.dialects.base import Target

Block: TypeAlias = "dict[str, object] | Raw"
"""A content block on its way out; ``Raw`` where it goes back as it came."""

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_BAD = re.compile(r"[^a-zA-Z0-9_-]")

_SILENT = frozenset({b"null", b"[]", b"{}", b'""'})

_LONG = re.compile(r"(\d+)\s*([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(slots=True)
class Draft:
    """The request under way. A fresh one for every try: writing is repeatable."""

    request: Request
    target: Target
    losses: list[Loss] = field(default_factory=list)
    adjusted: list[str] = field(default_factory=list)
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
        """The name as Anthropic takes it: the same wherever it stands, and undone in the reply (P57)."""
        if _NAME.fullmatch(name):
            return name
        digest = hashlib.blake2b(name.encode(), digest_size=4).hexdigest()
        sent = f"{_BAD.sub('_', name)[:119]}_{digest}"
        self.names[sent] = name
        return sent

    def foreign(self, ext: Ext | None, path: str) -> None:
        """Records the members that only another dialect knows, as far as they say anything (D6)."""
        for dialect, members in (ext or {}).items():
            if dialect == DIALECT:
                continue
            for name, raw in members.items():
                if bytes(raw) not in _SILENT:
                    self.lose(f"{path}.{name}", "not_in_dialect")

    def cache_control(self, mark: CacheMark, path: str) -> dict[str, str]:
        """A breakpoint with a time to live that exists here: five minutes or an hour."""
        if mark.ttl is None or mark.ttl in {"5m", "1h"}:
            return {"type": "ephemeral"} | ({"ttl": mark.ttl} if mark.ttl else {})
        self.lose(f"{path}.cache_control.ttl", "only_5m_or_1h", "changed")
        found = _LONG.fullmatch(mark.ttl)
        seconds = int(found[1]) * _SECONDS[found[2]] if found else 0
        return {"type": "ephemeral", "ttl": "1h" if seconds > _SECONDS["m"] * 5 else "5m"}


def own(ext: Ext | None) -> dict[str, Raw]:
    """The members of an extension bag that belong to this dialect."""
    return (ext or {}).get(DIALECT, {})
