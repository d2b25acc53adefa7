"""A fixed key as the header that its provider reads, shown to the provider's own origin alone (F12)."""

from __future__ import annotations

from dragoman.catalog.base_url import origin_of
from dragoman.core.errors import HouseError
from dragoman.core.provider import Credential, Provider


def header_of(provider: Provider, credential: Credential | None) -> dict[str, str]:
    """The header that shows the credential; none where there is no credential to show.

    Raises:
        HouseError: the credential belongs to another origin than the provider's base.
    """
    if credential is None:
        return {}
    if credential.origin != origin_of(provider.base_url):
        raise HouseError(
            "server",
            f"A credential of another origin was to be sent to {provider.name}; nothing was sent.",
            code="credential_origin",
        )
    return {provider.auth.header: provider.auth.prefix + credential.secret.reveal()}
