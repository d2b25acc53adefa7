"""What clients of Responses speak of by an id, over real HTTP, with providers that keep and that do not."""

from __future__ import annotations

import http.client
import json
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest

from responses_upstream import KEYS, ResponsesUpstream, responses_upstream
from servers import KEY, gateway_server, new_api_key

GROQ = "groq/llama-3.3-70b-versatile"
OPENAI = "openai/gpt-5-mini"


@pytest.fixture(scope="module")
def upstream():
    with responses_upstream() as up:
        yield up


@pytest.fixture(scope="module")
def house(upstream: ResponsesUpstream, tmp_path_factory):
    with gateway_server(tmp_path_factory.mktemp("kept"), **upstream.environment(2)) as up:
        yield up


def new_key(server, *arguments):
    return new_api_key(server, "--name", "x", *arguments)


@pytest.fixture(scope="module")
def stranger(house):
    """The key of another tenant."""
    return new_key(house, "--tenant", "theirs")


@pytest.fixture
def client(house):
    with openai.OpenAI(
        api_key=KEY, base_url=f"{house.url}/v1", max_retries=0, timeout=30
    ) as client:
        yield client


def ask(server, text="hi", model=GROQ, key=KEY, headers=None, **members):
    body = {"model": model, "input": text, **members}
    return server.ask("POST", "/v1/responses", body, headers, key=key)


def made(server, *arguments, **members):
    reply = ask(server, *arguments, **members)
    assert reply.status == 200, reply.body
    return reply.json()


def text_of(response):
    (part,) = response["output"][-1]["content"]
    return part["text"]


def heard(response):
    """What the provider of chat was told, as it repeats it."""
    return [tuple(pair) for pair in json.loads(text_of(response))]


def events(body):
    frames = [frame for frame in body.decode().split("\n\n") if "data: " in frame]
    return [json.loads(frame.split("data: ", 1)[1]) for frame in frames]


def streamed(server, text, **members):
    reply = ask(server, text, stream=True, **members)
    assert reply.status == 200, reply.body
    return events(reply.body)


def last_of(server, text, **members):
    return streamed(server, text, **members)[-1]["response"]


# --- a provider that keeps nothing


@pytest.mark.req("R-SURF-002")
@pytest.mark.pitfall(148, 150)
def test_turns_go_on_by_id_with_a_provider_that_has_never_heard_of_one(house):
    first = made(house, "one", store=True, instructions="Be brief.")
    assert first["store"] is True
    assert heard(first)[-1] == ("user", "one")
    second = made(house, "two", store=True, previous_response_id=first["id"])
    assert second["previous_response_id"] == first["id"]
    assert heard(second) == [("user", "one"), ("assistant", text_of(first)), ("user", "two")]
    third = made(house, "three", previous_response_id=second["id"])
    assert len(heard(third)) == 5
    assert (third["store"], third["previous_response_id"]) == (False, second["id"])
    refused = ask(house, "four", previous_response_id=third["id"])
    assert refused.status == 400
    assert refused.json()["error"]["code"] == "previous_response_not_found"
    assert refused.json()["error"]["param"] == "previous_response_id"


def test_a_stream_is_kept_as_a_whole_reply_is(house):
    seen = streamed(house, "one", store=True)
    last = seen[-1]
    assert last["type"] == "response.completed"
    assert {event["response"]["store"] for event in seen if "response" in event} == {True}
    name = last["response"]["id"]
    kept = house.ask("GET", f"/v1/responses/{name}")
    assert kept.json() == last["response"]
    seen = streamed(house, "two", store=True, previous_response_id=name)
    assert seen[0]["response"]["previous_response_id"] == name
    assert heard(seen[-1]["response"])[0] == ("user", "one")
    assert [event["sequence_number"] for event in seen] == list(range(len(seen)))


@pytest.mark.req("R-SURF-002")
def test_a_kept_response_is_shown_listed_replayed_and_deleted(house):
    first = made(house, "one", store=True)
    second = made(house, "two", store=True, previous_response_id=first["id"])
    path = f"/v1/responses/{second['id']}"
    assert house.ask("GET", path).json() == second
    assert house.ask("HEAD", path).body == b""
    page = house.ask("GET", f"{path}/input_items?limit=2").json()
    assert (page["object"], page["has_more"], len(page["data"])) == ("list", True, 2)
    rest = house.ask("GET", f"{path}/input_items?limit=2&after={page['last_id']}").json()
    said = [item["content"][0]["text"] for item in (*page["data"], *rest["data"])]
    assert said == ["two", text_of(first), "one"]
    upward = house.ask("GET", f"{path}/input_items?order=asc").json()["data"]
    assert [item["id"] for item in upward] == [
        item["id"] for item in reversed([*page["data"], *rest["data"]])
    ]
    assert house.ask("GET", f"{path}/input_items?limit=0").json()["error"]["param"] == "limit"
    replayed = house.ask("GET", f"{path}?stream=true")
    assert replayed.headers["content-type"].startswith("text/event-stream")
    all_of_it = events(replayed.body)
    assert all_of_it[-1]["response"] == second
    later = events(house.ask("GET", f"{path}?stream=true&starting_after=1").body)
    assert later == all_of_it[2:]
    assert house.ask("GET", f"{path}?stream=true&starting_after=x").status == 400
    gone = house.ask("DELETE", path)
    assert gone.json() == {"id": second["id"], "object": "response", "deleted": True}
    for method in ("GET", "DELETE"):
        again = house.ask(method, path)
        assert again.status == 404
        assert again.json()["error"]["message"].startswith("Response with id")
        assert again.json()["error"]["code"] == "response_not_found"
    assert house.ask("GET", f"/v1/responses/{first['id']}").status == 200


@pytest.mark.pitfall(151)
def test_without_consent_nothing_is_kept(house):
    for members in ({}, {"store": None}, {"store": False}):
        reply = made(house, "one", **members)
        assert reply["store"] is False
        assert house.ask("GET", f"/v1/responses/{reply['id']}").status == 404
        refused = ask(house, [{"type": "item_reference", "id": reply["output"][0]["id"]}])
        assert refused.status == 404
        assert refused.json()["error"]["code"] == "item_not_found"


@pytest.mark.pitfall(151)
def test_an_item_is_referred_to_by_its_id(house):
    first = made(house, "one", store=True)
    given = [
        {"role": "user", "content": "one"},
        {"type": "item_reference", "id": first["output"][0]["id"]},
        {"role": "user", "content": "two"},
    ]
    reply = made(house, given)
    assert heard(reply) == [("user", "one"), ("assistant", text_of(first)), ("user", "two")]


@pytest.mark.pitfall(151)
@pytest.mark.parametrize(("member", "value"), [("background", True), ("conversation", "conv_1")])
def test_what_only_a_provider_with_responses_can_do_is_refused(house, member, value):
    refused = ask(house, **{member: value})
    assert refused.status == 400
    error = refused.json()["error"]
    assert (error["code"], error["param"]) == ("unsupported_feature", member)


def test_counting_takes_what_was_said_before_into_account(house):
    first = made(house, "one " * 200, store=True)

    def counted(**members):
        body = {"model": GROQ, "input": "two", **members}
        reply = house.ask("POST", "/v1/responses/input_tokens", body)
        assert reply.status == 200, reply.body
        return reply.json()["input_tokens"]

    assert counted(previous_response_id=first["id"]) > counted() + 200
    refused = house.ask(
        "POST",
        "/v1/responses/input_tokens",
        {"model": GROQ, "input": "x", "previous_response_id": "resp_none"},
    )
    assert refused.json()["error"]["code"] == "previous_response_not_found"


@pytest.mark.parametrize("base", ["/v4", "/v4/openai/v1", "/v6", "/v6/api/v1"])
def test_what_is_kept_is_there_on_every_router_that_makes_responses(house, base):
    body = {"model": GROQ, "input": "one", "store": True}
    reply = house.ask("POST", f"{base}/responses", body).json()
    path = f"{base}/responses/{reply['id']}"
    assert house.ask("GET", path).json() == reply
    assert house.ask("GET", f"/v1/responses/{reply['id']}").json() == reply
    assert len(house.ask("GET", f"{path}/input_items").json()["data"]) == 1
    assert house.ask("POST", f"{path}/cancel").status == 400
    assert house.ask("DELETE", path).json()["deleted"] is True


def test_what_is_finished_cannot_be_cancelled(house):
    reply = made(house, "one", store=True)
    refused = house.ask("POST", f"/v1/responses/{reply['id']}/cancel")
    assert refused.status == 400
    assert refused.json()["error"]["code"] == "response_not_cancellable"


def test_another_tenant_has_none_of_it(house, stranger):
    first = made(house, "one", store=True)
    own = made(house, "one", model=OPENAI)
    for name, item in ((first["id"], first["output"][0]), (own["id"], own["output"][0])):
        path = f"/v1/responses/{name}"
        for method, target in (
            ("GET", path),
            ("GET", f"{path}?stream=true"),
            ("GET", f"{path}/input_items"),
            ("POST", f"{path}/cancel"),
            ("DELETE", path),
        ):
            assert house.ask(method, target, key=stranger).status == 404
        for model in (GROQ, OPENAI):
            refused = ask(house, model=model, key=stranger, previous_response_id=name)
            assert refused.json()["error"]["code"] == "previous_response_not_found"
            reference = [{"type": "item_reference", "id": item["id"]}]
            refused = ask(house, reference, model=model, key=stranger)
            assert refused.json()["error"]["code"] == "item_not_found"
        assert house.ask("GET", path).status == 200


def test_these_calls_count_against_the_limits_of_a_key(house):
    key = new_key(house, "--rpm", "2")
    replies = [house.ask("GET", "/v1/responses/resp_none", key=key) for _ in range(3)]
    assert [reply.status for reply in replies] == [404, 404, 429]
    assert house.ask("GET", "/v1/responses/resp_none", key=None).status == 401


def test_many_turns_at_once_are_all_kept(house):
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda n: made(house, f"turn {n}", store=True), range(48)))
    assert {reply["store"] for reply in replies} == {True}
    assert len({reply["id"] for reply in replies}) == 48
    for number, reply in enumerate(replies):
        kept = house.ask("GET", f"/v1/responses/{reply['id']}").json()
        assert heard(kept) == [("user", f"turn {number}")]


TOOL = {
    "type": "function",
    "name": "weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


@pytest.mark.pitfall(92)
@pytest.mark.parametrize("stream", [False, True])
def test_thoughts_and_calls_of_an_anthropic_model_come_back_whole(gateway, stream):
    """The mock refuses a thought whose signature is not its own, and a result without its call."""
    model = "anthropic/claude-sonnet-4-5--mock-thinking-hmm--mock-tool-calls-weather"
    wanted = {"model": model, "tools": [TOOL], "reasoning": {"effort": "low"}, "store": True}
    first = (last_of if stream else made)(gateway, "Sun?", **wanted)
    (call,) = [item for item in first["output"] if item["type"] == "function_call"]
    assert [item for item in first["output"] if item["type"] == "reasoning"]
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "yes"}
    after = {**wanted, "model": "anthropic/claude-sonnet-4-5--mock-text-Sun"}
    reply = ask(gateway, [result], previous_response_id=first["id"], **after)
    assert reply.status == 200, reply.body
    assert "input" not in reply.headers.get("x-dragoman-dropped", "")
    assert text_of(reply.json()) == "Sun"
    items = gateway.ask("GET", f"/v1/responses/{reply.json()['id']}/input_items?order=asc").json()
    kinds = [item["type"] for item in items["data"]]
    assert kinds == ["message", "reasoning", "function_call", "function_call_output"]
    # Another provider goes on from there, without the thought.
    other = ask(gateway, "And now?", previous_response_id=reply.json()["id"])
    assert other.status == 200, other.body


def test_workers_share_what_is_kept(upstream, tmp_path):
    with gateway_server(tmp_path, "--workers", "2", **upstream.environment()) as up:
        previous = None
        for number in range(10):
            more = {} if previous is None else {"previous_response_id": previous}
            reply = made(up, f"turn {number}", store=True, **more)
            assert len(heard(reply)) == 2 * number + 1
            previous = reply["id"]


# --- a provider that keeps for itself


def test_a_providers_own_response_is_continued_there_as_it_is(house, upstream):
    first = made(house, "one", model=OPENAI)
    second = made(house, "two", model=OPENAI, previous_response_id=first["id"])
    assert text_of(second) == "3 items"
    body = upstream.asked[-1][2]
    assert (body["input"], body["previous_response_id"]) == ("two", first["id"])
    refused = ask(house, "three", model=GROQ, previous_response_id=second["id"])
    assert refused.status == 400
    assert "kept by openai" in refused.json()["error"]["message"]


def test_two_names_of_one_provider_are_one_place(house):
    first = made(house, "one", model="openai-responses/gpt-5-mini")
    assert text_of(made(house, "two", model=OPENAI, previous_response_id=first["id"])) == "3 items"
    assert house.ask("GET", f"/v1/responses/{first['id']}").json() == first


def test_a_providers_own_response_is_asked_of_it_with_the_key_that_made_it(house, upstream):
    """Two keys take turns; each has its own account."""
    for number in range(4):
        reply = made(house, f"turn {number}", model=OPENAI)
        path = f"/v1/responses/{reply['id']}"
        assert house.ask("GET", path).json() == reply
        page = house.ask("GET", f"{path}/input_items?limit=5&order=asc&unknown=1").json()
        assert page["data"] == [{"role": "user", "content": f"turn {number}"}]
        target = upstream.asked[-1][1]
        assert target.endswith("/input_items?limit=5&order=asc")
        replayed = events(house.ask("GET", f"{path}?stream=true&starting_after=0").body)
        assert replayed[-1]["response"] == reply
        follow = made(house, "x", model=OPENAI, previous_response_id=reply["id"])
        assert text_of(follow) == "3 items"
        assert house.ask("DELETE", path).json()["deleted"] is True
        assert house.ask("GET", path).status == 404
    assert all(account.responses for account in upstream.accounts.values())


def test_a_replay_that_its_provider_breaks_off_ends_with_an_error(house, client):
    reply = made(house, "one", model="openai/broken")
    seen = events(house.ask("GET", f"/v1/responses/{reply['id']}?stream=true").body)
    assert [event["type"] for event in seen] == ["response.created", "error", "response.failed"]
    assert seen[1]["code"] == "stream_connection_lost"
    with pytest.raises(openai.APIError):
        list(client.responses.retrieve(reply["id"], stream=True))


def test_who_leaves_a_replay_is_not_waited_for(house, upstream):
    reply = made(house, "one", model="openai/slow")
    connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=20)
    path = f"/v1/responses/{reply['id']}?stream=true"
    connection.request("GET", path, headers={"authorization": f"Bearer {KEY}"})
    response = connection.getresponse()
    assert b"response.created" in response.readline()
    assert not upstream.left.is_set()
    response.close()
    connection.close()
    assert upstream.left.wait(5)


def test_what_a_provider_has_forgotten_is_told_in_its_words(house, upstream):
    reply = made(house, "one", model=OPENAI)
    for account in upstream.accounts.values():
        account.responses.pop(reply["id"], None)
    path = f"/v1/responses/{reply['id']}"
    for method, target in (("GET", path), ("POST", f"{path}/cancel"), ("DELETE", path)):
        told = house.ask(method, target)
        assert told.status == 404
        assert "not found" in told.json()["error"]["message"]
        assert not any(key in told.body.decode() for key in KEYS)
    assert house.ask("GET", path).json()["error"]["code"] == "response_not_found"


def test_what_runs_in_the_background_is_cancelled_at_its_provider(house):
    reply = made(house, "one", model=OPENAI, background=True)
    assert reply["status"] == "queued"
    done = house.ask("POST", f"/v1/responses/{reply['id']}/cancel")
    assert done.json()["status"] == "cancelled"
    other = made(house, "one", model=OPENAI)
    refused = house.ask("POST", f"/v1/responses/{other['id']}/cancel")
    assert refused.status == 400
    assert "synchronous" in refused.json()["error"]["message"]


def test_a_conversation_may_move_to_a_provider_that_keeps_for_itself(house, upstream):
    first = made(house, "one", store=True)
    second = made(house, "two", model=OPENAI, previous_response_id=first["id"])
    assert second["previous_response_id"] == first["id"]
    assert text_of(second) == "3 items"
    sent = upstream.asked[-1][2]
    assert "previous_response_id" not in sent
    assert not [item for item in sent["input"] if "id" in item]
    third = made(house, "three", model=OPENAI, previous_response_id=second["id"])
    assert text_of(third) == "5 items"


def test_a_stream_of_a_providers_own_is_known_afterwards(house):
    seen = streamed(house, "one", model=OPENAI)
    name = seen[-1]["response"]["id"]
    assert house.ask("GET", f"/v1/responses/{name}").json() == seen[-1]["response"]
    assert made(house, "x", model=OPENAI, previous_response_id=name)["id"]


def test_what_is_not_to_be_kept_by_a_provider_is_not_noted(house):
    reply = made(house, "one", model=OPENAI, store=False)
    assert house.ask("GET", f"/v1/responses/{reply['id']}").status == 404


# --- the process, and what the operator says


def test_a_restart_keeps_what_was_kept_and_a_switch_refuses_more(upstream, tmp_path):
    environment = upstream.environment()
    with gateway_server(tmp_path, **environment) as first:
        reply = made(first, "one", store=True)
    stored = b"".join(
        file.read_bytes() for file in (tmp_path / "home").iterdir() if file.is_file()
    )
    assert reply["id"].encode() in stored
    assert b'"one"' not in stored
    with gateway_server(tmp_path, ALLOW_CLIENT_STORAGE="false", **environment) as second:
        assert second.ask("GET", f"/v1/responses/{reply['id']}").json() == reply
        again = made(second, "two", previous_response_id=reply["id"])
        assert heard(again)[0] == ("user", "one")
        refused = ask(second, "two", store=True)
        assert refused.status == 400
        error = refused.json()["error"]
        assert (error["code"], error["param"]) == ("unsupported_feature", "store")
        assert made(second, "two")["store"] is False
        assert made(second, "two", model=OPENAI, store=True)["store"] is True
        assert second.ask("DELETE", f"/v1/responses/{reply['id']}").status == 200


@pytest.mark.parametrize("stream", [False, True])
def test_while_the_database_is_away_answers_go_out_and_say_that_they_are_not_kept(
    upstream, tmp_path, stream
):
    with gateway_server(tmp_path, **upstream.environment()) as up:
        kept = made(up, "one", store=True)
        file = tmp_path / "home" / "dragoman.db"
        aside = file.rename(tmp_path / "aside.db")
        if stream:
            reply = last_of(up, "quetzal", store=True)
        else:
            whole = ask(up, "quetzal", store=True)
            assert whole.headers["x-dragoman-dropped"].startswith("store;action=dropped")
            reply = whole.json()
        assert (reply["status"], reply["store"]) == ("completed", False)
        assert heard(reply) == [("user", "quetzal")]
        refused = ask(up, "three", previous_response_id=kept["id"])
        assert refused.status == 503
        assert refused.json()["error"]["code"] == "database_error"
        assert made(up, "three")["store"] is False
        aside.rename(file)
        again = made(up, "three", previous_response_id=kept["id"], store=True)
        assert len(heard(again)) == 3
        assert again["store"] is True
        said = up.log.read_text()
        assert "internal error" in said
        assert "quetzal" not in said


def test_the_stub_can_be_continued_too(lonely):
    model = "openai/gpt-4o-mini"
    first = made(lonely, "one", model=model, store=True)
    second = made(lonely, "two", model=model, store=True, previous_response_id=first["id"])
    page = lonely.ask("GET", f"/v1/responses/{second['id']}/input_items").json()
    assert len(page["data"]) == 3


# --- the official client


def test_the_official_client_keeps_shows_lists_and_deletes(client):
    first = client.responses.create(model=GROQ, input="one", store=True)
    second = client.responses.create(
        model=GROQ, input="two", store=True, previous_response_id=first.id
    )
    assert second.previous_response_id == first.id
    shown = client.responses.retrieve(second.id)
    assert shown == second
    items = list(client.responses.input_items.list(second.id, limit=1, order="asc"))
    assert [item.content[0].text for item in items] == ["one", first.output_text, "two"]
    replayed = list(client.responses.retrieve(second.id, stream=True))
    assert replayed[-1].response.output_text == second.output_text
    with pytest.raises(openai.BadRequestError, match="finished"):
        client.responses.cancel(second.id)
    assert client.responses.delete(second.id) is None
    with pytest.raises(openai.NotFoundError, match="not found"):
        client.responses.retrieve(second.id)


def test_the_official_clients_stream_is_kept(client):
    with client.responses.stream(model=GROQ, input="one", store=True) as stream:
        final = stream.get_final_response()
    assert final.store is True
    assert client.responses.retrieve(final.id).output_text == final.output_text


def test_the_official_client_speaks_to_the_provider_that_keeps(client):
    first = client.responses.create(model=OPENAI, input="one", background=True)
    assert client.responses.cancel(first.id).status == "cancelled"
    second = client.responses.create(model=OPENAI, input="one")
    assert client.responses.retrieve(second.id).output_text == "1 items"
    replayed = list(client.responses.retrieve(second.id, stream=True, starting_after=0))
    assert replayed[-1].type == "response.completed"
    assert client.responses.delete(second.id) is None
