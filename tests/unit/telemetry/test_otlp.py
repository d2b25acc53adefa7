"""Our protobuf against protobuf's own classes: whatever is said is what they read."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector import plain
from dragoman.telemetry import otlp

TEXT = st.text(max_size=300)
VALUES = st.one_of(
    TEXT,
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=4),
)
SPAN, TRACE = "00f067aa0ba902b7", "0af7651916cd43dd8448eb211c80319c"


def sent(*spans, resource=None):
    head = otlp.resource(resource or {"service.name": "x"}), otlp.scope("dragoman", "1")
    message = ExportTraceServiceRequest.FromString(otlp.request(*head, spans))
    (found,) = message.resource_spans
    (scoped,) = found.scope_spans
    return found.resource, scoped


def one(**members):
    said = {
        "trace_id": TRACE,
        "span_id": SPAN,
        "parent_id": "",
        "name": "n",
        "kind": "client",
        "start_ns": 5,
        "end_ns": 7,
        "said": (),
    }
    return otlp.span(**{**said, **members})


@given(st.dictionaries(TEXT, VALUES, max_size=6), TEXT, TEXT, st.booleans())
def test_what_is_said_is_what_is_read(members, name, instance, failed):
    def safe(value):
        return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value

    members = {safe(key): value for key, value in members.items()}
    said = otlp.attributes(members)
    resource, scoped = sent(
        one(name=name, said=(said,), failed=failed), resource={"service.name": safe(instance)}
    )
    (span,) = scoped.spans
    assert {each.key: plain(each.value) for each in span.attributes} == {
        key: safe(value) for key, value in members.items()
    }
    assert span.name == safe(name)
    assert (span.status.code == 2) is failed
    assert plain(resource.attributes[0].value) == safe(instance)


@given(st.integers(0, 2**63), st.integers(0, 2**40), st.sampled_from(["", SPAN]), st.booleans())
def test_times_ids_and_flags(start, took, parent, entry):
    kinds = {"internal": 1, "server": 2, "client": 3}
    for kind, number in kinds.items():
        _, scoped = sent(
            one(start_ns=start, end_ns=start + took, parent_id=parent, kind=kind, is_entry=entry)
        )
        (span,) = scoped.spans
        assert (span.start_time_unix_nano, span.end_time_unix_nano) == (start, start + took)
        assert (span.trace_id.hex(), span.span_id.hex()) == (TRACE, SPAN)
        assert span.parent_span_id.hex() == parent
        assert span.kind == number
        assert span.flags & 1
        assert bool(span.flags & 0x200) is (entry and bool(parent))


@given(st.integers(0, 2**50))
def test_a_count_is_a_whole_number(number):
    _, scoped = sent(one(said=(otlp.count("c", number),)))
    assert plain(scoped.spans[0].attributes[0].value) == number


def test_an_end_before_the_beginning_is_none_and_long_names_are_cut():
    _, scoped = sent(one(start_ns=9, end_ns=3, said=(otlp.attribute("a", "x" * 5000),)))
    assert scoped.spans[0].end_time_unix_nano == 9
    assert len(plain(scoped.spans[0].attributes[0].value)) == 1024


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=9), VALUES))
def test_the_console_reads_back_what_was_written(members):
    spans = one(said=[otlp.attributes(members)], parent_id=SPAN) + one(name="other")
    shown, other = otlp.told(spans)
    assert other["name"] == "other"
    expected = {
        key: value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
        for key, value in members.items()
    }
    whole = {
        key: value & (2**64 - 1) if type(value) is int else value
        for key, value in expected.items()
    }
    assert shown["attributes"] == whole
    assert shown["parent_id"] == SPAN


@given(st.binary(max_size=60))
def test_bytes_that_are_no_message_are_refused(data):
    try:
        otlp.read_fields(data)
    except ValueError:
        return


def test_doubles_are_little_endian():
    assert otlp.attribute("d", 0.5).endswith(struct.pack("<d", 0.5))


@pytest.mark.parametrize("number", [0, 127, 128, 300, 2**32, 2**63])
def test_varints_come_back(number):
    assert otlp._read_varint(otlp.varint(number), 0)[0] == number


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), st.integers(0, 63))
def test_a_beginning_is_that_of_an_attribute_of_that_length(name, size):
    text = "y" * size
    assert otlp.beginning(name, size) + text.encode() == otlp.attribute(name, text)
