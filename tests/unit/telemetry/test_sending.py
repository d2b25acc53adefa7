"""What a receiver answers: when to come again, and how many spans it has not taken."""

import time
from email.utils import formatdate

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from collector import collecting
from dragoman.telemetry.otlp import rejected_in, resource, scope
from dragoman.telemetry.sending import HttpSending, SendingError

HEAD = (resource({}), scope("dragoman", "1"))


def in_seconds(seconds: float) -> str:
    """A moment as HTTP says it; a receiver's own ``date`` is that of now."""
    return formatdate(time.time() + seconds, usegmt=True)


@pytest.mark.parametrize(
    ("says", "least", "most"),
    [
        (lambda: "7", 7.0, 7.0),
        (lambda: in_seconds(60), 50.0, 61.0),
        (lambda: in_seconds(-60), 0.0, 0.0),
        (lambda: in_seconds(60).removesuffix(" GMT"), None, None),
        (lambda: "soon", None, None),
        (lambda: "", None, None),
    ],
)
def test_it_says_when_to_come_again(says, least, most):
    with collecting() as there:
        there.answers = [(503, {"retry-after": says()})]
        sending = HttpSending(f"http://127.0.0.1:{there.port}/", HEAD, headers={}, timeout_s=5)
        with pytest.raises(SendingError) as caught:
            sending.send([])
        sending.close()
    after = caught.value.after_s
    assert after is least is most or least <= after <= most


def test_it_says_how_many_spans_it_has_rejected():
    with collecting() as there:
        there.rejects = 3
        sending = HttpSending(f"http://127.0.0.1:{there.port}/", HEAD, headers={}, timeout_s=5)
        assert sending.send([]) == 3
        there.rejects = 0
        assert sending.send([]) == 0
        sending.close()


@pytest.mark.parametrize("reply", [b"", b"{}", b"<html>", b"\x0a", b"\x0a\x01", b"\x08\x03"])
def test_what_is_no_such_answer_says_nothing(reply):
    assert rejected_in(reply) == 0


def test_a_word_beside_the_number_is_passed_over():
    told = ExportTraceServiceResponse()
    told.partial_success.error_message = "too old"
    assert rejected_in(told.SerializeToString()) == 0
    told.partial_success.rejected_spans = 300
    assert rejected_in(told.SerializeToString()) == 300
