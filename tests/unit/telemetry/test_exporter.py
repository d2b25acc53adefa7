"""The queue of spans: bounded, sent in batches, tried again, and never anybody's wait."""

import threading
import time

import pytest

from dragoman.core.trace import TraceContext
from dragoman.telemetry.exporter import TRIES, Bounds, Exporter
from dragoman.telemetry.sampling import SAMPLERS, sampler_of
from dragoman.telemetry.sending import SendingError
from servers import until


class Receiver:
    def __init__(self, *troubles, rejects=0):
        self.rejects = rejects
        self.troubles = list(troubles)
        self.batches = []
        self.closed = False
        self.gate = threading.Event()
        self.gate.set()

    def send(self, spans):
        assert self.gate.wait(10)
        if self.troubles and (trouble := self.troubles.pop(0)) is not None:
            raise trouble
        self.batches.append(list(spans))
        return self.rejects

    def close(self):
        self.closed = True


def passing(receiver, bounds, spans, told=None, rests=None):
    exporter = Exporter(
        [receiver],
        bounds,
        lambda level, message: (told if told is not None else []).append((level, message)),
        (rests if rests is not None else []).append,
    )
    exporter.start()
    for each in spans:
        exporter.put(each, 1)
    exporter.close()
    return exporter


def test_all_that_waits_goes_in_batches_and_in_order_at_the_end():
    spans = [b"%d" % number for number in range(25)]
    receiver = Receiver()
    exporter = passing(receiver, Bounds(queue=100, batch=10, delay_s=60), spans)
    assert [each for batch in receiver.batches for each in batch] == spans
    assert max(map(len, receiver.batches)) <= 10
    assert (exporter.sent, exporter.dropped, exporter.waiting) == (25, 0, 0)
    assert receiver.closed


def test_what_was_put_together_goes_together_and_a_batch_has_no_more_than_it_may():
    receiver = Receiver()
    exporter = Exporter([receiver], Bounds(queue=100, batch=5, delay_s=60), lambda *_: None)
    for spans, count in (b"aa", 2), (b"bb", 2), (b"cc", 2), (b"dddddddd", 8), (b"e", 1):
        exporter.put(spans, count)
    assert exporter.waiting == 15
    exporter.start()
    exporter.close()
    assert receiver.batches == [[b"aa", b"bb"], [b"cc"], [b"dddddddd"], [b"e"]]
    assert (exporter.sent, exporter.waiting) == (15, 0)


def test_a_full_batch_goes_at_once():
    receiver = Receiver()
    exporter = Exporter([receiver], Bounds(queue=100, batch=2, delay_s=60), lambda *_: None)
    exporter.start()
    exporter.put(b"12", 2)
    deadline = time.monotonic() + 5
    while not receiver.batches:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    exporter.close()


def test_what_finds_no_room_is_dropped_and_counted_whole():
    receiver = Receiver()
    receiver.gate.clear()
    exporter = Exporter([receiver], Bounds(queue=4, batch=100, delay_s=60), lambda *_: None)
    exporter.put(b"123", 3)
    exporter.put(b"45", 2)
    assert (exporter.waiting, exporter.dropped) == (3, 2)


def test_a_receiver_in_trouble_is_asked_again_with_longer_and_longer_rests():
    busy = SendingError("status 503", retryable=True)
    told, rests = [], []
    receiver = Receiver(busy, busy)
    exporter = passing(receiver, Bounds(100, 10, 60), [b"1"], told, rests)
    assert exporter.sent + exporter.dropped == 1
    hint = SendingError("status 429", retryable=True, after_s=3.0)
    rests.clear()
    receiver = Receiver(hint)
    passing(receiver, Bounds(100, 10, 60), [b"1"], told, rests)
    assert rests == [3.0]


@pytest.mark.parametrize(
    "trouble", [SendingError("status 400", retryable=False), RuntimeError("of ours")]
)
def test_what_is_refused_is_dropped_told_once_and_the_next_goes(trouble):
    told = []
    receiver = Receiver(trouble, trouble)
    exporter = Exporter([receiver], Bounds(100, 1, 60), lambda level, message: told.append(level))
    for each in (b"1", b"2", b"3"):
        exporter.put(each, 1)
    exporter.start()
    exporter.close()
    assert receiver.batches == [[b"3"]]
    assert (exporter.sent, exporter.dropped) == (1, 2)
    assert told == ["warn", "info"]


def test_tries_are_bounded_while_it_serves():
    busy = SendingError("ConnectionRefusedError", retryable=True)
    rests = []
    receiver = Receiver(*[busy] * 50)
    exporter = Exporter([receiver], Bounds(100, 1, 60), lambda *_: None, rests.append)
    exporter.put(b"1", 1)
    exporter.start()
    deadline = time.monotonic() + 5
    while not exporter.dropped:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert len(rests) == TRIES - 1
    assert rests[0] <= 0.5 < rests[-1] <= 2
    exporter.close()


def test_trouble_is_told_though_the_process_ends_between_two_tries():
    told, rests = [], []
    receiver = Receiver(*[SendingError("status 503", retryable=True)] * 9)

    def rest(seconds):
        rests.append(seconds)
        if len(rests) == 2:
            exporter._ending.set()

    exporter = Exporter([receiver], Bounds(), lambda level, _: told.append(level), rest)
    exporter.put(b"1", 1)
    exporter.start()
    exporter._woken.set()
    until(lambda: exporter.dropped)
    exporter.close()
    assert (told, len(rests)) == (["warn"], 2)


ALL, NONE = "0" * 16 + "f" * 16, "f" * 16 + "0" * 16


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_go_by_the_parent_where_they_say_so(name):
    sample = sampler_of(name, 0.5)
    for sampled in (True, False):
        context = TraceContext(ALL, "1" * 16, sampled)
        if name.startswith("parentbased"):
            assert sample(ALL, context) is sampled
        else:
            assert sample(ALL, context) is sample(ALL, None)
    expected = {"always_on": (True, True), "always_off": (False, False)}
    kind = name.removeprefix("parentbased_")
    assert (sample(ALL, None), sample(NONE, None)) == expected.get(kind, (False, True))


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_share_is_a_share(share):
    sample = sampler_of("traceidratio", share)
    ids = [
        f"{(number * 0x9E3779B97F4A7C15F39CC0605CEDC835) % 2**128:032x}" for number in range(4000)
    ]
    assert abs(sum(sample(each, None) for each in ids) / 4000 - share) < 0.03


def test_what_a_receiver_takes_in_part_is_counted_told_and_not_sent_again():
    told, receiver = [], Receiver(rejects=3)
    exporter = passing(receiver, Bounds(queue=100, batch=5, delay_s=60), [b"x"] * 10, told)
    assert len(receiver.batches) == 2
    assert (exporter.sent, exporter.dropped) == (4, 6)
    assert told == [("warn", "traces cannot be exported: 3 of 5 spans were rejected")]


def test_no_more_is_rejected_than_was_sent():
    exporter = passing(Receiver(rejects=2**63), Bounds(), [b"x"] * 4)
    assert (exporter.sent, exporter.dropped) == (0, 4)


def test_what_is_not_there_yet_is_asked_for_and_may_fail():
    told, receiver = [], Receiver()
    exporter = Exporter(
        [receiver], Bounds(delay_s=60), lambda level, message: told.append((level, message))
    )
    asked = []

    def more():
        asked.append(1)
        if len(asked) == 1:
            raise ZeroDivisionError
        exporter.put(b"late", 1)

    exporter.more = more
    exporter.start()
    exporter.put(b"0", exporter.bounds.batch)
    until(lambda: len(receiver.batches) == 1)
    exporter.close()
    assert receiver.batches[-1] == [b"late"]
    assert told[0] == ("warn", "traces cannot be exported: ZeroDivisionError")
