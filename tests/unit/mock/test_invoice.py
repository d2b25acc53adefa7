from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.mock.answer import Billed
from dragoman.mock.config import IMMEDIATE, MockConfigError, changed
from dragoman.mock.invoice import Rates, amount, rates_of, spelled
from dragoman.mock.service import Mock, Received

pytestmark = pytest.mark.req("R-TEST-009")

counts = st.integers(0, 10**9)
prices = st.decimals(0, 1000, places=4)


@given(
    st.tuples(counts, counts, counts, counts),
    st.builds(Rates, prices, prices, prices | st.none(), prices | st.none()),
)
def test_the_invoice_is_the_exact_sum_of_its_parts(spent, rates):
    plain, read, written, out = spent
    billed = Billed(plain + read + written, out, cached=read, cache_write=written)
    wide = [
        rates.input if rate is None else rate for rate in (rates.cache_read, rates.cache_write)
    ]
    expected = sum(
        Fraction(count) * Fraction(rate)
        for count, rate in zip(
            (plain, out, read, written), (rates.input, rates.output, *wide), strict=True
        )
    )
    total = amount(billed, rates)
    assert Fraction(total) == expected / 1_000_000
    assert Decimal(spelled(total)) == total
    assert "E" not in spelled(total)


def test_the_longest_name_that_fits_has_the_price():
    own, wider = Rates(Decimal(3)), Rates(Decimal(2))
    listed = {"m": wider, "m-large": own}
    assert rates_of("m-large--mock-ok", listed) == own
    assert rates_of("m-small", listed) == wider
    assert rates_of("other", listed) == Rates()
    assert spelled(Decimal("10.50")) == "10.5"
    assert spelled(Decimal(100)) == "100"


def asked(mock, path, body):
    exchange = mock.receive(Received("POST", path, "", {}, msgspec.json.encode(body)))
    play = exchange.play
    mock.sent(exchange)
    begun = msgspec.structs.replace(exchange.entry)
    output = sum(step.output for step in play.steps)
    told = any(step.tells for step in play.steps)
    mock.finish(exchange, output, whole=play.whole, told=told)
    return exchange.entry, begun, b"".join(step.data for step in play.steps)


def chat(model, **more):
    return {"model": model, "messages": [{"role": "user", "content": "hello there"}], **more}


def test_the_log_has_the_invoice_of_what_went_out():
    config = changed(
        IMMEDIATE, b'{"prices": {"m": {"input": "2", "output": 10, "cacheRead": "0.5"}}}'
    )
    entry, begun, _ = asked(
        Mock(config), "/v1/chat/completions", chat("m--mock-cached-3--mock-length-8")
    )
    assert (entry.input, entry.cached, entry.output, entry.told) == (7, 3, 2, True)
    assert Decimal(entry.invoice) == Decimal("0.0000295")
    assert Decimal(begun.invoice) == Decimal("0.0000095"), "input is billed with the head"
    with pytest.raises(MockConfigError):
        changed(IMMEDIATE, b'{"prices": {"m": {"inputs": 1}}}')


def test_openrouters_usage_says_what_the_invoice_says():
    config = changed(IMMEDIATE, b'{"prices": {"m": {"input": "0.333", "output": "7.77"}}}')
    for path in ("/openrouter/api/v1/chat/completions", "/openrouter/api/v1/responses"):
        body = chat("m") if path.endswith("completions") else {"model": "m", "input": "hi"}
        entry, _, sent = asked(Mock(config), path, body)
        assert b'"cost":%b' % entry.invoice.encode() in sent


STREAMS = [
    ("/v1/chat/completions", chat("m", stream=True, stream_options={"include_usage": True})),
    ("/groq/openai/v1/chat/completions", chat("m", stream=True)),
    ("/v1/responses", {"model": "m", "input": "hi", "stream": True}),
    ("/v1beta/models/m:streamGenerateContent", {"contents": [{"parts": [{"text": "hi"}]}]}),
    ("/api/chat", chat("m")),
]


@pytest.mark.parametrize(("path", "body"), STREAMS)
def test_usage_is_told_where_its_last_frame_went_out(path, body):
    def played(script):
        model = f"m--mock-{script}"
        sent = {**body, "model": model} if "model" in body else body
        mock = Mock(changed(IMMEDIATE, b'{"seed": 7}'))  # the same words, or counts differ
        return asked(mock, path.replace("models/m", f"models/{model}"), sent)

    entry, _, whole = played("ok")
    assert entry.told
    assert not played("usage-off")[0].told
    assert not played("cut-60")[0].told
    assert not played("hang-after-1")[0].told or "models" in path
    slowly, _, same = played("slice-7")
    assert slowly.told
    twice, _, more = played("usage-told-twice")
    assert (twice.told, twice.output) == (True, entry.output)
    counted = (
        b"Count" if b"Count" in whole else b"_count" if b"eval_count" in whole else b"_tokens"
    )
    assert more.count(counted) > whole.count(counted)
    assert same.count(b"\r\n") > whole.count(b"\r\n") > 1


def test_a_chat_stream_may_tell_of_its_usage_early_late_and_behind_its_end():
    _, body = STREAMS[0]

    def played(script):
        return asked(
            Mock(IMMEDIATE), "/v1/chat/completions", {**body, "model": f"m--mock-{script}"}
        )

    entry, _, growing = played("usage-told-growing")
    assert entry.told
    told = [int(piece.split(b",")[0]) for piece in growing.split(b'"completion_tokens":')[1:]]
    assert told == [entry.output // 2, entry.output]
    entry, _, behind = played("usage-told-behind")
    assert not entry.told, "behind the end nobody has to hear it"
    assert behind.index(b"[DONE]") < behind.index(b'"completion_tokens"')
    mock = Mock(IMMEDIATE)
    late = {**body, "model": "m--mock-usage-delay-50"}
    play = mock.receive(
        Received("POST", "/v1/chat/completions", "", {}, msgspec.json.encode(late))
    ).play
    assert [step.delay_s for step in play.steps if step.tells] == [0.05]
    assert not play.at_once
