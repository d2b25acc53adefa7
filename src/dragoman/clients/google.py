"""Google's own client library with a login that is kept fresh, for any of Google's APIs (R-CRED-006, 008).

Needs the extra ``[google]``; nothing of it is imported before a factory is called. A thread-safe service has a
connection and credentials for each thread that uses it: httplib2, on which Google's library stands, shares
neither. A connection that failed is closed: the next try opens another.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from dragoman.clients.retry import api_call_with_retry
from dragoman.clients.tokens import TokenSource, login_of, settings_here
from dragoman.core.errors import HouseError

TIMEOUT_S = 60.0
_INSTALL = (
    "Google's client library is not installed; it is the extra [google]: "
    "pip install 'dragoman[google]'"
)


def get_google_service(
    name: str,
    version: str,
    *,
    thread_safe: bool = False,
    token: TokenSource | None = None,
    discovery_url: str | None = None,
    endpoint: str | None = None,
    ca_file: Path | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Any:
    """A service of Google's client library, such as ``get_google_service("calendar", "v3")``.

    Args:
        name: of the API, as Google's discovery names it.
        version: the same.
        thread_safe: each thread gets its own connection and credentials.
        token: where tokens come from; None: the login ``google`` of the secrets folder.
        discovery_url: where the API's description is, with ``{api}`` and ``{apiVersion}``; None: the one that
            the library brings along.
        endpoint: where the API is, instead of where its description says.
        ca_file: authorities to trust, as PEM. [UPSTREAM_CA_FILE]
        timeout_s: of connecting, and of each read.

    Raises:
        HouseError: the extra is not installed, or nobody has logged in; the message names the command.
    """
    library = _library()
    source = token if token is not None else login_of("google")
    source.current()  # who has not logged in hears of it here, not in the middle of their work
    authorities = ca_file if ca_file is not None else settings_here().upstream_ca_file
    transport = Transport(
        partial(_connection, library, source, authorities, timeout_s), thread_safe=thread_safe
    )
    said: dict[str, Any] = {}
    if discovery_url is not None:
        said |= {"discoveryServiceUrl": discovery_url, "static_discovery": False}
    if endpoint is not None:
        said["client_options"] = {"api_endpoint": endpoint}
    build = partial(library.build, name, version, http=transport, cache_discovery=False, **said)
    return api_call_with_retry(build)


def get_drive_service(*, thread_safe: bool = False, **options: Any) -> Any:
    """Drive, version 3; otherwise as ``get_google_service``."""
    return get_google_service("drive", "v3", thread_safe=thread_safe, **options)


def get_calendar_service(*, thread_safe: bool = False, **options: Any) -> Any:
    """Calendar, version 3; otherwise as ``get_google_service``."""
    return get_google_service("calendar", "v3", thread_safe=thread_safe, **options)


def get_gmail_service(*, thread_safe: bool = False, **options: Any) -> Any:
    """Gmail, version 1; otherwise as ``get_google_service``."""
    return get_google_service("gmail", "v1", thread_safe=thread_safe, **options)


def get_sheets_service(*, thread_safe: bool = False, **options: Any) -> Any:
    """Sheets, version 4; otherwise as ``get_google_service``."""
    return get_google_service("sheets", "v4", thread_safe=thread_safe, **options)


def _library() -> SimpleNamespace:
    """The parts of Google's library that are used.

    Raises:
        HouseError: they are not installed.
    """
    try:
        return SimpleNamespace(
            build=import_module("googleapiclient.discovery").build,
            AuthorizedHttp=import_module("google_auth_httplib2").AuthorizedHttp,
            Http=import_module("httplib2").Http,
        )
    except ModuleNotFoundError as error:
        raise HouseError("server", _INSTALL, code="missing_extra") from error


def _connection(
    library: SimpleNamespace, source: TokenSource, ca_file: Path | None, timeout_s: float
) -> Any:
    plain = library.Http(timeout=timeout_s, ca_certs=None if ca_file is None else str(ca_file))
    # 308 tells of an upload that goes on, and leads nowhere.
    plain.redirect_codes = plain.redirect_codes - {308}
    return library.AuthorizedHttp(_Credentials(source), http=plain)


class _Credentials:
    """A token source as Google's library asks credentials: before a request, and after it was refused."""

    def __init__(self, source: TokenSource) -> None:
        self._source = source
        self.token: str | None = None

    def before_request(self, request: object, method: str, url: str, headers: Any) -> None:
        """Shows the token; the source sees to it that it is good."""
        del request, method, url
        self.token = self._source.current().access.reveal()
        headers["authorization"] = f"Bearer {self.token}"

    def refresh(self, request: object) -> None:
        """Another token, for this one was refused."""
        del request
        self.token = self._source.renewed(self.token or "").access.reveal()

    @property
    def expiry(self) -> datetime | None:
        """When the token ends, as Google's library tells time: UTC without saying so."""
        ends = self._source.current().expires_at
        return None if ends is None else datetime.fromtimestamp(ends, UTC).replace(tzinfo=None)


class Transport:
    """What a service of Google's library sends by, in place of one ``httplib2.Http``."""

    def __init__(self, make: Callable[[], Any], *, thread_safe: bool) -> None:
        self._make = make
        self._here: Any = threading.local() if thread_safe else SimpleNamespace()
        self._all: list[Any] = []
        self._lock = threading.Lock()

    def request(self, uri: str, method: str = "GET", *args: Any, **said: Any) -> Any:
        """The response and its body."""
        connection = self._own()
        try:
            return connection.request(uri, method, *args, **said)
        except BaseException:
            self._drop(connection)
            raise

    @property
    def credentials(self) -> Any:
        """Those of this thread's connection: batches look for them."""
        return self._own().credentials

    def close(self) -> None:
        """Closes every thread's connections."""
        with self._lock:
            every, self._all = self._all, []
        for connection in every:
            connection.close()

    def _own(self) -> Any:
        found = getattr(self._here, "connection", None)
        if found is None:
            found = self._here.connection = self._make()
            with self._lock:
                self._all.append(found)
        return found

    def _drop(self, connection: Any) -> None:
        """What is left of an answer that broke off must not be read as the next one."""
        self._here.connection = None
        with self._lock:
            if connection in self._all:
                self._all.remove(connection)
        connection.close()
