"""Which client is opened, what that costs, and what it says when it cannot be."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
import ry
from tests.conformance.rig import CLIENTS, post

from dragoman.core.errors import UpstreamError
from dragoman.transport import failures
from dragoman.transport.failures import Fault, failure
from dragoman.transport.http import DEFAULT, open_transport
from dragoman.transport.library import driver_of
from dragoman.transport.ry_client import MAX_CLIENTS, RyDriver

FAULTS = {name: value for name, value in vars(failures).items() if isinstance(value, Fault)}


@pytest.mark.parametrize(
    ("opened", "other"), [("direct", "ry"), ("ry", "aiohttp"), ("aiohttp", "ry")]
)
def test_only_the_client_that_is_opened_is_imported(opened, other):
    own = "dragoman.transport.direct_client" if opened == "direct" else opened
    code = (
        "import sys; from dragoman.transport.http import open_transport\n"
        "assert not {'ry', 'aiohttp'} & set(sys.modules)\n"
        f"open_transport({opened!r})\n"
        f"assert {own!r} in sys.modules and {other!r} not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_the_default_is_the_one_that_the_page_names():
    assert DEFAULT in CLIENTS
    assert type(open_transport()) is type(open_transport(DEFAULT))


@pytest.mark.parametrize("name", ["ry", "aiohttp"])
def test_a_missing_library_is_told_with_the_command_that_installs_it(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, f"dragoman.transport.{name}_client", raising=False)
    with pytest.raises(ModuleNotFoundError, match=rf"pip install 'dragoman\[{name}\]'"):
        open_transport(name)


@pytest.mark.req("R-ADD-025")
@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_has_a_code_a_status_and_one_sentence_that_names_the_host(name):
    error = failure(FAULTS[name], "api.example:443", 200)
    assert error.code in {
        "configuration_error",
        "connection_limit",
        "connection_reset",
        "connection_timeout",
        "dns_error",
        "network_error",
        "provider_error",
        "read_timeout",
        "stream_connection_lost",
        "tls_error",
    }
    assert error.status == {"upstream": 502, "timeout": 504, "overloaded": 503}[error.kind]
    assert "api.example:443" in error.message
    assert error.message.endswith(".")
    assert ". " not in error.message
    assert "{" not in error.message
    assert error.upstream_status == 200


@pytest.mark.parametrize("client", ["ry", "aiohttp"])
@pytest.mark.parametrize("error", [RuntimeError("no such thing"), BaseException("panic")])
def test_whatever_a_library_raises_is_some_fault(client, error):
    driver = driver_of(client, None)
    assert driver.fault(error, in_body=False) is failures.BROKEN
    assert driver.fault(error, in_body=True) is failures.LOST


@pytest.mark.parametrize("client", ["ry", "aiohttp"])
@pytest.mark.parametrize("error", [ValueError("url"), TypeError("header")])
def test_what_a_library_refuses_to_write_was_not_sent(client, error):
    driver = driver_of(client, None)
    assert driver.fault(error, in_body=False) is failures.BAD_REQUEST
    assert driver.fault(error, in_body=True) is failures.LOST


def test_an_error_of_reqwests_builder_was_not_sent():
    async def build() -> None:
        await ry.Client().get("ftp://127.0.0.1/")

    with pytest.raises(ry.ReqwestError) as caught:
        asyncio.run(build())
    assert driver_of("ry", None).fault(caught.value, in_body=False) is failures.BAD_REQUEST


def test_clients_do_not_pile_up_where_each_request_has_its_own_connect_timeout():
    async def many(driver: RyDriver) -> int:
        for number in range(40):
            with pytest.raises(ry.ReqwestError):
                await driver.fetch(post("http://127.0.0.1:1/", connect_s=1 + number), fresh=False)
        return len(driver._clients)

    assert asyncio.run(many(RyDriver(None))) <= MAX_CLIENTS


def test_a_failure_is_an_upstream_error():
    assert isinstance(failure(failures.RESET, "h"), UpstreamError)
