"""Whether TRUSTED_PROXIES names networks, told before anybody is asked where it comes from."""

from __future__ import annotations

from dragoman.core.client_address import networks_of


def as_networks(said: list[str]) -> list[str]:
    """The list as it was said.

    Raises:
        ValueError: something in it is neither an address nor a network.
    """
    networks_of(said)
    return said
