"""What a provider tells of a response after it was made: items that came in the background, or of its input.

Whoever asks for it sees their ids, so they are noted as its tenant's before another may say them:
what cannot be noted is not told.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial

import msgspec
from msgspec import structs

from dragoman.core.errors import GatewayError, HouseError
from dragoman.keeping.aside import aside
from dragoman.keeping.items import Names, names_of, read_names
from dragoman.keeping.keeper import Keeper
from dragoman.keeping.ports import Kept
from dragoman.keeping.tap import Begun, Told, look


async def learn(reply: bytes, kept: Kept, tenant: str, keeper: Keeper) -> None:
    """Notes what a whole reply about a response, or a page of its input, tells of items.

    Raises:
        HouseError: it could not be noted.
    """
    _note(await aside(len(reply), partial(_names, reply)), kept, tenant, keeper)


async def learning(
    pieces: AsyncGenerator[bytes, None],
    fail: Callable[[GatewayError], bytes],
    kept: Kept,
    tenant: str,
    keeper: Keeper,
) -> AsyncGenerator[bytes, None]:
    """Nothing, to begin with, then the stream as it is; what it tells is noted as it goes out.

    ``fail`` writes the end of a stream that cannot be told further.
    """
    yield b""
    async with aclosing(pieces):
        async for piece in pieces:
            try:
                for seen in look(piece):
                    if isinstance(seen, Begun):
                        _note(names_of(seen.item), kept, tenant, keeper)
                    elif isinstance(seen, Told):
                        _note(_names(seen.reply), kept, tenant, keeper)
            except HouseError as error:
                yield fail(error)
                return
            yield piece


def _names(reply: bytes) -> Names:
    try:
        return read_names(reply)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Names()


def _note(names: Names, kept: Kept, tenant: str, keeper: Keeper) -> None:
    items, lasting = names.split()
    told = structs.replace(kept, items=items, lasting=lasting)
    if (items or lasting) and not keeper.store.note(tenant, told):
        raise HouseError(
            "overloaded",
            "The gateway cannot write down whose the items of this response are: its database and "
            "its disk take nothing. Try again later.",
            code="database_error",
        )
