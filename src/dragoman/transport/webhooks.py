"""Sends alarms to their endpoints, and nowhere inside that the operator has not said (F9, F10).

The address is read and its name resolved by the rules of the fetcher, each time anew, and what is connected to is
what was judged. No redirect is followed, no proxy or cookie of the environment is used.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from dragoman import __version__
from dragoman.alarms.alarm import Endpoint
from dragoman.attempt.ports import UpstreamRequest
from dragoman.core.errors import UpstreamError
from dragoman.transport.direct_client import DirectTransport
from dragoman.transport.fetch_address import may_connect
from dragoman.transport.fetch_names import BusyError, CheckedNames, DeniedError
from dragoman.transport.fetch_url import Refused, Rules, read_url

TIMEOUT_S = 10.0
_CONNECT_S = 3.0
_MOST = 64 * 1024


class Webhooks:
    """The clients of alarms: one for the public, one for networks of the operator's own."""

    def __init__(self, tls_ca: Path | None = None) -> None:
        self._tls_ca = tls_ca
        self._clients: dict[bool, DirectTransport] = {}

    async def post(self, endpoint: Endpoint, body: bytes, headers: dict[str, str]) -> int:
        """The status that the endpoint answers with.

        Raises:
            UpstreamError: it may not be spoken to, or does not answer; the message names no more than its host.
        """
        try:
            place = read_url(endpoint.url, rules_of(endpoint))
        except Refused as refused:
            raise UpstreamError("upstream", f"The webhook's address: {refused.reason}.") from None
        sent = {**headers, "user-agent": f"dragoman/{__version__}", "accept": "*/*"}
        request = UpstreamRequest("POST", place.url, sent, body, _CONNECT_S, TIMEOUT_S)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                reply = await self._client(private=endpoint.private).send(request)
                try:
                    await reply.read(_MOST)
                except UpstreamError:
                    pass  # what it says beside its status is nobody's business
                finally:
                    await reply.close()
                return reply.status
        except DeniedError:
            raise UpstreamError(
                "upstream", f"{place.host} does not lead to a public address."
            ) from None
        except (BusyError, TimeoutError):
            raise UpstreamError("timeout", f"{place.host} did not answer in time.") from None

    def _client(self, *, private: bool) -> DirectTransport:
        client = self._clients.get(private)
        if client is None:
            client = self._clients[private] = DirectTransport(
                max_connections=16,
                tls_ca=self._tls_ca,
                names=CheckedNames(lambda address: may_connect(address, allow_private=private)),
                keep=False,
            )
        return client

    async def close(self) -> None:
        """Closes every connection."""
        for client in self._clients.values():
            await client.close()


def rules_of(endpoint: Endpoint) -> Rules:
    """Which addresses a webhook may have: TLS towards the public, anything in networks of one's own."""
    protocols = ("http", "https") if endpoint.private else ("https",)
    return Rules(protocols=protocols, any_port=True)
