"""Large bodies are worked on in a thread, and small ones are not worth one."""

from __future__ import annotations

import asyncio
import json
import threading

from dragoman.keeping import keep, recall
from dragoman.keeping.aside import LARGE, aside
from keeping_desk import GROQ, OPENAI, Desk, response, texts


def test_from_some_size_on_a_thread_does_it():
    here = threading.current_thread()
    assert asyncio.run(aside(LARGE, threading.current_thread)) is here
    assert asyncio.run(aside(LARGE + 1, threading.current_thread)) is not here


def test_a_long_conversation_is_read_composed_and_kept_aside(monkeypatch):
    where = []

    def noting(work):
        def noted(*arguments, **named):
            where.append(threading.current_thread())
            return work(*arguments, **named)

        return noted

    for module, name in (
        (recall, "read_wish"),
        (recall, "read_input"),
        (recall, "compose"),
        (recall, "conversation"),
        (keep, "tell"),
        (keep, "read_output"),
        (keep, "_read"),
    ):
        monkeypatch.setattr(module, name, noting(getattr(module, name)))
    desk = Desk()
    long = "x" * (LARGE + 1)
    first = desk.turn(long, store=True, reply=response("resp_1", long))
    found = desk.recall(GROQ, input=long, previous_response_id=first["id"])
    assert texts(found.body["input"])[0] == ("user", long)
    found = desk.recall(OPENAI, input=long)
    reply = response("resp_own", long, store=True)
    assert desk.answer(found, reply) == json.loads(json.dumps(reply))
    assert ("ours", "resp_own") in desk.store.rows
    assert len(where) >= 9
    assert threading.main_thread() not in where
