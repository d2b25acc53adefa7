"""What is worked out once of a request says the same as if it were worked out each time."""

import gc

from hypothesis import given
from hypothesis import strategies as st

from dragoman.attempt.letterhead import MOST, Letterheads
from dragoman.attempt.policy import Policy
from dragoman.attempt.prepare import prepare
from dragoman.core.ask import read_ask
from dragoman.core.capability import Capability
from dragoman.core.provider import Auth, Candidate, Credential, Provider, Quirks
from dragoman.core.secret import LiveSecret, Secret
from dragoman.core.trace import span_of, write_traceparent
from scripted import call_of

BASE = "https://a.example/v1"
ORIGIN = "https://a.example:443"
TRY = "01234567-89ab-7cde-8123-456789abcdef"
NAMES = [
    "accept", "accept-encoding", "anthropic-beta", "anthropic-version", "content-type", "http-referer",
    "openai-beta", "traceparent", "tracestate", "user-agent", "x-api-key", "x-goog-api-client", "x-title",
]  # fmt: skip
HEADERS = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["one", "other"]))
PASSED = {
    "chat": {"openai-beta"},
    "anthropic": {"anthropic-version", "anthropic-beta"},
    "gemini": {"x-goog-api-client"},
}
CREDENTIALS = st.sampled_from(
    [
        None,
        Credential("fixed", Secret("key"), ORIGIN),
        Credential("live", LiveSecret(lambda: "token"), ORIGIN),
    ]
)


def expected(candidate, call, *, stream):
    """The headers one after the other, each of which goes before what was there."""
    provider = candidate.provider
    headers = {"content-type": "application/json", "accept": "application/json"}
    if stream:
        headers["accept"] = "text/event-stream"
    headers["user-agent"] = "dragoman/test"
    headers["traceparent"] = write_traceparent(
        call.trace_id, span_of(TRY), sampled=call.told_sampled
    )
    headers |= provider.headers
    if stream:
        headers["accept-encoding"] = "identity"
    if call.tracestate:
        headers["tracestate"] = call.tracestate
    passed = PASSED[provider.family] if call.dialect == provider.family else set()
    if provider.quirks.flavour == "openrouter":
        passed = passed | {"http-referer", "x-title"}
    headers |= {name: value for name, value in call.headers.items() if name in passed}
    if candidate.credential is not None:
        auth = provider.auth
        headers[auth.header] = auth.prefix + candidate.credential.secret.reveal()
    return headers


def prepared(candidate, call, letterheads, *, stream):
    streamed = b"true" if stream else b"false"
    hello = b'"messages":[{"role":"user","content":"x"}]'
    body = b'{"model":"m","max_tokens":9,"stream":%b,%b}' % (streamed, hello)
    ask = read_ask(body)
    letterhead = letterheads.of(candidate, call, ask, "dragoman/test")
    return prepare(call, ask, candidate, letterhead, Policy(), lambda *_: None, TRY, 1.0)


@given(
    family=st.sampled_from(["chat", "anthropic", "gemini"]),
    dialect=st.sampled_from(["chat", "anthropic"]),
    flavour=st.sampled_from(["plain", "openrouter"]),
    auth=st.sampled_from(["authorization", *NAMES]),
    own=HEADERS,
    credential=CREDENTIALS,
    calls=st.lists(st.tuples(HEADERS, st.sampled_from(["", "a=b"]), st.booleans()), min_size=1),
)
def test_headers_are_those_that_would_be_put_together_for_each_request(
    family, dialect, flavour, auth, own, credential, calls
):
    paths = {"chat": "/models/{model}:x"} if family == "gemini" else {"chat": "/x"}
    provider = Provider("p", family, BASE, paths, Auth(auth, "Key "), Quirks(flavour=flavour), own)
    candidate = Candidate(provider, "m", credential)
    letterheads = Letterheads()
    for headers, state, stream in calls:
        call = call_of(dialect)
        call.headers, call.tracestate, call.told_sampled = headers, state, not stream
        found = prepared(candidate, call, letterheads, stream=stream).request
        assert found.headers == expected(candidate, call, stream=stream)
        assert found.url.startswith(BASE)


def test_a_credential_that_is_kept_fresh_is_shown_as_it_is_at_the_moment():
    shown = ["first", "second"]
    credential = Credential("live", LiveSecret(lambda: shown.pop(0)), ORIGIN)
    candidate = Candidate(Provider("p", "chat", BASE, {"chat": "/x"}), "m", credential)
    letterheads = Letterheads()
    for each in ("first", "second"):
        found = prepared(candidate, call_of(), letterheads, stream=False).request
        assert found.headers["authorization"] == f"Bearer {each}"


def made_for(letterheads, candidate, *, stream=False):
    ask = read_ask(b'{"model":"m","stream":%b}' % (b"true" if stream else b"false"))
    return letterheads.of(candidate, call_of(), ask, "a")


def test_what_was_worked_out_is_kept_as_long_as_its_credential_and_no_longer():
    letterheads = Letterheads()
    provider = Provider("p", "chat", BASE, {"chat": "/x"})
    credential = Credential("c", Secret("key"), ORIGIN)
    capability = Capability()
    for stream in (False, True):
        first = made_for(
            letterheads, Candidate(provider, "m", credential, capability), stream=stream
        )
        again = Candidate(provider, "m", credential, capability)
        assert made_for(letterheads, again, stream=stream) is first
        assert first.target.stream is stream
    del again, credential
    gc.collect()
    assert not letterheads._made
    assert not letterheads._held


def test_another_credential_provider_or_model_has_its_own():
    letterheads = Letterheads()
    provider = Provider("p", "chat", BASE, {"chat": "/x"})
    keys = [Credential("c", Secret(each), ORIGIN) for each in ("one", "other")]
    shown = [
        made_for(letterheads, Candidate(provider, "m", key)).shared.headers["authorization"]
        for key in keys
    ]
    assert shown == ["Bearer one", "Bearer other"]
    assert "authorization" not in made_for(letterheads, Candidate(provider, "m")).shared.headers
    other = Provider("p", "chat", "https://b.example", {"chat": "/x"})
    assert made_for(letterheads, Candidate(other, "m")).shared.url == "https://b.example/x"
    small = Candidate(provider, "m", capability=Capability(max_output_tokens=7))
    assert made_for(letterheads, small).target.reserved_output == 7
    assert made_for(letterheads, Candidate(provider, "n")).target.model == "n"
    assert made_for(letterheads, Candidate(provider, "n", known=True)).label == "n"


def test_names_of_models_do_not_fill_the_memory():
    letterheads = Letterheads()
    provider = Provider("p", "chat", BASE, {"chat": "/x"})
    for number in range(MOST + 9):
        made_for(letterheads, Candidate(provider, f"m{number}"))
    assert len(letterheads._made) == len(letterheads._held) == 9
