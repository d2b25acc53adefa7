"""What the settings say of Redis, as a client that is not connected yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from redis.asyncio import Redis

    from dragoman.config.settings import Settings


def redis_of(settings: Settings, stack: AsyncExitStack) -> Redis | None:
    """The client, which ``stack`` closes; None where ``REDIS_URL`` is not set.

    Raises:
        HouseError: the URL is none, or the package for it is missing.
    """
    if settings.redis_url is None:
        return None
    from dragoman.store.redis.connection import open_redis  # noqa: PLC0415  only where it is used (D32)

    password = settings.redis_password
    client = open_redis(
        settings.redis_url.get_secret_value(),
        username=settings.redis_username,
        password=None if password is None else password.get_secret_value(),
        database=settings.redis_db,
        tls=settings.redis_tls,
    )
    stack.push_async_callback(client.aclose)
    return client
