"""Redis is opened where it is configured, and nowhere imported before."""

import asyncio
import subprocess
import sys
from contextlib import AsyncExitStack
from importlib.util import find_spec

import pytest

from dragoman.config.settings import Settings
from dragoman.config.shared_state import redis_of
from dragoman.core.errors import HouseError
from dragoman.store.redis import connection

HIDDEN = "hush-hush"


def opened(**said):
    async def once():
        async with AsyncExitStack() as stack:
            client = redis_of(Settings(**said), stack)
            return None if client is None else client.connection_pool.connection_kwargs

    return asyncio.run(once())


@pytest.mark.req("R-ENV-002")
def test_without_a_url_there_is_no_client() -> None:
    assert opened() is None
    assert opened(redis_password=HIDDEN) is None


@pytest.mark.req("R-ENV-002")
def test_the_settings_reach_the_client() -> None:
    said = opened(
        redis_url="redis://h:1234", redis_username="me", redis_password=HIDDEN, redis_db=2
    )
    assert (said["host"], said["port"], said["db"]) == ("h", 1234, 2)
    assert (said["username"], said["password"]) == ("me", HIDDEN)
    assert HIDDEN not in repr(Settings(redis_url=f"redis://:{HIDDEN}@h", redis_password=HIDDEN))


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch) -> None:
    monkeypatch.setattr(
        connection, "find_spec", lambda name: None if name == "redis" else find_spec(name)
    )
    with pytest.raises(HouseError) as caught:
        opened(redis_url=f"redis://:{HIDDEN}@h")
    assert "pip install 'dragoman[redis]'" in caught.value.message
    assert HIDDEN not in caught.value.message


def test_nobody_imports_the_client_without_a_url() -> None:
    code = (
        "import sys, dragoman.app, dragoman.store.health_record, dragoman.store.redis.health\n"
        "assert 'redis' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
