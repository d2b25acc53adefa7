"""Recordings: one call, and as many who follow it as come, whatever happens to any of them."""

import asyncio
from contextlib import aclosing

import pytest
from msgspec.structs import replace

from dragoman.core.errors import CallerError, HouseError, UpstreamError
from dragoman.reuse.give import give_recorded, place_of, resume
from dragoman.reuse.wish import CacheWish, Place, Wish
from recording_desk import POLICY, Provider, Store, new_call, new_recorder, read

KEY = Wish("key")
RESUMABLE = Wish(resumable=True)
WHOLE = b'{"answer":1}'


def run(story, **members):
    """Runs a story with a recorder, and sees that nothing of it is left."""

    async def told():
        recorder = new_recorder(**members)
        try:
            await asyncio.wait_for(story(recorder), 20)
            await quiet(recorder)
            assert not recorder.live
        finally:
            await recorder.close()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(told())


async def quiet(recorder):
    """Returns once no recording is under way."""
    for _ in range(1000):
        if not recorder.live:
            return
        await asyncio.sleep(0.002)


def give(recorder, provider, call=None, wish=KEY, body=b"{}"):
    return give_recorded(wish, call or new_call(), body, provider.make, recorder)


async def given(recorder, provider, call=None, wish=KEY, body=b"{}"):
    return await read(await give(recorder, provider, call, wish, body))


@pytest.mark.parametrize("whole", [None, WHOLE])
def test_all_who_ask_at_once_get_one_answer(whole):
    async def story(recorder):
        provider = Provider(whole=whole)
        calls = [new_call() for _ in range(100)]
        bodies = await asyncio.gather(*(given(recorder, provider, call) for call in calls))
        assert len(set(bodies)) == 1
        assert len(provider.calls) == 1
        first = provider.calls[0].id
        assert [call.id for call in calls if call.outcome.origin is None] == [first]
        assert {call.outcome.origin.call_id for call in calls if call.outcome.origin} == {first}
        assert all(call.outcome.accounted for call in calls)
        assert {call.outcome.status for call in calls} == {"complete"}
        await quiet(recorder)
        late = new_call()
        assert await given(recorder, provider, late) == bodies[0]
        assert late.outcome.origin.model == "gpt-4o"
        assert len(provider.calls) == 1

    run(story)


def test_a_late_follower_hears_the_beginning_and_then_the_rest_as_it_comes():
    async def story(recorder):
        provider = Provider(go=asyncio.Semaphore(2))
        first = asyncio.create_task(given(recorder, provider))
        await asyncio.sleep(0.02)
        answer = await give(recorder, provider)
        async with aclosing(answer.pieces) as pieces:
            heard = await anext(pieces)
            assert heard.count(b"id: ") == 2
            provider.go.release()
            assert (await anext(pieces)).count(b"id: ") == 1
            with pytest.raises(StopAsyncIteration):
                await anext(pieces)
        await first

    run(story)


def test_the_call_is_told_apart_from_those_who_follow_it():
    """What becomes of a follower changes nothing of the call, and the other way round."""

    async def story(recorder):
        provider, call = Provider(), new_call()
        await given(recorder, provider, call)
        made = provider.calls[0]
        assert made is not call
        assert made.id == call.id
        assert made.outcome is not call.outcome
        assert made.outcome.attempts is call.outcome.attempts
        assert call.outcome.origin is None

    run(story)


@pytest.mark.parametrize("whole", [None, WHOLE])
def test_who_leaves_does_not_end_the_call(whole):
    async def story(recorder):
        provider, call = Provider(whole=whole, go=asyncio.Semaphore(0)), new_call()
        task = asyncio.create_task(given(recorder, provider, call))
        await asyncio.sleep(0.02)
        call.gone = True
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert call.outcome.accounted
        await asyncio.sleep(POLICY.window_s / 2)
        back = asyncio.create_task(given(recorder, provider))
        await asyncio.sleep(POLICY.window_s)
        for _ in provider.pieces:
            provider.go.release()
        assert await back
        assert (len(provider.calls), provider.cancelled) == (1, 0)

    run(story)


@pytest.mark.parametrize("whole", [None, WHOLE])
@pytest.mark.parametrize("after", [0, 1])
def test_what_a_call_consumes_is_counted_once_whether_or_not_its_caller_stays(whole, after):
    counted = []

    async def story(recorder):
        recorder.consumed = counted.append
        provider, call = Provider(whole=whole, go=asyncio.Semaphore(after)), new_call()
        task = asyncio.create_task(given(recorder, provider, call))
        await asyncio.sleep(0.02)
        left = not (after and whole)
        if left:
            call.gone = True
            task.cancel()
        await asyncio.wait({task})
        for _ in provider.pieces:
            provider.go.release()
        await quiet(recorder)
        assert [each.outcome for each in counted] == ([provider.calls[0].outcome] if left else [])
        assert len(call.outcome.attempts) == (0 if left else 1)

    run(story)


def test_very_many_calls_do_not_go_on_unread():
    async def story(recorder):
        provider = Provider(whole=WHOLE, go=asyncio.Semaphore(0))

        async def leave(name, tenant="ours"):
            call = new_call(tenant=tenant)
            task = asyncio.create_task(given(recorder, provider, call, Wish(name)))
            await asyncio.sleep(0.01)
            call.gone = True
            task.cancel()
            await asyncio.sleep(0.01)

        await leave("a")
        await leave("b")
        assert provider.cancelled == 0
        await leave("c")
        assert provider.cancelled == 1
        await leave("d", "theirs")
        assert provider.cancelled == 1
        for _ in range(3):
            provider.go.release()

    run(story, policy=replace(POLICY, most_unread=2))


@pytest.mark.parametrize("whole", [None, WHOLE])
def test_a_call_that_nobody_comes_back_for_ends_and_frees_the_key(whole):
    async def story(recorder):
        provider, call = Provider(whole=whole, go=asyncio.Semaphore(0)), new_call()
        task = asyncio.create_task(given(recorder, provider, call))
        await asyncio.sleep(0.02)
        call.gone = True
        task.cancel()
        await asyncio.sleep(POLICY.window_s * 1.5)
        assert provider.cancelled == 1
        assert provider.calls[0].gone
        assert not recorder.store.rows
        assert await given(recorder, Provider()) != b""

    run(story)


def test_a_failure_is_told_to_all_who_wait_and_not_kept():
    async def story(recorder):
        provider = Provider(error=UpstreamError("overloaded", "Busy."))
        calls = [new_call() for _ in range(5)]
        failures = await asyncio.gather(
            *(given(recorder, provider, call) for call in calls), return_exceptions=True
        )
        # What was tried is told of the call for which it was.
        assert [len(call.outcome.attempts) for call in calls] == [1, 0, 0, 0, 0]
        assert all(failure is provider.error for failure in failures)
        assert len(provider.calls) == 1
        provider.error = None
        assert await given(recorder, provider)
        assert len(provider.calls) == 2

    run(story)


def test_who_comes_after_a_stream_has_broken_makes_a_new_one():
    async def story(recorder):
        provider = Provider(status="upstream_cut")
        first = await given(recorder, provider)
        second = await given(recorder, provider)
        assert first != second
        assert len(provider.calls) == 2
        await quiet(recorder)
        assert not recorder.store.rows

    run(story)


def test_who_asks_again_with_the_very_frame_that_says_so_makes_a_new_one():
    class Broken(Provider):
        async def _stream(self, call):
            yield b""
            yield b"data: 1\n\n"
            call.outcome.status = "upstream_cut"
            yield b"data: broken\n\n"
            await asyncio.sleep(0.02)

    async def story(recorder):
        broken, whole = Broken(), Provider()
        answer = await give(recorder, broken)
        async with aclosing(answer.pieces) as pieces:
            while b"broken" not in await anext(pieces):
                pass
            assert b"broken" not in await given(recorder, whole)
        assert (len(broken.calls), len(whole.calls)) == (1, 1)

    run(story)


def test_a_bug_is_raised_where_somebody_waits():
    async def story(recorder):
        with pytest.raises(ZeroDivisionError):
            await given(recorder, Provider(error=ZeroDivisionError()))

    run(story)


def test_another_request_is_refused_while_the_first_is_under_way_and_after_it():
    async def story(recorder):
        provider = Provider(go=asyncio.Semaphore(0))
        first = asyncio.create_task(given(recorder, provider))
        await asyncio.sleep(0.02)
        with pytest.raises(CallerError) as during:
            await given(recorder, provider, body=b'{"a":1}')
        provider.go = asyncio.Semaphore(9)
        first.cancel()
        await quiet(recorder)
        await given(recorder, provider)
        await quiet(recorder)
        refused = new_call()
        with pytest.raises(CallerError) as after:
            await given(recorder, provider, refused, body=b'{"a":1}')
        assert during.value.status == after.value.status == 422
        assert not refused.outcome.accounted

    run(story)


def test_the_model_in_the_path_and_the_query_belong_to_the_request():
    async def story(recorder):
        provider = Provider()
        await given(recorder, provider, new_call(named="a", query={"alt": "sse", "key": "secret"}))
        same = new_call(named="a", query={"alt": "sse", "key": "other"})
        assert await given(recorder, provider, same)
        for other in (new_call(named="b", query={"alt": "sse"}), new_call(named="a")):
            with pytest.raises(CallerError):
                await given(recorder, provider, other)

    run(story)


def test_who_waits_too_long_is_told_when_to_come_back():
    async def story(recorder):
        provider = Provider(whole=WHOLE, go=asyncio.Semaphore(0))
        first = asyncio.create_task(given(recorder, provider))
        await asyncio.sleep(0.02)
        late = new_call()
        with pytest.raises(CallerError) as caught:
            await given(recorder, provider, late)
        assert (caught.value.status, caught.value.code) == (409, "request_in_progress")
        assert caught.value.retry_after_s
        provider.go.release()
        assert await first == WHOLE

    run(story)


@pytest.mark.parametrize("whole", [None, WHOLE])
def test_two_processes_make_one_call(whole):
    async def story(recorder):
        provider, other = (
            Provider(whole=whole, go=asyncio.Semaphore(0)),
            new_recorder(recorder.store),
        )
        here = asyncio.create_task(given(recorder, provider))
        await asyncio.sleep(0.02)
        call = new_call()
        there = asyncio.create_task(given(other, provider, call))
        await asyncio.sleep(0.02)
        for _ in provider.pieces:
            provider.go.release()
        assert await here == await there
        assert len(provider.calls) == 1
        assert call.outcome.origin.call_id == provider.calls[0].id
        await other.close()

    run(story)


def test_what_another_process_does_not_finish_in_time_is_409():
    async def story(recorder):
        provider, other = Provider(go=asyncio.Semaphore(0)), new_recorder(recorder.store)
        here = asyncio.create_task(given(recorder, provider))
        await asyncio.sleep(0.02)
        call = new_call()
        with pytest.raises(CallerError) as caught:
            await given(other, provider, call)
        assert caught.value.status == 409
        assert not call.outcome.accounted
        here.cancel()
        await other.close()

    run(story)


def test_a_call_under_way_keeps_its_key():
    async def story(recorder):
        provider = Provider(go=asyncio.Semaphore(0))
        task = asyncio.create_task(given(recorder, provider))
        await asyncio.sleep(POLICY.lease_s * 2)
        assert recorder.store.renewed >= 2
        provider.go = asyncio.Semaphore(9)
        task.cancel()

    run(story)


def test_a_store_that_is_away_refuses_keys_and_no_streams():
    async def story(recorder):
        recorder.store.down = HouseError("overloaded", "Away.")
        provider, call = Provider(), new_call()
        with pytest.raises(HouseError):
            await given(recorder, provider, call)
        assert not call.outcome.accounted
        assert not provider.calls
        assert await given(recorder, provider, wish=RESUMABLE)

    run(story)


def test_an_answer_that_the_store_does_not_take_is_given_all_the_same():
    reports = []

    async def story(recorder):
        provider = Provider(go=asyncio.Semaphore(0))
        task = asyncio.create_task(given(recorder, provider))
        await asyncio.sleep(0.02)
        recorder.store.down = HouseError("overloaded", "Away.")
        for _ in provider.pieces:
            provider.go.release()
        assert await task
        await quiet(recorder)

    run(story, reports=reports)
    assert len(reports) == 1


def test_the_operator_may_forbid_it():
    async def story(recorder):
        for wish in (KEY, RESUMABLE):
            with pytest.raises(CallerError) as caught:
                await given(recorder, Provider(), wish=wish)
            assert (caught.value.status, caught.value.code) == (400, "storage_not_allowed")

    run(story, policy=replace(POLICY, allowed=False))


def test_a_key_goes_past_the_cache():
    async def story(recorder):
        call = new_call()
        await given(recorder, Provider(), call, Wish("key", cache=CacheWish()))
        assert call.outcome.cache == "bypass"

    run(story)


# --- resumed streams


def test_the_rest_of_a_stream_is_what_its_client_does_not_have():
    async def story(recorder):
        provider, call = Provider(go=asyncio.Semaphore(1)), new_call()
        answer = await give(recorder, provider, call, RESUMABLE)
        had = await anext(answer.pieces)
        await answer.pieces.aclose()
        provider.go = asyncio.Semaphore(9)
        provider.go.release()
        recorder.stream("ours", call.id)
        rest = await resume(Place(call.id, 1), new_call(), recorder)
        tail = asyncio.create_task(read(rest))
        await asyncio.sleep(0)
        assert had == b"id: %b:1\ndata: 1\n\n" % call.id.encode()
        provider.go.release()
        first = provider.calls[0]
        assert first.id == call.id
        tail.cancel()

    run(story)


@pytest.mark.parametrize("number", range(4))
def test_a_finished_stream_is_resumed_from_anywhere(number):
    async def story(recorder):
        call = new_call()
        whole = await given(recorder, Provider(), call, RESUMABLE)
        await quiet(recorder)
        events = [event + b"\n\n" for event in whole.split(b"\n\n")[:-1]]
        late = new_call()
        rest = await resume(Place(call.id, number), late, recorder)
        assert await read(rest) == b"".join(events[number:])
        assert late.outcome.origin.call_id == call.id

    run(story)


def test_nobody_resumes_what_is_not_theirs_or_not_there():
    async def story(recorder):
        call = new_call()
        await given(recorder, Provider(), call, RESUMABLE)
        for place, asking in [
            (Place(call.id, 0), new_call(tenant="theirs")),
            (Place(call.id, 4), new_call()),
            (Place(new_call().id, 0), new_call()),
        ]:
            with pytest.raises(CallerError) as caught:
                await resume(place, asking, recorder)
            assert (caught.value.status, caught.value.code) == (404, "stream_not_found")
        whole = new_call()
        await given(recorder, Provider(whole=WHOLE), whole, Wish("whole"))
        with pytest.raises(CallerError):
            await resume(Place(whole.id, 0), new_call(), recorder)

    run(story)


def test_a_broken_stream_is_there_for_the_window():
    async def story(recorder):
        call = new_call()
        whole = await given(recorder, Provider(status="upstream_cut"), call, RESUMABLE)
        await quiet(recorder)
        assert not recorder.store.rows
        again = new_call()
        assert await read(await resume(Place(call.id, 0), again, recorder)) == whole
        assert again.outcome.status == "upstream_cut"
        await asyncio.sleep(POLICY.window_s * 1.5)
        with pytest.raises(CallerError):
            await resume(Place(call.id, 0), new_call(), recorder)

    run(story)


def test_a_repeated_request_says_what_it_has():
    async def story(recorder):
        provider, call = Provider(), new_call()
        whole = await given(recorder, provider, call)
        rest = Wish("key", after=Place(call.id, 2))
        assert await given(recorder, provider, wish=rest) == whole[whole.rindex(b"id: ") :]
        await quiet(recorder)
        assert await given(recorder, provider, wish=rest) == whole[whole.rindex(b"id: ") :]
        with pytest.raises(CallerError) as caught:
            await given(recorder, provider, wish=rest, body=b'{"a":1}')
        assert caught.value.status == 422
        assert len(provider.calls) == 1

    run(story)


def test_a_place_belongs_to_the_stream_that_is_asked_for():
    call = new_call()
    assert place_of(call.id, call) == Place(call.id, 0)
    call.headers = {"last-event-id": f"{call.id}:3"}
    assert place_of(call.id, call) == Place(call.id, 3)
    with pytest.raises(CallerError):
        place_of(new_call().id, call)


@pytest.mark.parametrize(
    ("dialect", "query", "said"),
    [
        ("ollama", {}, True),
        ("gemini", {}, True),
        ("gemini", {"alt": "sse"}, False),
        ("chat", {}, False),
    ],
)
def test_a_stream_without_events_says_so(dialect, query, said):
    async def story(recorder):
        call = new_call(dialect=dialect, query=query)
        await given(recorder, Provider(), call, RESUMABLE)
        assert [loss.path for loss in call.outcome.losses] == [
            "$header.x-dragoman-resumable"
        ] * said
        strict = new_call(dialect=dialect, query=query, strict=True)
        if said:
            with pytest.raises(CallerError):
                await given(recorder, Provider(), strict, RESUMABLE)
        else:
            await given(recorder, Provider(), strict, RESUMABLE)

    run(story)


def test_googles_clients_get_ids_only_where_they_ask_for_them():
    async def story(recorder):
        for wish, has_ids in [(KEY, False), (Wish("k", resumable=True), True), (RESUMABLE, True)]:
            call = new_call(dialect="gemini", query={"alt": "sse"})
            body = await given(recorder, Provider(), call, wish)
            assert (b"id: " in body) == has_ids
            await quiet(recorder)
            if has_ids:
                assert await read(await resume(Place(call.id, 0), new_call(), recorder)) == body
            else:
                with pytest.raises(CallerError):
                    await resume(Place(call.id, 1), new_call(), recorder)

    run(story)


# --- large ones, and the end


def test_an_answer_that_is_too_large_is_given_and_not_kept():
    async def story(recorder):
        pieces = [b"data: %b\n\n" % (b"x" * 1000)] * 50
        provider, call = Provider(pieces=pieces), new_call()
        answer = await give(recorder, provider, call)
        heard = []
        async with aclosing(answer.pieces) as stream:
            async for piece in stream:
                heard.append(piece)
                await asyncio.sleep(0)
                live = recorder.stream("ours", call.id)
                assert live is None or live.size < 8000
        assert b"".join(heard).count(b"id: ") == 50
        await quiet(recorder)
        assert not recorder.store.rows
        with pytest.raises(CallerError):
            await resume(Place(call.id, 1), new_call(), recorder)

    run(story, policy=replace(POLICY, most_bytes=4000))


def test_a_large_answer_of_which_everybody_has_gone_does_not_stay_in_memory():
    async def story(recorder):
        pieces = [b"data: %b\n\n" % (b"x" * 1000)] * 50
        provider, call = Provider(pieces=pieces, go=asyncio.Semaphore(0)), new_call()
        task = asyncio.create_task(given(recorder, provider, call))
        await asyncio.sleep(0.02)
        call.gone = True
        task.cancel()
        for _ in range(49):
            provider.go.release()
        await asyncio.sleep(0.02)
        assert recorder.stream("ours", call.id).size < 5000
        provider.go.release()

    run(story, policy=replace(POLICY, most_bytes=4000))


def test_at_the_end_all_who_follow_are_told():
    async def story(recorder):
        provider = Provider(go=asyncio.Semaphore(1))
        answer = await give(recorder, provider)
        waiting = asyncio.create_task(
            given(recorder, Provider(go=provider.go), wish=Wish("other"))
        )
        await anext(answer.pieces)
        await asyncio.sleep(0.02)
        await recorder.close()
        assert await read(answer) == b""
        await asyncio.wait({waiting}, timeout=1)
        assert waiting.done()

    run(story)


def test_a_server_that_shuts_down_lets_the_stream_say_so():
    """The follower's task is cancelled, and its caller is still there (R2)."""

    class Polite(Provider):
        async def _stream(self, call):
            yield b""
            yield b"data: 1\n\n"
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                assert not call.gone
                asyncio.current_task().uncancel()
                call.outcome.status = "house_error"
                yield b"data: draining\n\n"

    async def story(recorder):
        task = asyncio.create_task(given(recorder, Polite()))
        await asyncio.sleep(0.02)
        task.cancel()
        assert (await task).endswith(b"data: draining\n\n")

    run(story)


def test_two_stores_are_two_worlds():
    """What the desk takes for granted: recorders share by their store alone."""

    async def story(recorder):
        provider = Provider()
        await given(recorder, provider)
        other = new_recorder(Store())
        await given(other, provider)
        assert len(provider.calls) == 2
        await quiet(other)
        await other.close()

    run(story)
