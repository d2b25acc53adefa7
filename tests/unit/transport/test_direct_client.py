"""Our own client as a whole, where no provider is needed to show it."""

import asyncio

import pytest

from dragoman.attempt.ports import UpstreamRequest
from dragoman.core.errors import UpstreamError
from dragoman.transport.http import open_transport


def test_closing_ends_a_request_whose_name_is_being_resolved_and_leaves_no_task(monkeypatch):
    async def story():
        asked = asyncio.Event()

        async def getaddrinfo(*_, **__):
            asked.set()
            await asyncio.sleep(9)

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
        transport = open_transport("direct")
        request = UpstreamRequest("POST", "http://a.example/", {}, b"{}", connect_timeout_s=9)
        task = asyncio.create_task(transport.send(request))
        await asked.wait()
        await transport.close()
        with pytest.raises(UpstreamError) as caught:
            await asyncio.wait_for(task, 0.5)
        assert (caught.value.code, caught.value.sent) == ("network_error", "no")
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(story())
