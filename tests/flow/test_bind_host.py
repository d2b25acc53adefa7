"""BIND_HOST: where the gateway listens, in each of its workers, and what it says of other machines' callers."""

import socket

import pytest

from servers import gateway_server, providers_at, until

BEYOND = "listening beyond this machine"


def answers(address, port):
    try:
        socket.create_connection((address, port), 5).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.req("R-ENV-014")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_it_is_where_the_gateway_listens_and_beyond_loopback_it_warns(mock, tmp_path, workers):
    more = {**providers_at(mock.port), "OPENAI_API_KEY": "sk-x", "HOST": "127.0.0.1"}
    with gateway_server(tmp_path, "--workers", workers, BIND_HOST="0.0.0.0", **more) as server:
        assert answers("127.0.0.1", server.port)
        assert answers("127.0.0.2", server.port)
        assert until(lambda: BEYOND in server.log.read_text())
        assert server.chat(key="drg_of_nobody_012345").status == 401


@pytest.mark.req("R-ENV-014")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_flag_goes_before_it(mock, tmp_path, workers):
    more = {**providers_at(mock.port), "OPENAI_API_KEY": "sk-x", "BIND_HOST": "0.0.0.0"}
    flags = ("--host", "127.0.0.1", "--workers", workers)
    with gateway_server(tmp_path, *flags, **more) as server:
        assert answers("127.0.0.1", server.port)
        assert not answers("127.0.0.2", server.port)
        assert server.chat(key="drg_of_nobody_012345").status == 200
        assert BEYOND not in server.log.read_text()
