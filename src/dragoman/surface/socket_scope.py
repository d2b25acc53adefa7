"""What a WebSocket's connection and its application say to one another beside ASGI."""

from __future__ import annotations

import asyncio
from typing import Protocol

CHAT = "/ws"
"""Where there is a WebSocket."""
SOCKET = "dragoman.socket"
"""The member of a scope that holds its connection."""
LEAVE = "dragoman.leave"
"""The type of the message that asks the application to come to its end, for the server does."""


class Socket(Protocol):
    """The connection."""

    tasks: set[asyncio.Task[None]]
    """What the server waits for at its end."""

    def trust(self) -> None:
        """The caller is known: its messages may be large."""
        ...

    def doubt(self) -> None:
        """It is not known any more."""
        ...
