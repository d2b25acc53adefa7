"""The Redis that tests run over: ``DRAGOMAN_TEST_REDIS``, else the one on this machine.

Where there is none the test says so and is skipped; under ``CI`` that is a failure. Each test takes a
prefix of its own, and removes what it has written.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from lacking import lacking

URL = os.environ.get("DRAGOMAN_TEST_REDIS") or "redis://127.0.0.1:6379"


@contextmanager
def redis_prefix() -> Iterator[str]:
    """A prefix that nobody else has; what begins with it is gone afterwards."""
    with redis.Redis.from_url(URL, socket_timeout=3, socket_connect_timeout=3) as client:
        try:
            client.ping()
        except (redis.RedisError, OSError) as error:
            lacking(
                f"no Redis at {URL}: {type(error).__name__}; DRAGOMAN_TEST_REDIS names another"
            )
        prefix = f"dragoman-test-{uuid.uuid4().hex}"
        try:
            yield prefix
        finally:
            names = list(client.scan_iter(f"{prefix}*"))
            if names:
                client.delete(*names)
