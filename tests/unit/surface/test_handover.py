"""A connection that is to become a WebSocket, and cannot."""

import asyncio
from types import SimpleNamespace

import pytest

from dragoman.surface import handover


def lacks_the_library():
    raise ImportError("websockets is not there")


def test_a_connection_that_cannot_be_handed_over_is_closed_and_not_left_unread(monkeypatch):
    monkeypatch.setattr(handover, "_made", None)
    monkeypatch.setattr(handover, "_load", lacks_the_library)
    tasks = []

    class Asked(asyncio.Protocol):
        def connection_made(self, transport):
            transport.pause_reading()
            connection = SimpleNamespace(transport=transport)
            tasks.append(asyncio.ensure_future(handover.hand_over(connection, b"")))

    async def go():
        server = await asyncio.get_running_loop().create_server(Asked, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            with pytest.raises(ConnectionResetError):
                assert await asyncio.wait_for(reader.read(), 5) == b""
                raise ConnectionResetError
            writer.close()
            with pytest.raises(ImportError):
                await tasks[0]

    asyncio.run(go())
