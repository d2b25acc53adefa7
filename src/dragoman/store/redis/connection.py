"""Opens Redis (or Valkey); imported only where ``REDIS_URL`` is set (D32).

It is never needed: whoever uses it goes on alone while it is away, and bounds what waiting for it may cost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dragoman.core.errors import HouseError

if TYPE_CHECKING:
    from redis.asyncio import Redis

TIMEOUT_S = 1.0
"""For connecting, and for each answer."""
_BARE = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):\d{1,5}(?:/\d+)?")
_SCHEMES = frozenset({"redis", "rediss", "unix"})


def open_redis(
    url: str,
    *,
    username: str | None = None,
    password: str | None = None,
    database: int | None = None,
    tls: bool = False,
) -> Redis:
    """A client; nothing is connected until it is used, and whoever opened it closes it (``aclose``).

    Raises:
        HouseError: the URL is none, or the package is not installed; the message says what to do.
    """
    if find_spec("redis") is None:
        raise _misconfigured(
            "REDIS_URL is set, and the client for it is missing: install it with "
            "`pip install 'dragoman[redis]'`, or unset REDIS_URL"
        )
    from redis.asyncio import Redis  # noqa: PLC0415  only where it is configured
    from redis.asyncio.retry import Retry  # noqa: PLC0415
    from redis.backoff import NoBackoff  # noqa: PLC0415

    url = whole_url(url)
    if urlsplit(url).scheme not in _SCHEMES:
        raise _misconfigured("REDIS_URL is no redis:// or rediss:// URL")
    if tls and url.startswith("redis://"):
        url = "rediss://" + url.removeprefix("redis://")
    said: dict[str, Any] = {"username": username, "password": password, "db": database}
    try:
        # What the URL says itself goes before what is given here.
        client: Redis = Redis.from_url(
            url,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            # For a connection that has grown old; who is away is not waited for.
            retry=Retry(NoBackoff(), 1),
            **{name: value for name, value in said.items() if value is not None},
        )
    except ValueError:
        raise _misconfigured("REDIS_URL cannot be read: say redis://host:6379") from None
    return client


def whole_url(url: str) -> str:
    """The URL that a bare ``host:port`` means, which many programs take (R-STOR-002)."""
    return f"redis://{url}" if _BARE.fullmatch(url) else url


@contextmanager
def mapped() -> Iterator[None]:
    """Turns the client's failures into one ``HouseError`` that says nothing of the inside."""
    from redis.exceptions import RedisError  # noqa: PLC0415  whoever asks has opened one

    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        raise HouseError(
            "overloaded",
            "Redis cannot be reached or refused the command.",
            retryable=True,
        ) from error


def _misconfigured(what: str) -> HouseError:
    return HouseError("server", f"{what}.", code="configuration_error")
