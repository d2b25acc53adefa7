"""The exact cache: an answer that the same key got to the very same request, given again for a while.

Off unless the operator gives it a time, and then for the keys that are named or the calls that ask.
Only whole answers without a fault are kept, and nothing of what a provider or the gateway remembers
beyond the call: a second one would not be the same.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

import msgspec

from dragoman.core.call import Answer, Call, Status
from dragoman.reuse.recorder import Recorder
from dragoman.reuse.refusals import not_cached
from dragoman.reuse.same import cache_key
from dragoman.reuse.transcript import Transcript, head_of, tell, transcript_of
from dragoman.reuse.wish import CacheWish

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_REMEMBERING = ("conversation", "previous_response_id", "background", "container", "thread")
"""Members of a request that refer to what somebody remembers, or have it remembered."""


async def give_cached(
    wish: CacheWish,
    call: Call,
    body: bytes,
    serve: Callable[[], Awaitable[Answer]],
    finish: Callable[[], None],
    recorder: Recorder,
) -> Answer:
    """The answer of the cache, or a new one, which is kept in it.

    Args:
        wish: what the request says to the cache.
        call: whose answer it is.
        body: its request.
        serve: makes a new answer, and sees to its account.
        finish: ends the account of a call that the cache has answered with a stream.
        recorder: has the cache.

    Raises:
        GatewayError: there is no answer, or none in the cache where none else will do.
    """
    cache = recorder.cache
    outcome = call.outcome
    if cache is None or not _may_be_cached(call, body):
        wish = CacheWish(reads=False, writes=False, only=wish.only)
    caller = call.caller
    assert caller is not None, "only who is known is answered"
    key = cache_key(call, body, recorder.version)
    outcome.cache = "miss" if wish.reads else "bypass"
    if wish.reads and cache is not None:
        kept = await cache.get(caller.tenant, key)
        if kept is not None:
            age_s = max(0, int(recorder.clock.wall() - kept.made))
            if wish.max_age_s is None or age_s <= wish.max_age_s:
                return await _hit(kept, age_s, call, finish)
    if wish.only:
        raise not_cached()
    answer = await serve()
    if not wish.writes or cache is None:
        return answer

    async def keep(pieces: list[bytes]) -> None:
        if outcome.status == "complete":
            made = transcript_of(call, answer.head, pieces, recorder.clock.wall())
            await cache.put(caller.tenant, key, made, recorder.policy.cache_s)

    most = recorder.policy.cache_most_bytes
    if answer.pieces is None:
        whole = answer.head.body or b""
        if len(whole) <= most:
            await keep([whole])
        return answer
    pieces = _listened(answer.pieces, most, keep)
    # Begun here, so that its end closes the stream in it even if nobody ever asks for a piece.
    await anext(pieces)
    return Answer(answer.head, pieces)


async def _listened(
    pieces: AsyncGenerator[bytes, None],
    most: int,
    keep: Callable[[list[bytes]], Awaitable[None]],
) -> AsyncGenerator[bytes, None]:
    """Nothing, to begin with, then the stream; what has passed is kept at its end."""
    heard: list[bytes] | None = []
    size = 0
    async with aclosing(pieces):
        yield b""
        async for piece in pieces:
            size += len(piece)
            if heard is not None:
                heard.append(piece)
                if size > most:
                    heard = None
            yield piece
    if heard is not None:
        await keep([piece for piece in heard if piece])


async def _hit(kept: Transcript, age_s: int, call: Call, finish: Callable[[], None]) -> Answer:
    outcome = call.outcome
    tell(outcome, kept.origin, kept.told)
    outcome.cache, outcome.age_s = "hit", age_s
    head = head_of(kept)
    if head.body is not None:
        outcome.status, outcome.http_status = "complete", head.status
        return Answer(head)
    pieces = _again(kept, call, finish)
    await anext(pieces)
    return Answer(head, pieces)


async def _again(
    kept: Transcript, call: Call, finish: Callable[[], None]
) -> AsyncGenerator[bytes, None]:
    """Nothing, to begin with, then the kept stream, piece by piece."""
    status: Status = "client_cut"
    try:
        yield b""
        call.outcome.http_status = kept.status
        for piece in kept.pieces:
            yield piece
        status = "complete"
    finally:
        call.outcome.status = status
        finish()


def _may_be_cached(call: Call, body: bytes) -> bool:
    """Whether an equal request gets an equal answer, as far as we can know."""
    try:
        members = _MEMBERS.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False  # it is refused in words of its own
    if any(_is_said(members.get(name)) for name in _REMEMBERING):
        return False
    if call.dialect == "responses" and call.operation == "chat":
        # Unless it says no, whoever answers may keep it under the id that the answer names.
        return bytes(members.get("store", b"")) == b"false"
    return not _is_said(members.get("store"))


def _is_said(value: msgspec.Raw | None) -> bool:
    return value is not None and bytes(value) not in {b"null", b"false"}
