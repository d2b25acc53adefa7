"""Handing the pieces of a reply on one by one, for clients that cannot do it as they arrive."""

from __future__ import annotations

from collections.abc import Awaitable, Callable


async def pour_by_next(
    next_piece: Callable[[], Awaitable[bytes | None]], take: Callable[[bytes], bool]
) -> bytes | None:
    """``UpstreamReply.pour`` by means of ``next``."""
    while (piece := await next_piece()) is not None:
        if not take(piece):
            return piece
    return None
