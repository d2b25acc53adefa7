"""The address is taken first, or refused in words."""

import errno
import socket

import pytest

from dragoman.core.errors import HouseError
from dragoman.surface import listening
from dragoman.surface.listening import take_address


def test_a_free_port_is_bound_and_not_yet_listened_on():
    (bound,) = take_address("127.0.0.1", 0)
    with bound, socket.socket() as caller:
        assert bound.get_inheritable()
        assert caller.connect_ex(bound.getsockname()) == errno.ECONNREFUSED


def test_a_taken_port_is_named_with_the_way_out():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(HouseError) as caught:
            take_address("127.0.0.1", port)
    assert caught.value.message == f"Port {port} is taken: choose another with --port N."
    assert caught.value.code == "address_unavailable"


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_an_address_that_is_not_ours_is_named(host):
    with pytest.raises(HouseError, match="cannot be listened on") as caught:
        take_address(host, 0)
    assert caught.value.message.startswith(f"{host}:0")


def test_each_address_of_a_name_is_bound_and_a_family_that_is_absent_left_out(monkeypatch):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    stream = (socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
    rows = [
        (socket.AF_INET, *stream, ("192.0.2.1", port)),
        (socket.AF_INET, *stream, ("127.0.0.1", port)),
        (socket.AF_INET, *stream, ("127.0.0.2", port)),
    ]
    monkeypatch.setattr(listening.socket, "getaddrinfo", lambda *_, **__: rows)
    sockets = take_address("localhost", port)
    assert [one.getsockname()[0] for one in sockets] == ["127.0.0.1", "127.0.0.2"]
    for one in sockets:
        one.close()


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_the_newer_addresses_are_bound_apart_from_the_older():
    try:
        (bound,) = take_address("::1", 0)
    except HouseError:
        pytest.skip("this machine has no IPv6 loopback")
    with bound:
        assert bound.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
