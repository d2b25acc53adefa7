"""What a translation could not carry: every loss is a record (D6)."""

from __future__ import annotations

from typing import Literal
from urllib.parse import quote

from msgspec import Struct


class Loss(Struct, frozen=True, gc=False):
    """One member that did not arrive as it was said.

    ``path`` names it as the caller wrote it (``messages[2].content[0].cache_control``).
    ``action`` says what became of it: ``dropped``, ``changed`` (clamped, renamed) or
    ``emulated``. ``harmless`` losses (cost, caching, bookkeeping) are told and never refused
    except under ``x-dragoman-strict``.
    """

    path: str
    reason: str
    action: Literal["dropped", "changed", "emulated"] = "dropped"


def header(losses: tuple[Loss, ...], limit: int = 2048) -> str:
    """The value of ``x-dragoman-dropped``: ``path;action=dropped;reason=…`` joined by commas.

    Anything but visible ASCII is percent-encoded (P145); a value over ``limit`` bytes ends with
    ``more;count=N``.
    """
    shown: list[str] = []
    size = 0
    for number, loss in enumerate(losses):
        path = quote(loss.path, safe="[]._-/$@*")
        item = f"{path};action={loss.action};reason={quote(loss.reason, safe='._-')}"
        size += len(item) + 2
        if size > limit:
            shown.append(f"more;count={len(losses) - number}")
            break
        shown.append(item)
    return ", ".join(shown)
