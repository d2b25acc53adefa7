import pytest

from dragoman.mock.answer import Billed
from dragoman.mock.play import HANG, Pace, stage
from dragoman.mock.reply import Reply, json_reply
from dragoman.mock.script import Script

pytestmark = pytest.mark.req("R-MOCK-003", "R-TEST-009")

WHOLE = Reply(200, ((b'{"a":1}', 10),), (("x-request-id", "r"),), billed=Billed(3, 10))
STREAM = Reply(200, ((b"data: a\n\n", 1), (b"data: b\n\n", 2), (b"data: c\n\n", 3)), streamed=True)


USUAL = Script()
AT_ONCE = Pace()


def staged(reply, script=USUAL, pace=AT_ONCE, *, keep_alive=True):
    return stage(reply, script, pace, keep_alive=keep_alive, error_frame=b"data: error\n\n")


def body(play):
    return b"".join(step.data for step in play.steps).partition(b"\r\n\r\n")[2]


def head(play):
    return b"".join(step.data for step in play.steps).partition(b"\r\n\r\n")[0]


def test_a_whole_reply_is_one_write_with_its_length():
    play = staged(WHOLE)
    assert head(play).splitlines() == [
        b"HTTP/1.1 200 OK",
        b"server: dragoman-mock",
        b"content-type: application/json",
        b"content-length: 7",
        b"x-request-id: r",
    ]
    assert body(play) == b'{"a":1}'
    assert (play.ending, play.whole, play.at_once, len(play.steps)) == ("keep", True, True, 1)


def test_a_caller_that_does_not_stay_is_told_that_the_connection_closes():
    play = staged(WHOLE, keep_alive=False)
    assert head(play).endswith(b"connection: close")
    assert (play.ending, play.whole) == ("close", True)


def test_an_unknown_status_has_a_reason_too():
    assert head(staged(json_reply(529, b""))).startswith(b"HTTP/1.1 529 Mock")


def test_a_stream_without_pauses_is_one_write_of_many_chunks():
    play = staged(STREAM)
    assert b"transfer-encoding: chunked" in head(play)
    assert body(play) == b"9\r\ndata: a\n\n\r\n9\r\ndata: b\n\n\r\n9\r\ndata: c\n\n\r\n0\r\n\r\n"
    assert play.at_once
    assert sum(step.output for step in play.steps) == 6


def test_the_pace_grows_with_the_tokens():
    assert [step.delay_s for step in staged(WHOLE, pace=Pace(0.5, 0.1)).steps] == [1.5]
    steps = staged(STREAM, pace=Pace(0.5, 0.1)).steps
    assert [round(step.delay_s, 3) for step in steps] == [0.5, 0.0, 0.2, 0.3, 0.0]


def test_a_fixed_pause_between_frames_takes_the_place_of_the_speed():
    steps = staged(STREAM, pace=Pace(0.0, 0.1, 0.05)).steps
    assert [step.delay_s for step in steps] == [0.0, 0.0, 0.05, 0.05, 0.0]
    assert not staged(STREAM, pace=Pace(0.0, 0.0, 0.05)).at_once


@pytest.mark.parametrize("cut", range(27))
@pytest.mark.parametrize("reply", [WHOLE, STREAM])
def test_a_cut_leaves_exactly_so_many_bytes_of_the_body(reply, cut):
    full = b"".join(data for data, _ in reply.frames)
    if cut >= len(full):
        assert staged(reply, Script(cut=cut)) == staged(reply)
        return
    closed = staged(reply, Script(cut=cut))
    assert (closed.ending, closed.whole) == ("close", False)
    assert _dechunked(closed, reply) == full[:cut]
    assert not body(closed).endswith(b"0\r\n\r\n")
    reset = staged(reply, Script(cut=cut, cut_mode="reset"))
    assert _dechunked(reset, reply) == full[:cut]
    assert (reset.ending, reset.steps[-1].delay_s > 0, reset.at_once) == ("reset", True, False)
    ended = staged(reply, Script(cut=cut, cut_mode="end"))
    assert _dechunked(ended, reply) == full[:cut]
    assert (ended.ending, ended.whole) == ("keep", False)
    if reply.streamed:
        assert body(ended).endswith(b"0\r\n\r\n")
    else:
        assert b"content-length: %d" % cut in head(ended)
        assert b"content-length: 7" in head(closed)


def _dechunked(play, reply):
    data = body(play)
    if not reply.streamed:
        return data
    found = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        found, data = found + data[: int(size, 16)], data[int(size, 16) + 2 :]
    return found


def test_hanging_and_dropping_send_nothing():
    assert staged(WHOLE, Script(hang=True)) is HANG
    dropped = staged(WHOLE, Script(drop="reset"), Pace(0.2))
    assert [(step.delay_s, step.data) for step in dropped.steps] == [(0.2, b"")]
    assert (dropped.ending, dropped.whole) == ("reset", False)
    assert staged(WHOLE, Script(drop="close")).ending == "close"


def test_silence_after_frames_leaves_the_connection_open():
    play = staged(STREAM, Script(hang_after=1))
    assert body(play) == b"9\r\ndata: a\n\n\r\n"
    assert (play.ending, play.whole, play.at_once) == ("hang", False, False)
    assert body(staged(WHOLE, Script(hang_after=0))) == b""


@pytest.mark.parametrize("keep_alive", [True, False])
def test_an_error_frame_ends_a_stream_in_good_framing(keep_alive):
    play = staged(STREAM, Script(error_after=1), keep_alive=keep_alive)
    assert body(play) == b"9\r\ndata: a\n\n\r\nd\r\ndata: error\n\n\r\n0\r\n\r\n"
    assert not play.whole


def test_a_whole_reply_has_no_error_frame():
    assert staged(WHOLE, Script(error_after=0)) == staged(WHOLE)


@pytest.mark.parametrize(("more", "said"), [(5, 12), (-3, 4), (-99, 0)])
def test_a_lie_about_the_length_leaves_the_body_as_it_is(more, said):
    play = staged(WHOLE, Script(content_length=more))
    assert b"content-length: %d" % said in head(play)
    assert (body(play), play.ending, play.whole) == (b'{"a":1}', "close", False)
    assert staged(STREAM, Script(content_length=more)) == staged(STREAM)


@pytest.mark.parametrize(
    ("told", "sent"),
    [("empty", b""), ("html", b"<html>"), ("garbage", b"\x00\xff"), ("{}", b"{}")],
)
def test_another_body_takes_the_place_of_the_answer(told, sent):
    assert body(staged(WHOLE, Script(body=told))).startswith(sent)
    assert (body(staged(WHOLE, Script(body="empty")))) == b""


def test_a_stream_is_sliced_wherever_frames_end():
    play = staged(STREAM, Script(slice=10))
    assert _dechunked(play, STREAM) == b"data: a\n\ndata: b\n\ndata: c\n\n"
    assert body(play).startswith(b"a\r\ndata: a\n\nd\r\n")
    assert sum(step.output for step in play.steps) == 6
    assert body(staged(STREAM, Script(slice=10, hang_after=0))) == b""
