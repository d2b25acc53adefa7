"""After a call of Responses was answered: what is to be kept is kept before its last byte goes out.

Of what a provider keeps a note is taken as soon as its id is known, and nobody waits for that. What
cannot be kept is told: the response then says ``store: false``, and a loss says why. The
answer itself is paid for, and is never held back for that.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial

import msgspec
from msgspec import Struct, structs

from dragoman.core.call import Answer, Attempt, Call
from dragoman.core.loss import Loss
from dragoman.keeping.aside import aside
from dragoman.keeping.items import (
    Names,
    is_id,
    joined,
    names_of,
    read_names,
    read_output,
    write_items,
)
from dragoman.keeping.keeper import DAY_S, Keeper
from dragoman.keeping.ports import Content, Kept
from dragoman.keeping.recall import Keeping
from dragoman.keeping.reply import read_reply, tell
from dragoman.keeping.tap import Begun, Seen, look

PATIENCE_S = 6.0
"""How long a finished answer waits for the database; as long as SQLite's own for its lock, and a little."""
_CONVERSATION = b'"conversation"'
_NO_RESPONSE = "the reply is no response"
_NO_ID = "the reply has no id that could be kept"
_NO_OUTPUT = "the reply's output cannot be read"
_NOT_TAKEN = "the gateway's database did not take it"


async def keep(answer: Answer, keeping: Keeping, call: Call, keeper: Keeper) -> Answer:
    """The answer, kept as it was asked for: a stream's with its last frame."""
    call.outcome.losses += keeping.losses
    if answer.pieces is not None:
        pieces = _stream(answer.pieces, keeping, call, keeper)
        # Begun here, so that its end closes the stream in it even if nobody asks for a piece.
        await anext(pieces)
        return Answer(answer.head, pieces)
    body = answer.head.body or b""
    said = await _keep(body, keeping, call, keeper)
    told = await aside(len(body), partial(tell, body, said))
    return Answer(structs.replace(answer.head, body=told))


async def _stream(
    pieces: AsyncGenerator[bytes, None], keeping: Keeping, call: Call, keeper: Keeper
) -> AsyncGenerator[bytes, None]:
    """Nothing, to begin with, then the stream."""
    course = _Course(keeping, call, keeper)
    try:
        yield b""
        async with aclosing(pieces):
            async for piece in pieces:
                for seen in look(piece):
                    yield await course.told(seen)
    finally:
        course.end()


class _Course:
    """One stream, and what its provider has said of the response so far."""

    __slots__ = ("_call", "_first", "_keeper", "_keeping", "_names")

    def __init__(self, keeping: Keeping, call: Call, keeper: Keeper) -> None:
        self._keeping = keeping
        self._call = call
        self._keeper = keeper
        self._first: bytes | None = None
        """The response as it began, until the end of it is known."""
        self._names: list[Names] = []
        """What the items that have begun since are called."""

    async def told(self, seen: Seen) -> bytes:
        """The frames as they go out; the last one once the response is kept."""
        keeping, call = self._keeping, self._call
        if isinstance(seen, bytes):
            return seen
        if isinstance(seen, Begun):
            if self._first is not None:
                self._names.append(names_of(seen.item))
            return seen.raw
        if seen.is_last:
            said = await _keep(seen.reply, keeping, call, self._keeper, self._names)
            self._first = None
            return await aside(len(seen.reply), partial(seen.write, said))
        if keeping.noted and self._first is None and _is_theirs(keeping, call):
            # It is asked for again by a caller that leaves in between, and by nobody else.
            self._first = seen.reply
            _note(_read(seen.reply), keeping, call, self._keeper)
        return seen.write(_said(keeping, call, stored=keeping.here))

    def end(self) -> None:
        """A stream that was cut: what has begun is its caller's all the same."""
        if self._first is not None and self._names:
            read = _read(self._first)
            _note(read, self._keeping, self._call, self._keeper, self._names)


def _is_theirs(keeping: Keeping, call: Call) -> bool:
    """Whether who answered keeps responses itself."""
    served = call.outcome.served
    return served is not None and served.provider in keeping.keepers


def _said(keeping: Keeping, call: Call, *, stored: bool) -> dict[str, object]:
    """What the response says of being kept; a provider's own word stands."""
    said: dict[str, object] = {}
    if keeping.here and not _is_theirs(keeping, call):
        # Ids of small servers are three digits long, and come again.
        said["id"] = f"resp_{call.id.replace('-', '')}"
    if keeping.previous is not None:
        said["previous_response_id"] = keeping.previous
    if not _is_theirs(keeping, call):
        said["store"] = stored
    return said


async def _keep(
    reply: bytes, keeping: Keeping, call: Call, keeper: Keeper, names: Sequence[Names] = ()
) -> dict[str, object]:
    """Keeps the reply as far as it is to be; what it then has to say.

    ``names`` are ids that its stream has told beside it.
    """
    theirs = _is_theirs(keeping, call)
    stored = keeping.here and not theirs
    reason = ""
    if stored:
        said = _said(keeping, call, stored=True)
        whole = await aside(len(reply), partial(tell, reply, said))
        reason = await _put(whole, keeping, call, keeper)
    elif theirs and keeping.noted:
        read = await aside(len(reply), partial(_read, reply))
        reason = _note(read, keeping, call, keeper, names)
    if reason:
        call.outcome.losses += (Loss("store", reason),)
    return _said(keeping, call, stored=stored and not reason)


class _Read(Struct, frozen=True):
    """What has to be known of a response that its provider keeps."""

    id: str = ""
    names: Names = Names()
    reason: str = ""
    """Why it cannot be noted."""


def _read(reply: bytes) -> _Read | None:
    """None: its provider does not keep it."""
    read = read_reply(reply)
    if read is None:
        return _Read(reason=_NO_RESPONSE)
    if read.store is False and _CONVERSATION not in reply:
        return None
    if not is_id(read.id):
        return _Read(reason=_NO_ID)
    try:
        names = read_names(reply)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Read(reason=_NO_OUTPUT)
    return None if read.store is False and not names.conversation else _Read(read.id, names)


def _note(
    read: _Read | None, keeping: Keeping, call: Call, keeper: Keeper, names: Sequence[Names] = ()
) -> str:
    """Writes down whose a response is that its provider keeps; why that could not be, or nothing."""
    served = call.outcome.served
    if read is None or read.reason or served is None:
        return "" if read is None else read.reason
    items, lasting = joined((read.names, *names)).split()
    kept = structs.replace(_record(read.id, items, served, keeper), lasting=lasting)
    return "" if keeper.store.note(keeping.tenant, kept) else _NOT_TAKEN


def _record(name: str, items: Sequence[str], served: Attempt, keeper: Keeper) -> Kept:
    now = keeper.clock.wall()
    return Kept(
        id=name,
        created=now,
        expires=now + keeper.policy.days * DAY_S,
        provider=served.provider,
        credential=served.credential,
        items=tuple(dict.fromkeys(item for item in items if is_id(item))),
    )


async def _put(reply: bytes, keeping: Keeping, call: Call, keeper: Keeper) -> str:
    """Why the reply could not be kept here, empty if it was."""
    read = await aside(len(reply), partial(read_reply, reply))
    served = call.outcome.served
    if read is None or served is None:
        return _NO_RESPONSE
    try:
        put_out = await aside(len(reply), partial(read_output, reply))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _NO_OUTPUT
    content = Content(write_items(keeping.input), reply)
    if len(content.input) + len(content.reply) > keeper.policy.most_bytes:
        return f"a response of more than {keeper.policy.most_bytes} bytes is not kept"
    names = [item.id for item in (*keeping.input, *put_out) if item.id]
    kept = structs.replace(
        _record(read.id, names, served, keeper), previous=keeping.previous, content=content
    )
    try:
        # The second bound is for what comes before its turn, and for a write that hangs.
        async with asyncio.timeout(PATIENCE_S + 0.5):
            await keeper.store.put(keeping.tenant, kept, keeping.continued, PATIENCE_S)
    except Exception as error:  # noqa: BLE001  whatever it is, a paid answer is not held back for it
        keeper.report(error, call)
        return _NOT_TAKEN
    return ""
