"""Any REST API with a base address and a credential: ``get_service("github")`` (R-CRED-006, 008).

A service is a TOML file: a shipped one, a row of ``[[services]]`` in dragoman.toml, or a file of the program's
own. Any number of threads may share one; a call is made on a connection of its own of the process's transport.
"""

from __future__ import annotations

import logging
import os
import threading
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct

from dragoman import __version__
from dragoman.attempt.ports import Transport, UpstreamReply, UpstreamRequest
from dragoman.catalog.service import Service, one_service, read_services, target_of
from dragoman.clients.tokens import TokenSource, login_of, settings_here
from dragoman.config.load import environment
from dragoman.core.errors import HouseError, UpstreamError
from dragoman.transport import blocking
from dragoman.transport.http import open_transport

log = logging.getLogger("dragoman.clients")

_LARGEST = 256 * 1024 * 1024
_UNAUTHORIZED = 401
_FAILED = 400


class Answer(Struct, frozen=True):
    """What a service answered; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            UpstreamError: it is none.
        """
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise UpstreamError("upstream", "The service's answer is no JSON.") from None

    @property
    def text(self) -> str:
        """The body as UTF-8."""
        return self.body.decode("utf-8", "replace")


class ServiceError(UpstreamError):
    """A service refused a call; ``answer`` is what it said, the message is that without what was shown to it."""

    def __init__(self, service: str, answer: Answer, shown: str = "") -> None:
        text = answer.text.replace(shown, "[redacted]") if shown else answer.text
        told = text[:500] or "nothing more"
        super().__init__(
            "upstream",
            f"{service} answered {answer.status}: {told}",
            status=answer.status,
            code="service_refused",
            provider=service,
        )
        self.answer = answer


class ServiceClient:
    """A service with its credential."""

    def __init__(
        self, service: Service, key: str | None, token: TokenSource | None, ca_file: Path | None
    ) -> None:
        self.service = service
        self._key = key
        self._token = token
        self._ca_file = ca_file

    def get(self, path: str, **said: Any) -> Answer:
        """As ``request``."""
        return self.request("GET", path, **said)

    def post(self, path: str, **said: Any) -> Answer:
        """As ``request``."""
        return self.request("POST", path, **said)

    def put(self, path: str, **said: Any) -> Answer:
        """As ``request``."""
        return self.request("PUT", path, **said)

    def patch(self, path: str, **said: Any) -> Answer:
        """As ``request``."""
        return self.request("PATCH", path, **said)

    def delete(self, path: str, **said: Any) -> Answer:
        """As ``request``."""
        return self.request("DELETE", path, **said)

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One call, made once; ``api_call_with_retry`` makes it again where the connection broke.

        Args:
            method: GET, POST, …
            path: below the service's address; what must be percent-encoded is.
            params: of the query; lists repeat their name.
            json: the body, as a value.
            data: the body, as bytes.
            headers: beside the service's own.

        Raises:
            ServiceError: an answer of 400 or above.
            CallerError: the path would leave the service's address.
            UpstreamError: no answer.
            GatewayError: there is no token; the message names the command that gets one.
        """
        encoded = quote(path, safe="/%!$&'()*+,;=:@~")
        query = urlencode(params, doseq=True, quote_via=quote) if params else ""
        url = target_of(self.service, encoded, query)
        body = msgspec.json.encode(json) if json is not None else data
        shown = self._shown()
        answer = self._send(method, url, body, self._headers(shown, headers, json is not None))
        if answer.status == _UNAUTHORIZED and self._token is not None:
            shown = self._token.renewed(shown).access.reveal()
            answer = self._send(method, url, body, self._headers(shown, headers, json is not None))
        if answer.status >= _FAILED:
            raise ServiceError(self.service.name, answer, shown)
        return answer

    def _shown(self) -> str:
        if self._key is not None:
            return self._key
        assert self._token is not None, "a client has a key or a token"
        return self._token.current().access.reveal()

    def _headers(
        self,
        shown: str,
        own: Mapping[str, str] | None,
        is_json: bool,  # noqa: FBT001  private
    ) -> dict[str, str]:
        auth = self.service.auth
        return {
            "accept": "application/json",
            "user-agent": f"dragoman/{__version__}",
            **({"content-type": "application/json"} if is_json else {}),
            **self.service.headers,
            **{name.lower(): value for name, value in (own or {}).items()},
            auth.header: auth.prefix + shown,
        }

    def _send(self, method: str, url: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        request = UpstreamRequest(
            method.upper(), url, headers, body, first_byte_timeout_s=self.service.timeout_s
        )
        return blocking.run(_sent(request, self._ca_file))


def get_service(
    name: str,
    *,
    file: Path | str | None = None,
    key: str | None = None,
    token: TokenSource | None = None,
) -> ServiceClient:
    """A client of the service of that name, with its credential.

    The credential is ``key`` or ``token``, else the first of the service's environment variables that is set,
    else its login by OAuth.

    Args:
        name: a shipped service, one of ``[[services]]`` in dragoman.toml, or the one in ``file``.
        file: a TOML file that describes it, with the members of a row of ``[[services]]``.
        key: the key to show.
        token: where tokens come from.

    Raises:
        GatewayError: there is no such service, or no credential; the message says what to set.
    """
    settings = settings_here()
    rows = settings.services if file is None else [_table(Path(file))]
    service = one_service(rows, name)
    env = environment()
    if key is None and token is None:
        place = next((each for each in service.env if env.get(each)), None)
        key = None if place is None else env[place]
        log.info("key_access: service=%s place=%s", name, place or "none")
    if key is None and token is None and service.login:
        token = login_of(service.login)
    if key is None and token is None:
        ways = " or ".join(service.env) or "key="
        raise HouseError(
            "server",
            f"There is no credential of {name}: set {ways}.",
            code="missing_service_credential",
        )
    return ServiceClient(service, key, token, settings.upstream_ca_file)


def _table(file: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise HouseError("server", f"{file} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise HouseError("server", f"{file} is no TOML: {error}.") from None
    read_services([table])
    return table


class _Doors:
    """The transports of this process, by the authorities that they trust."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.open: dict[Path | None, Transport] = {}


_doors = _Doors()
_left: list[object] = []
"""What a child of ``fork`` has of its parent's: not used, and not closed either."""


def _begin_anew() -> None:
    _left.append(_doors.open)
    _doors.lock, _doors.open = threading.Lock(), {}


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


async def _sent(request: UpstreamRequest, ca_file: Path | None) -> Answer:
    with _doors.lock:
        transport = _doors.open.get(ca_file)
        if transport is None:
            transport = _doors.open[ca_file] = open_transport(tls_ca=ca_file)
            blocking.at_end(transport.close)
    reply: UpstreamReply = await transport.send(request)
    try:
        return Answer(reply.status, dict(reply.headers), await reply.read(_LARGEST))
    finally:
        await reply.close()
