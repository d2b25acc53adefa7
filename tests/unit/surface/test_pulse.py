"""Heartbeats in a silent stream."""

import asyncio

import pytest

from dragoman.core.call import Outlet
from dragoman.surface import pulse
from dragoman.surface.pulse import Pulse


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(pulse, "SILENCE_S", 0.4)


def play(story):
    sent = []

    async def send(message):
        sent.append(message["body"])

    async def run():
        await story(send)

    asyncio.run(run())
    return sent


async def stopped(beat):
    if (sending := beat.stop()) is not None:
        await sending


@pytest.mark.pitfall(15)
def test_silence_is_filled_and_frames_keep_it_quiet():
    async def story(send):
        beat = Pulse(send, b": ping\n\n")
        for _ in range(5):
            await asyncio.sleep(0.1)
            beat.beat()
        await send({"body": b"frame"})
        await asyncio.sleep(1.0)
        await stopped(beat)
        await asyncio.sleep(0.1)

    sent = play(story)
    assert sent[0] == b"frame"
    assert sent[1:] == [b": ping\n\n"] * 2


@pytest.mark.pitfall(15)
def test_dialects_whose_clients_break_on_it_get_none():
    async def story(send):
        beat = Pulse(send, None)
        await asyncio.sleep(0.9)
        await stopped(beat)

    assert play(story) == []


def test_no_heartbeat_follows_the_end():
    async def story(send):
        async def slow(message):
            await asyncio.sleep(0.3)
            await send(message)

        beat = Pulse(slow, b"x")
        await asyncio.sleep(0.5)
        await stopped(beat)
        await send({"body": b"end"})
        await asyncio.sleep(0.1)

    assert play(story) == [b"x", b"end"]


@pytest.mark.pitfall(15)
def test_frames_that_go_out_past_the_task_keep_it_quiet_as_well():
    async def story(send):
        outlet = Outlet()
        beat = Pulse(send, b": ping\n\n", outlet)
        for _ in range(5):
            await asyncio.sleep(0.1)
            outlet.at = asyncio.get_running_loop().time()
        await send({"body": b"frame"})
        await asyncio.sleep(1.0)
        await stopped(beat)

    sent = play(story)
    assert sent[0] == b"frame"
    assert sent[1:] == [b": ping\n\n"] * 2
