"""Every failure reaches the official SDKs as the exception that their users catch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from clients.blocking import Blocking

HELLO = [{"role": "user", "content": "Hello"}]
GPT, CLAUDE = "openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5"
every_way = pytest.mark.parametrize("model", [GPT, CLAUDE])


def failing(model: str, status: int, **script: object) -> str:
    told = "".join(f"--mock-{name.replace('_', '-')}-{value}" for name, value in script.items())
    return f"{model}--mock-status-{status}{told}"


@pytest.fixture
def strangers(gateway, loop) -> Iterator[Any]:
    """Makes clients with whatever key and settings; plain ones and async ones."""
    made = []

    def make(kind: type, key: str, **settings: Any) -> Any:
        base = gateway.url + ("/v1" if kind.__module__.startswith("openai") else "")
        client = kind(api_key=key, base_url=base, timeout=30, **({"max_retries": 0} | settings))
        asynchronous = kind.__name__.startswith("Async")
        made.append(Blocking(client, loop) if asynchronous else client)
        return made[-1]

    yield make
    for client in made:
        client.close()


def ask(client: Any, model: str, *, stream: bool = False, **members: Any) -> Any:
    if hasattr(client, "chat"):
        return client.chat.completions.create(
            model=model, messages=HELLO, stream=stream, **members
        )
    return client.messages.create(
        model=model, messages=HELLO, max_tokens=50, stream=stream, **members
    )


def told_by(module: Any, error: Any) -> dict[str, Any]:
    """The members of ours, which stand beside the dialect's own (D10)."""
    body = error.body if module is openai else error.body["error"]
    return body["dragoman"]


ENDS = [
    (400, "BadRequestError", 400),
    (401, "InternalServerError", 502),
    (402, "InternalServerError", 502),
    (403, "InternalServerError", 502),
    (404, "NotFoundError", 404),
    (409, "ConflictError", 409),
    (422, "UnprocessableEntityError", 422),
    (429, "RateLimitError", 429),
    (500, "InternalServerError", 500),
]
OVERLOADED = {
    ("gpt", GPT): 503,
    ("gpt", CLAUDE): 503,
    ("claude", GPT): 529,
    ("claude", CLAUDE): 529,
}
"""Each dialect's own number for it, whichever of the two the provider sent."""


@pytest.mark.req("R-ADD-024", "R-ADD-025", "R-ADD-026", "R-TEST-009")
@pytest.mark.parametrize(("status", "name", "told"), ENDS)
@every_way
def test_a_providers_failure_is_the_right_exception_of_openais_sdk(gpt, model, status, name, told):
    with pytest.raises(getattr(openai, name)) as caught:
        ask(gpt, failing(model, status, message=f"because{status}", retry_after=17))
    check(openai, caught.value, model, status, told)


@pytest.mark.req("R-ADD-024", "R-ADD-025", "R-ADD-026", "R-TEST-009")
@pytest.mark.parametrize(("status", "name", "told"), ENDS)
@every_way
def test_a_providers_failure_is_the_right_exception_of_anthropics_sdk(
    claude, model, status, name, told
):
    with pytest.raises(getattr(anthropic, name)) as caught:
        ask(claude, failing(model, status, message=f"because{status}", retry_after=17))
    check(anthropic, caught.value, model, status, told)
    assert caught.value.body["type"] == "error"
    assert caught.value.body["request_id"] == caught.value.request_id


def check(module: Any, error: Any, model: str, status: int, told: int) -> None:
    assert error.status_code == told
    assert error.request_id == error.response.headers["x-request-id"]
    assert error.request_id.startswith("req_")
    ours = told_by(module, error)
    assert ours["request_id"] == error.request_id
    assert ours["provider"] == model.partition("/")[0]
    assert ours["type"] == error.response.headers["x-error-type"]
    assert ours["type"] == ("semantic_error" if status in {400, 404, 409, 422} else "infra_error")
    if status != 409:  # a conflict may pass: Anthropic's own client tries again, OpenAI's as well
        assert ours["retryable"] is (status == 429)  # of a 500 our own retries are spent
    assert error.response.headers["x-dragoman-upstream-id"].startswith("req_mock")
    if status not in {401, 402, 403}:
        assert f"because{status}" in str(error)


@every_way
def test_an_overloaded_provider_is_told_in_each_dialects_own_number(gpt, claude, model):
    upstream = 529 if model == CLAUDE else 503
    name = failing(model, upstream, retry_after=17)
    with pytest.raises(openai.InternalServerError) as caught:
        ask(gpt, name)
    assert caught.value.status_code == OVERLOADED["gpt", model]
    with pytest.raises(anthropic.OverloadedError) as caught:
        ask(claude, name)
    assert caught.value.status_code == OVERLOADED["claude", model]
    assert caught.value.body["error"]["type"] == "overloaded_error"


@pytest.mark.parametrize("status", [400, 429, 404])
@every_way
def test_a_failure_before_a_stream_is_the_same_exception(gpt, claude, model, status):
    for client, module in ((gpt, openai), (claude, anthropic)):
        name = failing(model, status, message=f"s{status}", retry_after=17)
        with pytest.raises(module.APIStatusError) as caught:
            ask(client, name, stream=True)
        assert caught.value.status_code == status


@pytest.mark.req("R-TIER-003")
@every_way
def test_a_rate_limit_comes_with_its_retry_after(gpt, claude, model):
    for client, module in ((gpt, openai), (claude, anthropic)):
        with pytest.raises(module.RateLimitError) as caught:
            ask(client, failing(model, 429, retry_after=17))
        headers = caught.value.response.headers
        assert headers["retry-after"] == "17"
        assert "x-should-retry" not in headers
        assert told_by(module, caught.value)["retry_after"] == 17


CLIENTS = [openai.OpenAI, openai.AsyncOpenAI, anthropic.Anthropic, anthropic.AsyncAnthropic]
every_client = pytest.mark.parametrize("kind", CLIENTS, ids=lambda kind: kind.__name__)


@pytest.mark.req("R-AUTH-001", "R-AUTH-013")
@every_client
@every_way
def test_our_own_401_is_an_authentication_error(strangers, kind, model):
    module = openai if "OpenAI" in kind.__name__ else anthropic
    checksum_wrong = "drg_" + "a" * 8 + "_" + "b" * 49
    with pytest.raises(module.AuthenticationError) as caught:
        ask(strangers(kind, checksum_wrong), model)
    assert caught.value.status_code == 401
    assert caught.value.request_id.startswith("req_")
    assert told_by(module, caught.value)["retryable"] is False
    assert checksum_wrong not in str(caught.value)
    assert "x-dragoman-provider" not in caught.value.response.headers


@every_client
def test_an_unknown_model_is_not_found(strangers, kind):
    module = openai if "OpenAI" in kind.__name__ else anthropic
    with pytest.raises(module.NotFoundError) as caught:
        ask(strangers(kind, "drg_test"), "gpt-4o-minni")
    assert "gpt-4o-minni" in str(caught.value)
    assert "gpt-4o-mini" in str(caught.value).replace("gpt-4o-minni", "")
    if module is openai:
        assert caught.value.code == "model_not_found"
        assert caught.value.param == "model"
    else:
        assert caught.value.body["error"]["type"] == "not_found_error"


@every_client
def test_what_the_gateway_itself_refuses_is_a_bad_request(strangers, kind):
    module = openai if "OpenAI" in kind.__name__ else anthropic
    with pytest.raises(module.BadRequestError) as caught:
        ask(strangers(kind, "drg_test"), GPT, extra_body={"stream": "yes"})
    assert "stream" in str(caught.value)
    assert "x-dragoman-provider" not in caught.value.response.headers


@pytest.mark.req("R-ADD-027")
@every_client
def test_the_sdks_retries_are_not_added_to_ours_once_they_are_spent(strangers, kind, mock):
    """``x-should-retry: false`` (D10): both SDKs obey it."""
    model = failing(GPT, 500, message=f"spent{kind.__name__}")
    module = openai if "OpenAI" in kind.__name__ else anthropic
    with pytest.raises(module.InternalServerError) as caught:
        ask(strangers(kind, "drg_test", max_retries=3), model)
    assert caught.value.response.headers["x-should-retry"] == "false"
    every = mock.ask("GET", "/mock/truth", key=None).json()["requests"]
    sent = [entry for entry in every if entry["model"] == model.partition("/")[2]]
    assert 1 <= len(sent) <= 3
    assert len({entry["trace"] for entry in sent}) == 1


@every_client
def test_a_key_may_be_given_as_the_other_sdk_would(strangers, kind):
    """Anthropic's SDK can send a bearer token, OpenAI's any header."""
    if "OpenAI" in kind.__name__:
        client = strangers(kind, "drg_test", default_headers={"x-api-key": "drg_test"})
    else:
        client = strangers(kind, None, auth_token="drg_test")
    assert ask(client, GPT).id
