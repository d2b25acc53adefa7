"""After a call of Responses was answered: what is to be kept is kept before its last byte goes out.

What cannot be kept is told: the response then says ``store: false``, and a loss says why. The
answer itself is paid for, and is never held back for that.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec
from msgspec import structs

from dragoman.core.call import Answer, Call
from dragoman.core.loss import Loss
from dragoman.keeping.items import is_id, read_output, write_items
from dragoman.keeping.keeper import DAY_S, Keeper
from dragoman.keeping.ports import Content, Kept
from dragoman.keeping.recall import Keeping
from dragoman.keeping.reply import read_reply, tell
from dragoman.keeping.tap import Seen, look

PATIENCE_S = 6.0
"""How long a finished answer waits for the database; as long as SQLite's own for its lock, and a little."""


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
    return Answer(structs.replace(answer.head, body=tell(body, said)))


async def _stream(
    pieces: AsyncGenerator[bytes, None], keeping: Keeping, call: Call, keeper: Keeper
) -> AsyncGenerator[bytes, None]:
    """Nothing, to begin with, then the stream."""
    yield b""
    async with aclosing(pieces):
        async for piece in pieces:
            for seen in look(piece):
                yield await _told(seen, keeping, call, keeper)


async def _told(seen: Seen, keeping: Keeping, call: Call, keeper: Keeper) -> bytes:
    """The frames as they go out; the last one once the response is kept."""
    if isinstance(seen, bytes):
        return seen
    if seen.is_last or (keeping.background and _is_theirs(keeping, call)):
        # What goes on in the background is asked for again by a caller that left in between.
        return seen.write(await _keep(seen.reply, keeping, call, keeper))
    return seen.write(_said(keeping, call, stored=keeping.here))


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


async def _keep(reply: bytes, keeping: Keeping, call: Call, keeper: Keeper) -> dict[str, object]:
    """Keeps the reply as far as it is to be; what it then has to say."""
    theirs = _is_theirs(keeping, call)
    stored = keeping.here and not theirs
    reason = ""
    if stored:
        whole = tell(reply, _said(keeping, call, stored=True))
        reason = await _put(whole, keeping, call, keeper)
    elif theirs and keeping.noted:
        reason = await _put(reply, keeping, call, keeper, theirs=True)
    if reason:
        call.outcome.losses += (Loss("store", reason),)
    return _said(keeping, call, stored=stored and not reason)


async def _put(
    reply: bytes, keeping: Keeping, call: Call, keeper: Keeper, *, theirs: bool = False
) -> str:
    """Why the reply could not be kept, empty if it was."""
    read = read_reply(reply)
    served = call.outcome.served
    if read is None or served is None:
        return "the reply is no response"
    if theirs and read.store is False:
        return ""
    if not is_id(read.id):
        return "the reply has no id that could be kept"
    try:
        put_out = read_output(reply)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "the reply's output cannot be read"
    names = [item.id for item in (*keeping.input, *put_out) if item.id and is_id(item.id)]
    now = keeper.clock.wall()
    kept = Kept(
        id=read.id,
        created=now,
        expires=now + keeper.policy.days * DAY_S,
        provider=served.provider,
        credential=served.credential,
        items=tuple(names),
    )
    continued: tuple[str, ...] = ()
    if not theirs:
        content = Content(write_items(keeping.input), reply)
        if len(content.input) + len(content.reply) > keeper.policy.most_bytes:
            return f"a response of more than {keeper.policy.most_bytes} bytes is not kept"
        kept = structs.replace(kept, previous=keeping.previous, content=content)
        continued = keeping.continued
    try:
        # The second bound is for what comes before its turn, and for a write that hangs.
        async with asyncio.timeout(PATIENCE_S + 0.5):
            await keeper.store.put(keeping.tenant, kept, continued, PATIENCE_S)
    except Exception as error:  # noqa: BLE001  whatever it is, a paid answer is not held back for it
        keeper.report(error, call)
        return "the gateway's database did not take it"
    return ""
