"""Talking to a running gateway with nothing but the standard library, in OpenAI's chat dialect."""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from msgspec import Struct

from dragoman import __version__

__all__ = ["Gateway", "GatewayRefusal", "Piece", "spoken"]

_TIMEOUT_S = 600.0


class GatewayRefusal(Exception):  # noqa: N818 - it says what the gateway said
    """No answer, an error, or an answer that broke off; the message is for people."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


class Piece(Struct, frozen=True):
    """A piece of a streamed answer: words, or what is told at the end."""

    text: str = ""
    finish: str | None = None
    usage: dict[str, Any] | None = None


class Gateway:
    """One gateway and the key for it."""

    def __init__(self, base_url: str, key: str, timeout_s: float = _TIMEOUT_S) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise GatewayRefusal(
                f"{base_url!r} is no address of a gateway; say for example http://127.0.0.1:8000."
            )
        self._url = base_url.rstrip("/")
        self._secure = parts.scheme == "https"
        self._host = parts.hostname
        self._port = parts.port
        self._path = parts.path.rstrip("/").removesuffix("/v1")
        self._key = _sendable(key)
        self._timeout_s = timeout_s

    def is_ready(self) -> bool:
        """Whether a gateway answers there and can serve."""
        try:
            with self._asked("GET", "/ready", None) as response:
                return response.status == http.HTTPStatus.OK
        except GatewayRefusal:
            return False

    def complete(self, body: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
        """A whole answer and its headers."""
        with self._asked("POST", "/v1/chat/completions", body) as response:
            data = response.read()
            headers = {name.lower(): value for name, value in response.getheaders()}
            if response.status != http.HTTPStatus.OK:
                raise _refusal(response.status, data)
            return _decoded(data), headers

    def read(self, path: str, query: Mapping[str, str | None] | None = None) -> Any:
        """What it answers at a path: JSON as its value, anything else as text."""
        said = {name: value for name, value in (query or {}).items() if value is not None}
        with self._asked("GET", f"{path}?{urlencode(said)}" if said else path, None) as response:
            data = response.read()
            if response.status != http.HTTPStatus.OK:
                raise _refusal(response.status, data)
            if not response.headers.get("content-type", "").startswith("application/json"):
                return data.decode("utf-8", "replace")
            return _decoded(data)

    def explain(self, name: str) -> dict[str, Any]:
        """What became of a call."""
        path = f"/v1/requests/{quote(name, safe='')}/explain"
        with self._asked("GET", path, None) as response:
            data = response.read()
            if response.status != http.HTTPStatus.OK:
                raise _refusal(response.status, data)
            return _decoded(data)

    def manage(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        """What the admin API answers; an answer without a body is empty."""
        with self._asked(method, path, body) as response:
            data = response.read()
            if response.status >= http.HTTPStatus.BAD_REQUEST:
                raise _refusal(response.status, data)
            return _decoded(data) if data else {}

    @contextmanager
    def stream(self, body: dict[str, Any]) -> Iterator[tuple[Iterator[Piece], dict[str, str]]]:
        """A streamed answer, piece by piece, and its headers."""
        asked = {**body, "stream": True, "stream_options": {"include_usage": True}}
        with self._asked("POST", "/v1/chat/completions", asked) as response:
            if response.status != http.HTTPStatus.OK:
                raise _refusal(response.status, response.read())
            headers = {name.lower(): value for name, value in response.getheaders()}
            yield _pieces(response), headers

    @contextmanager
    def _asked(
        self, method: str, path: str, body: dict[str, Any] | None
    ) -> Iterator[http.client.HTTPResponse]:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=self._timeout_s)
        headers = {
            "authorization": f"Bearer {self._key}",
            "content-type": "application/json",
            "user-agent": f"dragoman-cli/{__version__}",
        }
        data = None if body is None else msgspec.json.encode(body)
        try:
            connection.request(method, self._path + path, data, headers)
            with connection.getresponse() as response:
                yield response
        except ConnectionRefusedError:
            raise GatewayRefusal(
                f"No gateway listens at {self._url}; start one with `dragoman serve --local`."
            ) from None
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
            raise GatewayRefusal(f"The gateway at {self._url} broke off: {reason}.") from None
        finally:
            connection.close()


def _sendable(key: str) -> str:
    """A key as a header carries it; the standard library would show another one whole in its traceback."""
    bare = key.strip()
    if not all("!" <= sign <= "~" for sign in bare):
        raise GatewayRefusal(
            "The key in --key or DRAGOMAN_API_KEY is no key: it holds blanks, line breaks or "
            "other signs that no key has. Give the line drg_… alone."
        )
    return bare


def _refusal(status: int, data: bytes) -> GatewayRefusal:
    """An error reply as a sentence."""
    try:
        error = msgspec.json.decode(data)["error"]
        message = error["message"] if isinstance(error, dict) else str(error)
    except (msgspec.DecodeError, KeyError, TypeError):
        message = data[:200].decode("utf-8", "replace")
    return GatewayRefusal(f"The gateway answered {status}: {message}", status)


def _decoded(data: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.DecodeError:
        raise GatewayRefusal("The gateway's answer is not JSON; is it one?") from None


def _pieces(response: http.client.HTTPResponse) -> Iterator[Piece]:
    """The stream's events; one that ends before ``[DONE]`` is an error, never a quiet end."""
    for line in response:
        if not line.endswith(b"\n"):
            break  # the connection ended in the middle of it
        if not line.startswith(b"data:"):
            continue
        data = line[5:].strip()
        if data == b"[DONE]":
            return
        event = _decoded(data)
        if error := event.get("error"):
            message = error.get("message") if isinstance(error, dict) else error
            raise GatewayRefusal(f"The answer broke off: {message}")
        yield _piece(event)
    raise GatewayRefusal("The answer broke off before its end.")


def spoken(message: dict[str, Any]) -> str:
    """The words of a message or delta; some services send them in parts, beside their thoughts."""
    content = message.get("content") or message.get("refusal") or ""
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text", "")) for part in content if part.get("type") == "text")


def _piece(event: dict[str, Any]) -> Piece:
    choice: dict[str, Any] = next(iter(event.get("choices") or ()), {})
    return Piece(
        text=spoken(choice.get("delta") or {}),
        finish=choice.get("finish_reason"),
        usage=event.get("usage"),
    )
