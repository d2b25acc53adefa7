"""The library towards a running gateway: the same call over HTTP, with the gateway's key and not a provider's."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path
from urllib.parse import quote, urlsplit

import msgspec

from dragoman import __version__
from dragoman.attempt.ports import Transport, UpstreamRequest
from dragoman.core.errors import GatewayError, UpstreamError
from dragoman.library.answer import Came
from dragoman.library.failures import CallError
from dragoman.transport import blocking
from dragoman.transport.http import open_transport

_LARGEST = 256 * 1024 * 1024


class Outside:
    """A gateway at an address."""

    def __init__(self, base_url: str, key: str, tls_ca: Path | None = None) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise CallError(
                f"{base_url!r} is no address of a gateway; say for example http://127.0.0.1:8000.",
                code="configuration_error",
            )
        self._url = base_url.rstrip("/").removesuffix("/v1")
        self._key = key
        self._tls_ca = tls_ca
        self._transport: Transport | None = None

    def is_known(self, model: str) -> bool:
        """Whether a model string is the gateway's business: all are."""
        del model
        return True

    def ask(self, body: bytes, caller: str, timeout_s: float) -> Came:
        """Has a chat request answered, in one try.

        Raises:
            GatewayError: it was refused or failed.
        """
        return blocking.run(self._ask(body, caller, timeout_s))

    async def _ask(self, body: bytes, caller: str, timeout_s: float) -> Came:
        if self._transport is None:
            self._transport = open_transport(tls_ca=self._tls_ca)
            blocking.at_end(self._transport.close)
        request = UpstreamRequest(
            "POST",
            f"{self._url}/v1/chat/completions",
            {
                "authorization": f"Bearer {self._key}",
                "content-type": "application/json",
                "accept": "application/json",
                "user-agent": f"dragoman/{__version__}",
                "x-dragoman-caller": quote(caller, safe=" !#$&'()*+,-./:;<=>?@[]^_`{|}~"),
                "x-dragoman-timeout-ms": str(max(1, int(timeout_s * 1000))),
            },
            body,
            first_byte_timeout_s=timeout_s,
        )
        try:
            reply = await self._transport.send(request)
        except UpstreamError as error:
            raise _unreached(self._url, error) from None
        try:
            data = await reply.read(_LARGEST)
        finally:
            await reply.close()
        if reply.status != 200:
            raise _refusal(reply.status, data)
        headers = reply.headers
        return Came(
            body=data,
            served_by=headers.get("x-dragoman-model"),
            cost_usd=_cost(headers.get("x-dragoman-cost-usd")),
            call_id=headers.get("x-dragoman-call-id"),
        )


def _unreached(url: str, error: UpstreamError) -> GatewayError:
    told = f"No answer of the gateway at {url}: {error.message}"
    return CallError(told, code=error.code or "upstream", kind=error.kind, status=error.status)


def _refusal(status: int, data: bytes) -> GatewayError:
    """The gateway's error, in its own words."""
    message, code = data[:200].decode("utf-8", "replace"), "provider_error"
    try:
        error = msgspec.json.decode(data)["error"]
        message, code = str(error["message"]), str(error.get("code") or code)
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        pass
    return CallError(message, code=code, kind="upstream", status=status)


def _cost(said: str | None) -> Decimal | None:
    try:
        return None if said is None else Decimal(said)
    except InvalidOperation:
        return None
