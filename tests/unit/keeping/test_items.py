"""Items keep their bytes; what is listed has an id and its full form, and nothing is lost in a chain."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.core.envelope import PREFIX
from dragoman.core.errors import CallerError
from dragoman.keeping.items import (
    Names,
    containers,
    conversation_of,
    for_their_provider,
    is_id,
    joined,
    names_of,
    read_input,
    read_items,
    read_names,
    read_output,
    referred,
    settled,
    write_items,
)
from dragoman.keeping.ports import Content
from dragoman.keeping.recall import conversation
from sampling import examples

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ID = st.one_of(st.none(), st.text("abc_123", min_size=1, max_size=9))
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system", "developer"]), "content": TEXT},
    optional={"type": st.just("message"), "id": ID, "more": st.integers()},
)
CALL = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["function_call", "function_call_output", "reasoning", "odd"]),
        "call_id": TEXT,
        "content": st.lists(TEXT, max_size=2),
    },
    optional={"id": ID},
)
ITEMS = st.lists(st.one_of(MESSAGE, CALL), max_size=5)


def read(value):
    return read_input(json.dumps(value).encode())


def said(items):
    return [json.loads(item.raw) for item in items]


@given(ITEMS)
@settings(max_examples=examples(60))
def test_what_is_read_and_written_is_what_it_was(given_items):
    items = read(given_items)
    assert json.loads(write_items(items)) == given_items
    assert read_items(write_items(items)) == items


@given(ITEMS)
@settings(max_examples=examples(60))
def test_a_settled_item_has_an_id_and_says_what_it_said(given_items):
    items = settled(read(given_items), "0123")
    found = said(items)
    assert all(
        item.id and item.id == shown["id"] for item, shown in zip(items, found, strict=True)
    )
    made = [item.id for item, old in zip(items, given_items, strict=True) if not old.get("id")]
    assert len(set(made)) == len(made)
    for shown, old in zip(found, given_items, strict=True):
        if "role" in old:
            assert shown["type"] == "message"
            part = shown["content"][0]
            assert part["text"] == old["content"]
            wanted = "output_text" if old["role"] == "assistant" else "input_text"
            assert part["type"] == wanted
        kept = {name: old[name] for name in old if name not in {"id", "type", "content"}}
        assert {name: shown[name] for name in kept} == kept
    assert settled(items, "4567") == items


@given(st.lists(st.tuples(ITEMS, ITEMS), max_size=4))
@settings(max_examples=examples(40))
def test_a_chain_is_its_inputs_and_outputs_one_after_the_other(turns):
    contents = [
        Content(write_items(read(before)), json.dumps({"id": "r", "output": after}).encode())
        for before, after in turns
    ]
    whole = [item for before, after in turns for item in (*before, *after)]
    assert said(conversation(contents)) == whole
    # However it is cut in two.
    for cut in range(len(contents) + 1):
        parts = conversation(contents[:cut]) + conversation(contents[cut:])
        assert parts == conversation(contents)


def test_numbers_and_spaces_of_an_item_stay_as_they_were():
    raw = b'{"type": "function_call", "id":"fc_1", "n": 1.10e2, "x": 10000000000000000000001}'
    items = read_input(b"[" + raw + b"]")
    assert items[0].raw == raw
    assert settled(items, "s")[0].raw == raw
    assert b"1.10e2" in settled(read_input(b'[{"type":"odd","n":1.10e2}]'), "s")[0].raw


def test_a_text_is_a_message_of_the_user():
    (message,) = said(settled(read("hé"), "ab"))
    assert message == {
        "id": "msg_abi0",
        "type": "message",
        "role": "user",
        "status": "completed",
        "content": [{"type": "input_text", "text": "hé"}],
    }
    assert read(None) == ()
    assert read_input(None) == ()


def test_what_stands_for_another_item_is_seen_in_every_spelling():
    spelled = [{"type": "item_reference", "id": "a"}, {"id": "a"}, {"type": None, "id": "a"}]
    assert [item.is_reference for item in read(spelled)] == [True] * 3
    escaped = read_input(rb'[{"type":"item_referenc\u0065","id":"a"}]')
    assert escaped[0].is_reference
    others = [
        {"role": "user", "content": "x", "id": "a"},
        {"type": "function_call", "id": "a"},
        {},
    ]
    assert [item.is_reference for item in read(others)] == [False] * 3
    for given_items in (*([item] for item in spelled), spelled + others):
        assert referred(json.dumps(given_items).encode()).stands_for_others
    for nothing in (None, b"null", b'"item_reference"', b"[]", json.dumps(others).encode()):
        assert not referred(nothing).stands_for_others


@pytest.mark.parametrize(
    "value",
    [
        b"5",
        b"{}",
        b"[5]",
        b'["x"]',
        b'[{"type":5}]',
        b'[{"id":{}}]',
        b"[" * 9,
        b'"\xff"',
        rb'["\ud800"]',
    ],
)
def test_an_input_of_another_kind_is_refused(value):
    assert referred(value).stands_for_others
    with pytest.raises(CallerError, match="input") as error:
        read_input(value)
    assert error.value.status == 400


@given(st.binary(max_size=40))
@settings(max_examples=examples(60))
def test_any_bytes_are_items_or_the_callers_error(data):
    for value in (data, b'[{"role":"user","content":%b}]' % data):
        try:
            items = read_input(value)
        except CallerError:
            continue
        settled(items, "s")


@pytest.mark.pitfall(104)
def test_a_provider_gets_neither_ids_that_it_does_not_know_nor_foreign_reasoning():
    output = [
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "reasoning", "id": "rs_2", "encrypted_content": f"{PREFIX}1.x.y"},
        {"type": "reasoning", "id": "rs_3", "encrypted_content": "gAAA"},
        {"type": "message", "id": "msg_1", "role": "assistant", "content": []},
        {"role": "user", "content": "x"},
    ]
    items, losses = for_their_provider(read_output(json.dumps({"output": output}).encode()))
    assert said(items) == [
        {"type": "reasoning", "encrypted_content": "gAAA"},
        {"type": "message", "role": "assistant", "content": []},
        {"role": "user", "content": "x"},
    ]
    assert [loss.path for loss in losses] == ["input[0]", "input[1]"]


@pytest.mark.parametrize("text", ["", "x" * 513, "a\x00", "é", "a\nb", "\ud800"])
def test_what_is_no_id_is_asked_for_nowhere(text):
    assert not is_id(text)
    assert is_id("resp_" + "x" * 500)


def test_every_id_under_which_a_provider_may_keep_something_is_seen():
    given_items = [
        {"role": "user", "content": "x"},
        {"type": "message", "role": "user", "id": "msg_1", "content": "x"},
        {"type": "item_reference", "id": "msg_2"},
        {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True},
        {"type": "code_interpreter_call", "id": "ci_1", "container_id": "cntr_1"},
        {"type": "reasoning", "id": "", "container_id": 5},
    ]
    found = referred(json.dumps(given_items).encode())
    assert found.stands_for_others
    assert found.names == ("msg_1", "mcpr_1", "ci_1", "cntr_1")
    reply = {"output": given_items[1:], "conversation": {"id": "conv_1"}}
    names = read_names(json.dumps(reply).encode())
    assert names == Names(("msg_1", "msg_2", "mcpr_1", "ci_1"), ("cntr_1",), "conv_1")
    assert read_names(b'{"conversation":null}') == Names()
    assert names_of(b'{"id":"rs_1"}') == Names(("rs_1",))
    shell = b'{"id":"sh_1","type":"shell_call","environment":{"container_id":"cntr_1"}}'
    assert names_of(shell) == Names(("sh_1",), ("cntr_1",))
    assert names_of(b"5") == Names()


def test_what_outlives_a_response_is_told_apart():
    begun = Names(("rs_1", "rs_1", "no\nid"), ("cntr_1",))
    assert begun.split() == (("rs_1",), ("cntr_1",))
    # All that is in a conversation lives as long as that.
    whole = joined([begun, Names(conversation="conv_1"), Names(("msg_1",))])
    assert whole.split() == ((), ("conv_1", "cntr_1", "rs_1", "msg_1"))


@pytest.mark.parametrize(
    ("tools", "found"),
    [
        (None, ()),
        (b'[{"type":"function"}]', ()),
        (b'[{"type":"code_interpreter","container":"cntr_1"}]', ("cntr_1",)),
        (b'[{"type":"code_interpreter","container":{"type":"auto"}}]', ()),
        (b'{"container":5}', ()),
        (b'[{"type":"code_interpreter","conta\\u0069ner":"cntr_1"}]', ("cntr_1",)),
        (b'[null,5,{"container":"cntr_1"},{"container":"cntr_2"}]', ("cntr_1", "cntr_2")),
        (
            b'[{"type":"shell","environment":{"type":"container_reference","container_id":"cntr_1"}}]',
            ("cntr_1",),
        ),
        (b'[{"type":"shell","environment":{"type":"container_auto"}},{"environment":5}]', ()),
    ],
)
def test_containers_are_named_by_tools(tools, found):
    assert containers(tools) == found


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, None),
        (b"null", None),
        (b'"conv_1"', "conv_1"),
        (b'{"id":"conv_1"}', "conv_1"),
        (b'{"id":5}', ""),
        (b"5", ""),
        (b"{", ""),
    ],
)
def test_a_conversation_is_named_by_its_id_alone_or_in_an_object(value, found):
    assert conversation_of(value) == found
