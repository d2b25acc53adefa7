"""The verb of this room: an answer is given again, or made so that it can be.

Three ways to ask for it, and one recording behind them: an Idempotency-Key makes of any number of
equal requests one call; a resumable stream goes on while its client is away; the cache gives an
answer that somebody with the same key got before.
"""

from __future__ import annotations

from dragoman.core.call import Answer, Call
from dragoman.core.loss import Loss
from dragoman.core.provider import Family
from dragoman.dialects.registry import DIALECTS
from dragoman.reuse.event_ids import SSE
from dragoman.reuse.follow import follow
from dragoman.reuse.ports import Spot
from dragoman.reuse.recorder import Make, Recorder
from dragoman.reuse.recording import Recording
from dragoman.reuse.refusals import differs, no_stream, not_allowed, unresumable
from dragoman.reuse.same import fingerprint, scope_of, scope_of_stream
from dragoman.reuse.wish import Place, Wish, read_place

_STRICT: frozenset[Family] = frozenset({"gemini"})
"""Google's own clients take any line but ``data:`` for JSON: ids are for who asks for them."""
_NO_EVENTS = "streams of this form have no events with ids"


async def give_recorded(
    wish: Wish, call: Call, body: bytes, make: Make, recorder: Recorder
) -> Answer:
    """The answer to a request with an Idempotency-Key, or to one that wants to resume its stream.

    Raises:
        GatewayError: the key names another request, or there is no answer.
    """
    caller = call.caller
    assert caller is not None, "only who is known is answered"
    if not recorder.policy.allowed:
        raise not_allowed(keyed=wish.key is not None)
    if wish.cache is not None:
        call.outcome.cache = "bypass"
    if wish.resumable and call.strict and not _has_events(call):
        raise unresumable(_NO_EVENTS)
    same = fingerprint(call, body)
    if wish.after is not None:
        return await resume(wish.after, call, recorder, same)
    if wish.key is None:
        spot = Spot(caller.tenant, scope_of_stream(call.id))
    else:
        spot = Spot(caller.tenant, scope_of(caller.key_id, call.route, wish.key))
    recording = recorder.live.get(spot)
    is_first = recording is None
    if recording is None:
        recording = recorder.record(
            spot, call, body, same, make, numbered=wish.resumable or call.dialect not in _STRICT
        )
    elif recording.fingerprint != same:
        raise differs()
    wait_s = recorder.policy.wait_s
    answer = await follow(recording, call, is_first=is_first, wait_s=wait_s)
    if wish.resumable and answer.pieces is not None and not _has_events(call):
        call.outcome.losses += (Loss("$header.x-dragoman-resumable", _NO_EVENTS),)
    return answer


async def resume(
    place: Place, call: Call, recorder: Recorder, same: bytes | None = None
) -> Answer:
    """The rest of a stream of the tenant's, from behind the event that its client has.

    Args:
        place: that event.
        call: the client's new one.
        recorder: of this process.
        same: what the request has to be; None where it is no repeated one.

    Raises:
        GatewayError: there is no such stream, or not any more.
    """
    caller = call.caller
    assert caller is not None, "only who is known is answered"
    recording = recorder.stream(caller.tenant, place.call_id)
    if recording is None:
        scope = await recorder.store.scope(caller.tenant, place.call_id)
        if scope is None:
            raise no_stream(place.call_id)
        spot = Spot(caller.tenant, scope)
        recording = recorder.live.get(spot) or recorder.replay(spot, place.call_id, same)
    if same is not None and recording.fingerprint not in {None, same}:
        raise differs()
    wait_s = recorder.policy.wait_s
    answer = await follow(recording, call, is_first=False, after=place.number, wait_s=wait_s)
    if not _has_ids(answer, recording, place):
        if answer.pieces is not None:
            await answer.pieces.aclose()
        raise no_stream(place.call_id)
    return answer


def place_of(call_id: str, call: Call) -> Place:
    """Where a client of a stream is, as its ``Last-Event-ID`` says; at the beginning without one.

    Raises:
        CallerError: it names another stream.
    """
    place = read_place(call.headers)
    if place is None:
        return Place(call_id, 0)
    if place.call_id != call_id:
        raise no_stream(call_id)
    return place


def _has_ids(answer: Answer, recording: Recording, place: Place) -> bool:
    origin = recording.origin
    is_it = origin is not None and origin.call_id == place.call_id
    return is_it and answer.pieces is not None and recording.is_numbered


def _has_events(call: Call) -> bool:
    """Whether the streams of the call's dialect are events, which alone have ids."""
    is_array = call.dialect == "gemini" and call.query.get("alt") != "sse"
    return not is_array and DIALECTS[call.dialect].stream_content_type.startswith(SSE)
