"""What a request refers to is brought back for anybody, left to whom it belongs, or not there."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from dragoman.core.envelope import PREFIX
from dragoman.core.errors import CallerError, HouseError
from keeping_desk import GROQ, OPENAI, OPENAI_TOO, XAI, Desk, response, texts
from sampling import examples


@pytest.fixture
def desk():
    return Desk()


def refusal(desk, *candidates, **members):
    with pytest.raises(CallerError) as error:
        desk.recall(*candidates, **members)
    return error.value


# --- who has nothing to do with it


def test_a_call_that_asks_for_nothing_asks_no_store(desk):
    found = desk.recall(input=[{"role": "user", "content": "hi"}], store=False)
    assert found.keeping is None
    assert found.body["store"] is False
    assert desk.recall(input="hi").keeping is None
    assert desk.recall(OPENAI, input="hi", store=False).keeping is None
    assert desk.store.asked == 0


def test_its_bytes_are_the_callers_own(desk):
    found = desk.recall(OPENAI, input="hi", temperature=0.5)
    assert found.ask.body == b'{"model": "m", "input": "hi", "temperature": 0.5}'
    assert found.keeping.noted


# --- going on from what is kept here


@pytest.mark.req("R-SURF-002")
@pytest.mark.pitfall(148, 150)
def test_a_response_is_continued_with_all_that_was_said_before(desk):
    first = desk.turn("one", store=True, instructions="Be brief.")
    second = desk.turn("two", store=True, previous_response_id=first["id"])
    found = desk.recall(input="three", previous_response_id=second["id"])
    assert "previous_response_id" not in found.body
    assert "instructions" not in found.body
    assert texts(found.body["input"]) == [
        ("user", "one"),
        ("assistant", "You said one"),
        ("user", "two"),
        ("assistant", "You said two"),
        ("user", "three"),
    ]
    assert found.keeping.continued == (first["id"], second["id"])


@given(st.lists(st.text("abc ", min_size=1, max_size=4), min_size=1, max_size=5))
@settings(max_examples=examples(20), deadline=None)
def test_a_conversation_of_turns_is_the_same_as_one_of_items(said):
    desk = Desk()
    previous = None
    whole = []
    for text in said:
        more = {} if previous is None else {"previous_response_id": previous}
        found = desk.recall(input=text, store=True, **more)
        assert texts(found.body["input"])[:-1] == whole if previous else True
        reply = desk.answer(found, response(f"resp_{desk.number}", f"You said {text}"))
        previous = reply["id"]
        whole += [("user", text), ("assistant", f"You said {text}")]
    found = desk.recall(previous_response_id=previous)
    assert texts(found.body["input"]) == whole


def test_two_may_go_on_from_the_same_response(desk):
    first = desk.turn("one", store=True)
    left = desk.turn("left", store=True, previous_response_id=first["id"])
    desk.turn("right", store=True, previous_response_id=first["id"])
    found = desk.recall(input="x", previous_response_id=left["id"])
    assert [text for _, text in texts(found.body["input"])][::2] == ["one", "left", "x"]


def test_a_turn_need_not_be_kept_to_go_on(desk):
    first = desk.turn("one", store=True)
    reply = desk.turn("two", previous_response_id=first["id"])
    assert (reply["store"], reply["previous_response_id"]) == (False, first["id"])
    assert len(desk.store.rows) == 1
    error = refusal(desk, input="three", previous_response_id=reply["id"])
    assert error.code == "previous_response_not_found"
    assert "store: true" in error.message


@pytest.mark.pitfall(148)
@pytest.mark.parametrize("name", ["resp_9", "", "é", "x" * 600, "a\x00b"])
def test_what_is_not_there_is_told_and_never_left_out(desk, name):
    for who in (GROQ,) if name == "resp_9" else (GROQ, OPENAI):
        error = refusal(desk, who, input="x", previous_response_id=name)
        assert (error.status, error.code) == (400, "previous_response_not_found")
        assert error.param == "previous_response_id"


def test_what_nobody_has_was_made_elsewhere_and_its_provider_is_asked(desk):
    found = desk.recall(GROQ, OPENAI, input="x", previous_response_id="resp_9")
    assert found.body["previous_response_id"] == "resp_9"
    assert found.candidates == (OPENAI,)
    given = [{"type": "item_reference", "id": "msg_9"}, {"role": "user", "content": "x"}]
    found = desk.recall(GROQ, OPENAI, input=given)
    assert (found.body["input"], found.candidates) == (given, (OPENAI,))


def test_what_another_tenant_has_is_not_there(desk):
    first = desk.turn("one", store=True, tenant="theirs")
    for who in (GROQ, OPENAI):
        error = refusal(desk, who, input="x", previous_response_id=first["id"])
        assert error.code == "previous_response_not_found"


def test_a_chain_with_a_hole_is_told(desk):
    first = desk.turn("one", store=True)
    second = desk.turn("two", store=True, previous_response_id=first["id"])
    del desk.store.rows["ours", first["id"]]
    error = refusal(desk, previous_response_id=second["id"])
    assert first["id"] in error.message


def test_what_is_deleted_while_it_is_read_is_told(desk, monkeypatch):
    first = desk.turn("one", store=True)
    reference = {"type": "item_reference", "id": first["output"][0]["id"]}

    async def nothing(*_):
        return {}

    monkeypatch.setattr(desk.store, "contents", nothing)
    error = refusal(desk, OPENAI, previous_response_id=first["id"])
    assert error.code == "previous_response_not_found"
    assert "just been deleted" in error.message
    assert refusal(desk, input=[reference]).code == "item_not_found"


def test_a_chain_has_an_end():
    desk = Desk(most_turns=3)
    previous = desk.turn("one", store=True)["id"]
    for text in ("two", "three", "four"):
        previous = desk.turn(text, store=True, previous_response_id=previous)["id"]
    error = refusal(desk, previous_response_id=previous)
    assert (error.status, error.code) == (400, "conversation_too_long")
    desk = Desk(most_turns=9, most_bytes=1500)
    previous = None
    with pytest.raises(CallerError, match="bytes") as error:
        for _ in range(5):
            more = {"previous_response_id": previous} if previous else {}
            previous = desk.turn("x" * 300, store=True, **more)["id"]
    assert error.value.code == "conversation_too_long"


def test_a_store_that_cannot_be_reached_is_ours_to_say(desk):
    desk.store.fail()
    with pytest.raises(HouseError):
        desk.recall(input="x", previous_response_id="resp_1")
    desk.recall(input="x")
    desk.recall(input="x", store=True)


# --- towards a provider that keeps responses itself


@pytest.mark.pitfall(104)
def test_what_others_said_goes_to_such_a_provider_as_items_without_their_ids(desk):
    thought = {"type": "reasoning", "id": "rs_1", "encrypted_content": f"{PREFIX}1.a.b"}
    reply = response("resp_x")
    first = desk.turn("one", store=True, reply={**reply, "output": [thought, *reply["output"]]})
    found = desk.recall(OPENAI, input="two", previous_response_id=first["id"])
    assert "previous_response_id" not in found.body
    assert texts(found.body["input"]) == [("user", "one"), ("assistant", "Hello"), ("user", "two")]
    assert not [item for item in found.body["input"] if "id" in item]
    assert [loss.path for loss in found.keeping.losses] == ["input[1]"]
    reply = desk.answer(found, response("resp_own", store=True))
    assert (reply["previous_response_id"], reply["store"]) == (first["id"], True)
    assert [loss.path for loss in found.call.outcome.losses] == ["input[1]"]
    with pytest.raises(CallerError, match="strict"):
        desk.recall(
            OPENAI, call=desk.call(strict=True), input="x", previous_response_id=first["id"]
        )


def test_its_own_response_is_left_to_it(desk):
    first = desk.turn("one", OPENAI, reply=response("resp_own", store=True))
    found = desk.recall(OPENAI, input="two", previous_response_id=first["id"])
    assert found.ask.body == (
        b'{"model": "m", "input": "two", "previous_response_id": "resp_own"}'
    )
    assert found.candidates == (OPENAI,)


def test_its_own_response_goes_to_it_alone_and_by_the_same_key(desk):
    desk.turn("one", OPENAI_TOO, reply=response("resp_own", store=True))
    everybody = (GROQ, XAI, OPENAI, OPENAI_TOO)
    found = desk.recall(*everybody, previous_response_id="resp_own")
    assert found.candidates == (OPENAI_TOO,)
    # That key is gone: another one of the same provider may do.
    assert desk.recall(GROQ, OPENAI, previous_response_id="resp_own").candidates == (OPENAI,)


def test_two_names_of_one_provider_are_one_place(desk):
    other = replace(OPENAI, provider=replace(OPENAI.provider, name="openai-responses"))
    first = desk.turn("one", OPENAI, reply=response("resp_own", store=True))
    found = desk.recall(XAI, other, previous_response_id=first["id"])
    assert found.candidates == (other,)


@pytest.mark.parametrize("others", [(GROQ,), (XAI,), (GROQ, XAI)])
def test_its_own_response_cannot_be_continued_by_others(desk, others):
    desk.turn("one", OPENAI, reply=response("resp_own", store=True))
    error = refusal(desk, *others, input="x", previous_response_id="resp_own")
    assert (error.status, error.code) == (400, "unsupported_feature")
    assert "kept by openai" in error.message


# --- items that are referred to


@pytest.mark.pitfall(151)
def test_a_reference_is_replaced_by_the_item(desk):
    first = desk.turn("one", store=True)
    (said,) = first["output"]
    given = [
        {"role": "user", "content": "one"},
        {"type": "item_reference", "id": said["id"]},
        {"id": said["id"]},
        {"role": "user", "content": "two"},
    ]
    found = desk.recall(input=given, store=True)
    assert found.body["input"] == [given[0], said, said, given[3]]
    assert texts(desk_items(found)) == [
        ("user", "one"),
        ("assistant", "You said one"),
        ("assistant", "You said one"),
        ("user", "two"),
    ]


def desk_items(found):
    return [json.loads(item.raw) for item in found.keeping.input]


def test_an_item_of_the_input_can_be_referred_to_as_well(desk):
    first = desk.turn("one", store=True)
    row = desk.store.rows["ours", first["id"]]
    found = desk.recall(input=[{"type": "item_reference", "id": row.items[0]}])
    assert texts(found.body["input"]) == [("user", "one")]


@pytest.mark.pitfall(151)
@pytest.mark.parametrize("name", ["msg_9", "\x00", "é"])
def test_a_reference_to_nothing_is_refused_with_what_to_do(desk, name):
    for who in (GROQ,) if name == "msg_9" else (GROQ, OPENAI):
        error = refusal(desk, who, input=[{"type": "item_reference", "id": name}])
        assert (error.status, error.code, error.param) == (404, "item_not_found", "input")
        assert "store: true" in error.message


def test_an_item_of_another_tenant_is_not_there(desk):
    first = desk.turn("one", store=True, tenant="theirs")
    reference = [{"type": "item_reference", "id": first["output"][0]["id"]}]
    assert refusal(desk, input=reference).code == "item_not_found"
    desk.turn("one", OPENAI, reply=response("resp_own", store=True), tenant="theirs")
    reference = [{"type": "item_reference", "id": "msg_resp_own"}]
    assert refusal(desk, OPENAI, input=reference).code == "item_not_found"


WHOLE = [
    {"type": "message", "role": "assistant", "id": "msg_resp_own", "content": "x"},
    {"id": "msg_resp_own", "role": "user", "content": "x"},
    {"type": "reasoning", "id": "msg_resp_own", "summary": []},
    {"type": "code_interpreter_call", "id": "ci_new", "container_id": "msg_resp_own"},
    {"type": "mcp_approval_response", "approval_request_id": "msg_resp_own", "approve": True},
]


@pytest.mark.parametrize("item", WHOLE)
@pytest.mark.parametrize("store", [None, True, False])
def test_an_id_in_a_whole_item_is_not_there_if_a_provider_keeps_it_for_another(desk, item, store):
    desk.turn("one", OPENAI, reply=response("resp_own", store=True), tenant="theirs")
    error = refusal(desk, OPENAI, input=[item, {"role": "user", "content": "x"}], store=store)
    assert (error.status, error.code, error.param) == (404, "item_not_found", "input")
    assert "msg_resp_own" in error.message
    # Nobody looks for it under this id where nothing is kept.
    assert desk.recall(GROQ, input=[item]).candidates == (GROQ,)
    # Whose it is may say it, and so may anybody who has one of that id from the provider too.
    assert desk.recall(OPENAI, input=[item], tenant="theirs").body["input"] == [item]
    desk.turn("one", OPENAI, reply=response("resp_own", store=True))
    assert desk.recall(OPENAI, input=[item]).body["input"] == [item]


def test_a_container_of_another_tenant_is_not_there(desk):
    reply = response("resp_own", store=True)
    call = {"type": "code_interpreter_call", "id": "ci_1", "container_id": "cntr_1"}
    desk.turn("one", OPENAI, reply={**reply, "output": [call]}, tenant="theirs")
    tools = [{"type": "code_interpreter", "container": "cntr_1"}]
    assert refusal(desk, OPENAI, input="x", tools=tools).code == "item_not_found"
    assert desk.recall(OPENAI, input="x", tools=tools, tenant="theirs").body["tools"] == tools


def test_ids_that_nobody_keeps_at_a_provider_pass(desk):
    desk.turn("one", store=True, tenant="theirs", reply=response("resp_1"))
    item = {"type": "message", "role": "assistant", "id": "msg_resp_1", "content": "x"}
    found = desk.recall(OPENAI, input=[item, {**item, "id": "msg_new"}])
    assert len(found.body["input"]) == 2


def test_an_id_is_not_made_ones_own_by_having_the_gateway_keep_it(desk):
    desk.turn("one", OPENAI, reply=response("resp_own", store=True), tenant="theirs")
    desk.turn([WHOLE[0]], store=True)
    desk.turn([WHOLE[4]], store=True)
    assert refusal(desk, OPENAI, input=[WHOLE[0]]).code == "item_not_found"
    reference = {"type": "item_reference", "id": "msg_resp_own"}
    assert refusal(desk, OPENAI, input=[reference]).code == "item_not_found"
    last = [name for tenant, name in desk.store.rows if tenant == "ours"][-1]
    error = refusal(desk, OPENAI, input="x", previous_response_id=last)
    assert error.code == "item_not_found"
    assert desk.recall(GROQ, input=[reference]).body["input"]


@pytest.mark.parametrize("spelled", ["conv_1", {"id": "conv_1"}])
def test_a_conversation_is_its_tenants_and_goes_on_by_the_same_key(desk, spelled):
    found = desk.recall(OPENAI, OPENAI_TOO, input="x", conversation=spelled)
    assert found.candidates == (OPENAI, OPENAI_TOO)
    reply = response("resp_own", store=True, conversation={"id": "conv_1"})
    desk.answer(found, reply, by=OPENAI_TOO)
    again = desk.recall(XAI, OPENAI, OPENAI_TOO, input="x", conversation=spelled)
    assert again.candidates == (OPENAI_TOO,)
    error = refusal(desk, OPENAI, input="x", conversation=spelled, tenant="theirs")
    assert (error.status, error.code, error.param) == (
        404,
        "conversation_not_found",
        "conversation",
    )
    # Conversations are made past the gateway: at another provider, one of that name is another.
    assert desk.recall(XAI, input="x", conversation=spelled).candidates == (XAI,)
    assert refusal(desk, XAI, input="x", conversation=spelled, tenant="theirs").status == 404


def test_a_conversation_of_another_kind_is_for_its_provider_to_judge(desk):
    assert desk.recall(OPENAI, input="x", conversation=5).body["conversation"] == 5
    error = refusal(desk, OPENAI, input="x", conversation="a\nb")
    assert error.code == "conversation_not_found"


def test_a_request_without_an_id_asks_no_store_about_strangers(desk):
    desk.recall(OPENAI, input=[{"role": "user", "content": "x"}], tools=[{"type": "function"}])
    assert desk.store.asked == 0
    desk.recall(GROQ, input=[WHOLE[0]])
    assert desk.store.asked == 0
    desk.recall(OPENAI, input=WHOLE)
    assert desk.store.asked == 1


def test_references_bring_back_so_much_and_no_more():
    desk = Desk(most_bytes=2000)
    first = desk.turn("x" * 900, store=True, reply=response("resp_1"))
    name = desk.store.rows["ours", first["id"]].items[0]
    reference = {"type": "item_reference", "id": name}
    assert len(desk.recall(input=[reference]).body["input"]) == 1
    assert refusal(desk, input=[reference] * 3).code == "conversation_too_long"
    second = desk.turn("y" * 900, store=True, reply=response("resp_2"))
    other = {"type": "item_reference", "id": desk.store.rows["ours", second["id"]].items[0]}
    asked = desk.store.asked
    error = refusal(desk, input=[reference, other])
    assert error.code == "conversation_too_long"
    assert desk.store.asked == asked + 1


def test_an_item_that_a_provider_keeps_stays_a_reference_and_goes_to_it(desk):
    desk.turn("one", OPENAI, reply=response("resp_own", store=True))
    given = [{"type": "item_reference", "id": "msg_resp_own"}, {"role": "user", "content": "x"}]
    asked = desk.store.asked
    found = desk.recall(GROQ, OPENAI, input=[*given, *given])
    assert desk.store.asked <= asked + 2
    assert found.body["input"] == [*given, *given]
    assert found.candidates == (OPENAI,)
    assert refusal(desk, GROQ, input=given).code == "unsupported_feature"
    desk.turn("one", XAI, reply=response("resp_xai", store=True))
    both = [*given, {"type": "item_reference", "id": "msg_resp_xai"}]
    assert refusal(desk, OPENAI, XAI, input=both).code == "item_not_found"
    first = desk.turn("one", store=True)
    error = refusal(desk, OPENAI, input=given, previous_response_id=first["id"])
    assert error.code == "unsupported_feature"


# --- what only a provider can do


@pytest.mark.pitfall(151)
@pytest.mark.parametrize(
    ("member", "value"),
    [("background", True), ("conversation", "conv_1"), ("conversation", {"id": "conv_1"})],
)
def test_what_needs_a_provider_with_responses_goes_to_one_or_is_refused(desk, member, value):
    error = refusal(desk, GROQ, input="x", **{member: value})
    assert (error.status, error.code, error.param) == (400, "unsupported_feature", member)
    found = desk.recall(GROQ, OPENAI, input="x", **{member: value})
    assert found.candidates == (OPENAI,)
    assert found.body[member] == value


@pytest.mark.parametrize("member", ["background", "conversation", "previous_response_id", "store"])
def test_null_is_as_if_it_were_not_said(desk, member):
    found = desk.recall(input="x", **{member: None})
    assert found.candidates == (GROQ,)
    assert found.keeping is None


@pytest.mark.parametrize(
    ("member", "value"), [("store", "yes"), ("background", 1), ("previous_response_id", 5)]
)
def test_a_member_of_the_wrong_type_is_named(desk, member, value):
    error = refusal(desk, input="x", **{member: value})
    assert (error.status, error.param) == (400, member)


def test_a_conversation_and_a_response_cannot_both_be_continued(desk):
    error = refusal(desk, OPENAI, conversation="conv_1", previous_response_id="resp_1")
    assert error.code == "mutually_exclusive_parameters"


# --- consent


def test_who_may_not_have_anything_kept_is_told():
    desk = Desk(allowed=False)
    error = refusal(desk, input="x", store=True)
    assert (error.status, error.code, error.param) == (400, "unsupported_feature", "store")
    assert desk.recall(input="x").keeping is None
    assert desk.recall(input="x", store=False).keeping is None
    # There nothing is kept by the gateway.
    assert desk.recall(OPENAI, input="x", store=True).keeping.noted


def test_an_input_that_is_too_large_to_keep_is_refused():
    desk = Desk(most_items=2, most_bytes=500)
    assert desk.recall(input=[{"role": "user", "content": "x"}] * 2, store=True).keeping
    for large in ([{"role": "user", "content": "x"}] * 3, "x" * 600):
        error = refusal(desk, input=large, store=True)
        assert (error.status, error.code) == (400, "too_large_to_store")
        assert desk.recall(input=large).keeping is None


def test_who_has_enough_kept_is_told_before_anybody_answers():
    desk = Desk(most_kept=2)
    first = desk.turn("one", store=True)
    desk.turn("two", store=True)
    desk.turn("x", OPENAI, reply=response("resp_own", store=True))
    desk.turn("three", store=True, tenant="theirs")
    error = refusal(desk, input="three", store=True)
    assert (error.status, error.code, error.param) == (429, "insufficient_quota", "store")
    assert "2 responses" in error.message
    # What is not kept here is no more than before.
    assert desk.recall(input="three", previous_response_id=first["id"]).keeping
    assert desk.recall(OPENAI, input="three", store=True).keeping.noted
    assert desk.recall(call=desk.call("count_tokens"), input="x", store=True)
    del desk.store.rows["ours", first["id"]]
    assert desk.recall(input="three", store=True).keeping.here


def test_bytes_are_counted_with_those_that_are_new():
    desk = Desk(most_kept=0, most_kept_bytes=2500)
    desk.turn("x" * 900, store=True, reply=response("resp_1"))
    assert desk.recall(input="x" * 100, store=True).keeping.here
    error = refusal(desk, input="x" * 1500, store=True)
    assert (error.code, error.param) == ("insufficient_quota", "store")
    assert "bytes" in error.message
    endless = Desk(most_kept=0, most_kept_bytes=0)
    endless.recall(input="x", store=True)
    assert endless.store.asked == 0


def test_while_nobody_can_count_what_is_kept_calls_go_on(desk):
    desk.store.fail()
    assert desk.recall(input="x", store=True).keeping.here


def test_counting_tokens_brings_back_and_keeps_nothing(desk):
    first = desk.turn("one", store=True)
    found = desk.recall(
        call=desk.call("count_tokens"), input="two", store=True, previous_response_id=first["id"]
    )
    assert len(found.body["input"]) == 3
    assert found.keeping is None
