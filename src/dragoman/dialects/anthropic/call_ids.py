"""Ids of tool calls on their way to Anthropic: pairs stay pairs, and every call has its own."""

from __future__ import annotations

import hashlib
import re

from dragoman.core.errors import invalid

_ID = re.compile(r"[a-zA-Z0-9_-]{1,256}")


class CallIds:
    """The calls of a conversation, in its order.

    An id that Anthropic would refuse is replaced by a hash of itself, in the call and in its
    result alike (P33). Programs that count their calls anew each turn repeat ids; each
    repetition gets an id of its own, and a result belongs to the nearest call before it
    that still waits for one (P31).
    """

    def __init__(self) -> None:
        self._turn = 0
        self._waiting: list[tuple[int, str, str]] = []
        """Turn, the caller's id and the id sent of every call without a result."""
        self.original: dict[str, str] = {}
        """Id sent → the caller's own."""

    def next_turn(self) -> None:
        """Another message of the assistant begins."""
        self._turn += 1

    def of_call(self, call_id: str, path: str) -> str:
        """The id to send for a call."""
        del path
        sent = call_id if _ID.fullmatch(call_id) else _hashed(call_id)
        copy = 1
        while sent in self.original:
            copy += 1
            sent = _hashed(f"{call_id}#{copy}")
        self.original[sent] = call_id
        self._waiting.append((self._turn, call_id, sent))
        return sent

    def of_result(self, call_id: str, path: str) -> str:
        """The id to send for a result.

        Raises:
            CallerError: no call with this id waits for a result (P49).
        """
        mine = [entry for entry in self._waiting if entry[1] == call_id]
        if not mine:
            raise invalid(
                f"The tool result at {path} answers the call {call_id!r}, which no assistant "
                "message before it makes.",
                path,
                "tool_call_id_invalid",
            )
        latest = max(turn for turn, _, _ in mine)
        chosen = next(entry for entry in mine if entry[0] == latest)
        self._waiting.remove(chosen)
        return chosen[2]


def _hashed(text: str) -> str:
    return "toolu_" + hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=12).hexdigest()
