"""At most four cache breakpoints in a request (P124)."""

from __future__ import annotations

from dragoman.dialects.anthropic.draft import Block, Draft

MOST = 4


def limit_marks(draft: Draft, blocks: list[Block], taken: int) -> None:
    """Keeps the first mark, which covers tools and instructions, and the latest ones.

    ``blocks`` in the order of the provider's prefix: tools, system, messages. ``taken`` counts the
    mark at the top of the request.
    """
    marked = _marked(blocks)
    room = MOST - taken
    if len(marked) <= room:
        return
    for block in marked[1 : len(marked) - room + 1]:
        del block["cache_control"]
        draft.lose("cache_control", "at_most_four")


def _marked(blocks: list[Block]) -> list[dict[str, object]]:
    """Blocks with a mark, those inside of a tool's result before the result itself."""
    marked: list[dict[str, object]] = []
    for block in blocks:
        if not isinstance(block, dict):
            continue
        if "content" in block:
            inner = block["content"]
            if isinstance(inner, list):
                marked += _marked(inner)
        if "cache_control" in block:
            marked.append(block)
    return marked
