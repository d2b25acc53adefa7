"""Lists of models that cannot be had are asked for once, whatever it was that failed."""

import asyncio
from types import SimpleNamespace

import pytest

from dragoman.catalog.listing import ListingRequest
from dragoman.core.errors import UpstreamError
from dragoman.core.provider import Provider
from dragoman.transport.fetch_listings import ListingFetcher

PROVIDER = Provider(name="p", family="chat", base_url="http://h", paths={})


@pytest.mark.parametrize(
    "error", [UpstreamError("upstream", "x"), TimeoutError(), ValueError("a sentence"), KeyError()]
)
@pytest.mark.parametrize("where", ["turn", "send"])
def test_a_list_that_cannot_be_had_is_noted_as_such(error, where):
    noted, logged = [], []

    def fail(*_):
        raise error

    async def send(_):
        fail()

    registry = SimpleNamespace(fail_listing=lambda name, now: noted.append(name))
    pools = SimpleNamespace(turn=fail if where == "turn" else lambda name: [])
    log = SimpleNamespace(event=lambda level, what, **more: logged.append((level, what, more)))
    fetcher = ListingFetcher(registry, pools, SimpleNamespace(send=send), log)
    asyncio.run(fetcher.fetch((ListingRequest(PROVIDER, "http://h/models"),)))
    assert noted == ["p"]
    ours = not isinstance(error, UpstreamError | TimeoutError)
    assert [entry[:2] for entry in logged] == [("warn" if ours else "debug", "listing failed")]
    assert logged[0][2]["provider"] == "p"
    if ours:
        assert type(error).__name__ in logged[0][2]["error"]
        assert "sentence" not in logged[0][2]["error"], "a foreign error may hold anything"
