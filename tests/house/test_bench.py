"""The bench's own parts: what counts, counts right; what is started, is ended."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the bench reads /proc: it needs Linux"
)


@pytest.fixture(scope="module", autouse=True)
def bench_path():
    sys.path.insert(0, str(BENCH))
    yield
    sys.path.remove(str(BENCH))


@contextmanager
def counting_upstream():
    """The bench's own provider in a thread; a list that grows by one path for each request."""
    import upstream

    upstream.prepare()
    asked = []

    class Counted(upstream.Provider):
        def _answer(self, path, body):
            asked.append(path)
            super()._answer(path, body)

    ready = threading.Event()
    told = {}

    async def serve():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Counted, "127.0.0.1", 0, backlog=1024)
        told["port"] = server.sockets[0].getsockname()[1]
        told["loop"], told["end"] = loop, asyncio.Event()
        ready.set()
        await told["end"].wait()
        server.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(5)
    try:
        yield told["port"], asked
    finally:
        told["loop"].call_soon_threadsafe(told["end"].set)
        thread.join(5)


def lane_at(port, model="gpt-4o-mini"):
    from lanes import Lane

    return Lane("a way", port, (os.getpid(),), model)


def test_the_load_counts_each_answer_once():
    from load import Plan, closed_loop

    with counting_upstream() as (port, asked):
        plan = Plan(lane_at(port).ask(), connections=4, seconds=5, warm_s=0, requests=300)
        loaded = closed_loop(plan)
    assert loaded.wrong == 0
    assert 300 <= loaded.answered <= len(asked) <= loaded.answered + 3 * plan.connections
    assert 0 < loaded.p50_us <= loaded.p99_us
    assert loaded.per_s == pytest.approx(loaded.answered / loaded.seconds)


def test_the_load_reads_whole_streams():
    from load import Plan, closed_loop

    with counting_upstream() as (port, asked):
        ask = lane_at(port).ask(streamed=True)
        loaded = closed_loop(Plan(ask, connections=2, seconds=5, warm_s=0, requests=60))
    assert loaded.wrong == 0
    assert 60 <= loaded.answered <= len(asked)


def test_an_answer_that_is_no_success_is_counted_as_wrong():
    from dataclasses import replace

    from load import Plan, closed_loop

    with counting_upstream() as (port, _):
        ask = replace(lane_at(port).ask(), path="/nowhere")
        loaded = closed_loop(Plan(ask, connections=2, seconds=5, warm_s=0, requests=20))
    assert loaded.answered == 0
    assert loaded.wrong >= 20
    assert "404" in loaded.first_wrong


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_an_answer_is_complete_at_its_last_byte_however_it_is_cut(framing):
    from load import Answer

    body = b'data: {"a": "0\\r\\n"}\n\ndata: [DONE]\n\n'
    wire = {
        "length": b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body),
        "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"
        % (len(body), body),
    }[framing]
    for cut in range(1, len(wire)):
        answer = Answer(b"[DONE]")
        for _ in range(2):
            assert not answer.feed(wire[:cut])
            assert answer.feed(wire[cut:])
            assert answer.good


def test_an_answer_without_its_mark_is_no_good_one():
    from load import Answer

    answer = Answer(b"[DONE]")
    good = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n[DONE]"
    assert answer.feed(good)
    assert answer.good
    assert answer.feed(good.replace(b"[DONE]", b"[NONE]"))
    assert not answer.good


def test_chunks_of_held_streams_are_counted_at_their_pace():
    from hold import HoldPlan, hold
    from traffic import Pace

    with counting_upstream() as (port, asked):
        plan = HoldPlan(
            lane_at(port).ask(pace=Pace(50, 400)),
            streams=30,
            ramp_s=0.2,
            settle_s=0.1,
            window_s=1.0,
            watch=(os.getpid(),),
        )
        held = hold(plan)
    assert (held.begun, held.wrong, held.lost, len(asked)) == (30, 0, 0, 30)
    assert 0.7 * 600 <= held.chunks <= 1.1 * 600
    assert held.memory_mb <= held.peak_mb


def test_a_stream_that_has_ended_is_not_lost_and_a_refusal_is_wrong():
    from hold import HoldPlan, hold
    from traffic import Pace

    with counting_upstream() as (port, _):
        ended = hold(HoldPlan(lane_at(port).ask(pace=Pace(10, 5)), 3, window_s=0.3))
        ask = lane_at(port).ask(pace=Pace(10, 5))
        refused = type(ask)(ask.port, "/nowhere", ask.body, ask.headers, ask.mark)
        plan = HoldPlan(refused, 3, ramp_s=0.1, settle_s=0.1, window_s=0.1, patience_s=0.3)
        nothing = hold(plan)
    assert ended.begun == 3
    assert ended.lost == 0, "a kept connection outlives its stream"
    assert (nothing.begun, nothing.wrong, nothing.chunks) == (0, 3, 0)


def test_nginx_answers_and_relays_what_was_written_for_it(tmp_path):
    import nginx
    from lanes import check
    from machine import cores, find_nginx

    if find_nginx() is None:
        pytest.skip("nginx is not installed")
    core, other = cores()
    with (
        nginx.static(tmp_path, other) as (port, _),
        nginx.proxy(tmp_path, core, port) as (relayed, pid),
    ):
        check(lane_at(port))
        check(lane_at(relayed))
        assert os.sched_getaffinity(pid) == {core}


def test_a_way_with_a_wrong_answer_is_refused():
    from lanes import WrongAnswerError, check

    with (
        counting_upstream() as (port, _),
        pytest.raises(WrongAnswerError, match="gave a wrong stream"),
    ):
        lane = lane_at(port)
        # With its body unread the provider does not see that a stream was wanted.
        check(type(lane)(lane.name, port, (), lane.model, {"content-length": "0"}))


def test_streams_and_replies_say_the_same_sentence():
    import json as plain

    from lanes import said_in_stream
    from traffic import CHUNKS, Pace, pace_of, question, stream, whole

    said = plain.loads(whole("chat"))["choices"][0]["message"]["content"]
    assert said_in_stream(stream("chat").whole(CHUNKS)).split() == said.split()[:CHUNKS]
    assert said_in_stream(stream("chat").opening) == ""
    assert plain.loads(whole("anthropic"))["content"][0]["text"] == said
    assert pace_of(question("m", pace=Pace(100, 7)).encode()) == Pace(100, 7)
    assert pace_of(question("m").encode()) is None


def test_a_share_is_the_lower_of_clock_and_cpu():
    from bars import share_bar
    from measures import Round

    ours = [Round(per_s=1000, cpu_us=100, p50_us=1, p99_us=1, answered=1, wrong=0)]
    waiting = [Round(per_s=2000, cpu_us=10, p50_us=1, p99_us=1, answered=1, wrong=0)]
    slow = [Round(per_s=20_000, cpu_us=50, p50_us=1, p99_us=1, answered=1, wrong=0)]
    by_cpu = share_bar("a", ours, waiting, 0.1)
    assert by_cpu.value == pytest.approx(0.1)
    assert by_cpu.held is True
    assert "by clock 0.500, by CPU 0.100" in by_cpu.line()
    by_clock = share_bar("a", ours, slow, 0.1)
    assert by_clock.value == pytest.approx(0.05)
    assert by_clock.held is False
    assert share_bar("a", [], slow, 0.1).held is None
    silent = [Round(per_s=0, cpu_us=0, p50_us=0, p99_us=0, answered=0, wrong=0)]
    assert share_bar("a", ours, silent, 0.1).held is None


def test_bars_pass_fail_or_say_that_nothing_was_measured():
    from bars import Bar, added_us, drift
    from measures import Round

    assert Bar("a", 0.2, 0.1, at_least=True).held is True
    assert Bar("a", 251, 250).held is False
    assert Bar("a", None, 250).held is None
    assert "FAIL" in Bar("a", 251, 250, unit=" µs").line()
    assert "not measured" in Bar("a", None, 250).line()
    assert drift(100, 96) == pytest.approx(4)
    one = Round(per_s=1, cpu_us=1, p50_us=150, p99_us=900, answered=1, wrong=0)
    other = Round(per_s=1, cpu_us=1, p50_us=10, p99_us=20, answered=1, wrong=0)
    assert added_us([one], [other]) == (140, 880)


def test_a_run_that_measured_nothing_holds_no_bar_and_can_be_kept():
    from report import Report
    from verdict import judge

    report = Report({}, quick=True, when="now", commit=None)
    report.bars = judge(report)
    assert [bar.name for bar in report.bars if bar.held is not None] == ["wrong answers"]
    kept = json.loads(json.dumps(report.kept()))
    assert kept["format"] == 1
    assert {bar["held"] for bar in kept["bars"]} == {None, True}


def test_what_was_started_is_ended_when_the_block_fails(tmp_path):
    from process import running

    seen = []

    def fail():
        with running(
            [sys.executable, "-c", "import time; time.sleep(60)"],
            core=min(os.sched_getaffinity(0)),
            log=tmp_path / "log",
            folder=tmp_path,
        ) as process:
            seen.append(process)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert seen[0].poll() is not None


def test_an_interrupted_run_leaves_no_process_behind(tmp_path):
    from machine import family

    process = subprocess.Popen(
        [sys.executable, str(BENCH / "run.py"), "--quick"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=tmp_path,
        start_new_session=True,
    )
    try:
        started = ()
        deadline = time.monotonic() + 8
        while len(started) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
            started = family(process.pid)
        assert len(started) >= 3, "the upstream and a gateway"
        process.send_signal(signal.SIGINT)
        told, _ = process.communicate(timeout=15)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert process.returncode == 130, told
    assert b"every process was ended" in told
    # One whose parent went first is a number until the machine's first process has taken leave of it.
    deadline = time.monotonic() + 8
    left = set(started)
    while left and time.monotonic() < deadline:
        left = {pid for pid in left if Path(f"/proc/{pid}").exists()}
        time.sleep(0.05)
    assert not left


def test_what_traces_cost_is_told_as_throughput_and_the_receiver_takes_them():
    import http.client

    from costs import receiver, share_lost
    from machine import spent_ns

    assert share_lost(9.0, 10.0) == pytest.approx(0.1)
    with receiver() as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        for _ in range(2):
            connection.request("POST", "/v1/traces", b"x" * 1000)
            assert connection.getresponse().read() == b""
        connection.close()
    before, until = spent_ns(os.getpid()), time.monotonic() + 10
    # The kernel counts at its ticks.
    while spent_ns(os.getpid()) == before and time.monotonic() < until:
        sum(range(100_000))
    assert spent_ns(os.getpid()) > before > 0


def test_what_is_done_behind_a_gateways_turn_is_counted_as_its_own():
    from costs import A_ROUND, CONNECTIONS, by_turns

    clocks = {"plain": 0, "lazy": 0}

    class Gateway:
        def __init__(self, name, behind):
            self.name, self.behind = name, behind

        def ask_all(self):
            # All that waited is done in whosever turn comes next.
            for each in (plain, lazy):
                clocks[each.name] += each.behind * (each is not self)
            clocks[self.name] += A_ROUND * CONNECTIONS * 100_000

        def spent_ns(self):
            return clocks[self.name]

    plain, lazy = Gateway("plain", 0), Gateway("lazy", A_ROUND * CONNECTIONS * 20_000)
    assert by_turns(plain, lazy, 8) == pytest.approx((100.0, 120.0))


@pytest.mark.parametrize("part", ["limits", "redis"])
def test_what_limits_cost_is_told_against_the_key_of_the_bench(part, monkeypatch):
    from contextlib import ExitStack

    from costs import kinds
    from gateway import LIMITS

    monkeypatch.delenv("REDIS_URL", raising=False)
    with ExitStack() as stack:
        off, on = kinds(part, stack)
    assert (off.limits, off.file, off.environment) == (LIMITS, "", {})
    names = {option.partition("=")[0] for option in on.limits}
    assert names == {"--rps", "--rpm", "--rpd", "--tpm", "--tpd", "--concurrency"}
    assert on.file.count("[budgets.") == 2
    assert ("REDIS_URL" in on.environment) == (part == "redis")
