"""New connections: names asked once, the first address that answers, sockets that are not left open."""

import asyncio
import errno
import gc
import socket
import time
from contextlib import suppress

import pytest

from dragoman.transport import direct_dial, failures, names
from dragoman.transport.direct_dial import dial
from dragoman.transport.direct_request import Origin
from dragoman.transport.names import Address, Names

V4, V6 = socket.AF_INET, socket.AF_INET6


def four(number, port=80):
    return Address(V4, (f"127.0.0.{number}", port))


def six(number, port=80):
    return Address(V6, (f"::{number}", port, 0, 0))


class Told(Names):
    """Names that resolve to what the test says."""

    def __init__(self, *addresses):
        super().__init__()
        self.all = list(addresses)
        self.forgotten = 0

    async def addresses(self, origin):
        return self.all

    def forget(self, origin):
        self.forgotten += 1


def reach(monkeypatch, *answers, timeout_s=2.0):
    """What dialling addresses that answer so leads to: (after seconds, an error or None for yes)."""
    made = []

    async def connect(address):
        after, error = answers[address.address[0]]
        sock = socket.socket()
        made.append((address.address[0], time.perf_counter(), sock))
        try:
            await asyncio.sleep(after)
            if error is not None:
                raise error
        except BaseException:
            sock.close()
            raise
        return sock

    async def spoken(sock, host, context, make):
        return sock

    monkeypatch.setattr(direct_dial, "_connect", connect)
    monkeypatch.setattr(direct_dial, "_spoken", spoken)

    async def story():
        told = Told(*(Address(V4, (number,)) for number in range(len(answers))))
        begun = time.perf_counter()
        here = Origin("a", 80, secure=False)
        got = await dial(here, told, None, asyncio.timeout(timeout_s), asyncio.Protocol)
        took = time.perf_counter() - begun
        await asyncio.sleep(0.02)
        if isinstance(got, socket.socket):
            (won,) = (number for number, _, sock in made if sock is got)
            got.close()
            got = won
        assert all(sock.fileno() == -1 for _, _, sock in made), "none is left open"
        return got, took, [at - begun for _, at, _ in made], told

    return asyncio.run(story())


REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, "refused")
NO_ROUTE = OSError(errno.ENETUNREACH, "no route")


def test_one_address_is_dialled_as_it_is(monkeypatch):
    got, took, begun, told = reach(monkeypatch, (0, None))
    assert (got, len(begun), told.forgotten) == (0, 1, 0)
    assert took < 0.1


def test_a_family_that_leads_nowhere_costs_a_quarter_of_a_second(monkeypatch):
    got, took, begun, _ = reach(monkeypatch, (9, None), (0.01, None))
    assert got == 1
    assert 0.2 < took < 0.4
    assert len(begun) == 2


def test_an_address_that_fails_is_followed_by_the_next_at_once(monkeypatch):
    got, took, begun, _ = reach(monkeypatch, (0, NO_ROUTE), (0, REFUSED), (0, None), (0, None))
    assert got == 2
    assert took < 0.1
    assert len(begun) == 3


def test_a_slow_address_still_wins_where_the_later_ones_fail(monkeypatch):
    got, took, _, _ = reach(monkeypatch, (0.6, None), (0.1, REFUSED), (9, None))
    assert got == 0
    assert 0.5 < took < 0.8


def test_two_that_answer_at_once_leave_one(monkeypatch):
    monkeypatch.setattr(direct_dial, "STAGGER_S", 0.0)
    got, _, begun, _ = reach(monkeypatch, (0.05, None), (0.05, None), (0.05, None))
    assert got in {0, 1, 2}
    assert len(begun) >= 1


@pytest.mark.parametrize(
    ("answers", "fault"),
    [
        ([(0, REFUSED)], failures.REFUSED),
        ([(0, NO_ROUTE)], failures.UNREACHABLE),
        ([(0, NO_ROUTE), (0, REFUSED)], failures.REFUSED),
        ([(0, NO_ROUTE), (0, NO_ROUTE)], failures.UNREACHABLE),
        ([(0, TimeoutError(errno.ETIMEDOUT, "the system's"))], failures.CONNECT_TIMEOUT),
    ],
)
def test_where_none_answers_the_fault_is_the_most_telling_one(monkeypatch, answers, fault):
    got, took, _, told = reach(monkeypatch, *answers)
    assert got is fault
    assert took < 0.2
    assert told.forgotten == 1, "the next one asks for the name again"


def test_all_black_holes_end_with_the_connect_timeout(monkeypatch):
    got, took, begun, told = reach(monkeypatch, (9, None), (9, None), timeout_s=0.4)
    assert got is failures.CONNECT_TIMEOUT
    assert 0.35 < took < 0.6
    assert (len(begun), told.forgotten) == (2, 1)


def test_a_try_that_comes_through_after_it_was_given_up_is_closed(monkeypatch):
    late = []

    async def connect(address):
        sock = socket.socket()
        if address.address[0] == "127.0.0.1":
            late.append(sock)
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(9)
        return sock

    async def spoken(sock, host, context, make):
        return sock

    monkeypatch.setattr(direct_dial, "_connect", connect)
    monkeypatch.setattr(direct_dial, "_spoken", spoken)
    monkeypatch.setattr(direct_dial, "STAGGER_S", 0.01)

    async def story():
        here, told = Origin("a", 80, secure=False), Told(four(1), four(2))
        won = await dial(here, told, None, asyncio.timeout(5), asyncio.Protocol)
        await asyncio.sleep(0.01)
        assert [sock.fileno() for sock in late] == [-1]
        assert won.fileno() != -1
        won.close()

    asyncio.run(story())


def test_a_cancelled_dial_leaves_no_socket(monkeypatch):
    made = []

    async def connect(address):
        sock = socket.socket()
        made.append(sock)
        try:
            await asyncio.sleep(9)
        finally:
            sock.close()

    monkeypatch.setattr(direct_dial, "_connect", connect)
    monkeypatch.setattr(direct_dial, "STAGGER_S", 0.01)

    async def story():
        told = Told(four(1), four(2), four(3))
        here = Origin("a", 80, secure=False)
        task = asyncio.create_task(dial(here, told, None, asyncio.timeout(5), asyncio.Protocol))
        await asyncio.sleep(0.1)
        assert len(made) == 3
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)
        assert all(sock.fileno() == -1 for sock in made)

    asyncio.run(story())


# ---------------------------------------------------------------------------- names


def resolve(monkeypatch, answer, story):
    """Runs a story with a resolver that is counted."""
    asked = []

    async def main():
        loop = asyncio.get_running_loop()

        async def getaddrinfo(host, port, **_):
            asked.append(host)
            await asyncio.sleep(0.02)
            if isinstance(answer, BaseException):
                raise answer
            return [(each.family, socket.SOCK_STREAM, 6, "", each.address) for each in answer]

        monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
        return await story(Names())

    return asyncio.run(main()), asked


HERE = Origin("a.example", 443, secure=True)


def test_a_burst_asks_once_and_the_answer_is_kept_for_a_while(monkeypatch):
    async def story(book):
        first = await asyncio.gather(*(book.addresses(HERE) for _ in range(50)))
        assert await book.addresses(HERE) == first[0]
        monkeypatch.setattr(names, "KEPT_S", 0.0)
        book.forget(HERE)
        await book.addresses(HERE)
        await asyncio.sleep(0.01)
        await book.addresses(HERE)
        return first[0]

    found, asked = resolve(monkeypatch, [four(1)], story)
    assert found == [four(1)]
    assert len(asked) == 3


def test_families_take_turns_from_the_systems_first_on(monkeypatch):
    async def story(book):
        return await book.addresses(HERE)

    answer = [six(1), six(2), six(3), four(1), four(2), six(1)]
    assert resolve(monkeypatch, answer, story)[0] == [six(1), four(1), six(2), four(2), six(3)]
    assert resolve(monkeypatch, [four(1), four(2)], story)[0] == [four(1), four(2)]


def test_who_leaves_takes_the_answer_from_nobody(monkeypatch):
    async def story(book):
        first = asyncio.create_task(book.addresses(HERE))
        await asyncio.sleep(0)
        second = asyncio.create_task(book.addresses(HERE))
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert resolve(monkeypatch, [four(1)], story) == ([four(1)], ["a.example"])


@pytest.mark.parametrize("error", [socket.gaierror(-2, "unknown"), UnicodeError("label too long")])
def test_a_name_that_does_not_resolve_is_a_dns_fault_and_is_asked_again(monkeypatch, error):
    async def story(book):
        here = [
            await dial(HERE, book, None, asyncio.timeout(1), asyncio.Protocol) for _ in range(2)
        ]
        left = asyncio.create_task(dial(HERE, book, None, asyncio.timeout(1), asyncio.Protocol))
        await asyncio.sleep(0.01)
        left.cancel()
        del left
        logged = []
        asyncio.get_running_loop().set_exception_handler(lambda _, what: logged.append(what))
        await asyncio.sleep(0.05)
        gc.collect()
        assert logged == [], "nobody asks any more, and that is no error of ours"
        return here

    found, asked = resolve(monkeypatch, error, story)
    assert found == [failures.DNS, failures.DNS]
    assert len(asked) == 3


def test_a_name_of_no_address_is_a_dns_fault(monkeypatch):
    async def story(book):
        return await dial(HERE, book, None, asyncio.timeout(1), asyncio.Protocol)

    assert resolve(monkeypatch, [], story)[0] is failures.DNS


def test_what_is_known_does_not_grow_for_ever(monkeypatch):
    monkeypatch.setattr(names, "MOST", 3)

    async def story(book):
        for number in range(10):
            await book.addresses(Origin(f"h{number}", 80, secure=False))
        return len(book._known)

    assert resolve(monkeypatch, [four(1)], story)[0] <= 3


def test_closing_ends_the_questions_under_way_and_cancels_nobody(monkeypatch):
    async def story(book):
        task = asyncio.create_task(book.addresses(HERE))
        await asyncio.sleep(0)
        book.close()
        with pytest.raises(socket.gaierror):
            await task

    resolve(monkeypatch, [four(1)], story)


def test_a_name_that_is_slow_counts_into_the_connect_timeout(monkeypatch):
    async def story(book):
        return await dial(HERE, book, None, asyncio.timeout(0.005), asyncio.Protocol)

    assert resolve(monkeypatch, [four(1)], story)[0] is failures.CONNECT_TIMEOUT
