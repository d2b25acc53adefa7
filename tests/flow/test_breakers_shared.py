"""A breaker that opens in one gateway is open in the other, and closes there too."""

from contextlib import ExitStack

import pytest
from cryptography.fernet import Fernet

from databases import a_database
from redis_server import URL, redis_prefix
from servers import asked, gateway_server, until

OPEN_S = 15.0
PROVIDER = """
[[providers]]
name = "p"
dialect = "chat"
base_url = "http://127.0.0.1:{}/openai/v1"
models = ["m"]
"""


def state(gateway):
    start = 'dragoman_circuit_breaker_state{provider="p"} '
    lines = gateway.ask("GET", "/metrics").body.decode().splitlines()
    return next(
        (float(line.removeprefix(start)) for line in lines if line.startswith(start)), None
    )


@pytest.mark.req("R-REL-001", "R-REL-002")
@pytest.mark.parametrize("through", ["redis", "postgresql"])
def test_who_learns_of_an_open_breaker_sends_nothing_and_is_told_of_its_recovery(
    mock, tmp_path, through
):
    with ExitStack() as stack:
        shared = {}
        if through == "redis":
            prefix = stack.enter_context(redis_prefix())
            shared = {"REDIS_URL": URL, "REDIS_PREFIX": prefix}
        else:
            shared = {
                "DATABASE_URL": stack.enter_context(a_database("postgresql", tmp_path)),
                "FERNET_KEY": Fernet.generate_key().decode(),
            }
        gateways = []
        for name in ("one", "two"):
            folder = tmp_path / name
            folder.mkdir()
            (folder / "dragoman.toml").write_text(PROVIDER.format(mock.port))
            settings = {**shared, "MAX_RETRIES": "0", "BREAKER_OPEN_S": str(OPEN_S)}
            gateways.append(stack.enter_context(gateway_server(folder, **settings)))
        one, two = gateways
        before = asked(mock, "m")
        mock.ask("POST", "/mock/script", {"status": 500, "model": "m", "times": 5})
        for _ in range(5):
            assert one.chat("p/m").status >= 500
        # The second has sent nothing yet: it can know of it from the first alone.
        until(lambda: state(two) == 1, OPEN_S)
        assert two.chat("p/m").status == 503
        assert asked(mock, "m") - before == 5
        # The provider is well again: two probes of the first close it for both.
        until(lambda: state(one) == 2)
        assert [one.chat("p/m").status for _ in range(2)] == [200, 200]
        until(lambda: not state(two))
        assert asked(mock, "m") - before == 7
        assert two.chat("p/m").status == 200
