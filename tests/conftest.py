"""Fixtures of every test: a mock provider, a gateway in front of it, and one that stands alone."""

import asyncio
import sys
from collections.abc import Iterator

import pytest

import sampling
from servers import Server, gateway_server, mock_server, providers_at

sampling.choose()


@pytest.fixture(scope="session")
def mock(tmp_path_factory) -> Iterator[Server]:
    """A fast and faultless mock provider; scripts come by the model's name."""
    with mock_server(tmp_path_factory.mktemp("mock")) as server:
        yield server


@pytest.fixture(scope="session")
def gateway(mock, tmp_path_factory) -> Iterator[Server]:
    """A gateway all of whose providers are the mock."""
    folder = tmp_path_factory.mktemp("gateway")
    with gateway_server(folder, **providers_at(mock.port)) as server:
        yield server


@pytest.fixture(scope="session")
def lonely(tmp_path_factory) -> Iterator[Server]:
    """A gateway without any provider key: the stub answers."""
    with gateway_server(tmp_path_factory.mktemp("lonely")) as server:
        yield server


@pytest.fixture(scope="session", autouse=True)
def _no_secrets_of_ones_own(tmp_path_factory) -> Iterator[None]:
    """Whoever runs the tests may have keys and logins of their own."""
    folder = tmp_path_factory.mktemp("own")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DRAGOMAN_SECRETS", str(folder / "secrets"))
        patch.setenv("OB1_CREDENTIALS_FILE", str(folder / "none.json"))
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_databases_left() -> Iterator[None]:
    """What the tests have made on a PostgreSQL server goes with them."""
    yield
    if databases := sys.modules.get("databases"):
        asyncio.run(databases.drop_template())
