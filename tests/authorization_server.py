"""An authorization server on loopback that follows the RFCs and keeps count: 6749, 7636, 7009, 8628, 9207.

It shares no line with the code under test. What it refuses it refuses in the protocol's words, and every
request that it saw can be asked for. Refresh tokens rotate unless it is told otherwise, and one that is shown
twice takes the whole family back (RFC 9700, 4.14.2).
"""

import base64
import hashlib
import http.server
import json
import secrets
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlencode, urlsplit


@dataclass
class Family:
    """All that came of one consent."""

    scope: str
    user: str = "ada@example.com"
    revoked: bool = False


@dataclass
class Authorization:
    """The server's state; a test sets it and looks at it."""

    client_id: str = "client-1"
    client_secret: str = "s3cret/+=&"
    public: bool = False
    basic_only: bool = False
    lasts_s: int = 3600
    rotate: bool = True
    issuer: str = ""
    interval: int = 0
    delay_s: float = 0.0
    """Before each answer to a refresh."""
    failing: int = 0
    """So many refreshes more get 503."""
    drop: int = 0
    """So many refreshes more are done, and their answers never sent."""
    typed: bool = False
    """Whether the person has typed the device code."""
    denied: bool = False
    slow_downs: int = 0
    pending: int = 0
    extra: dict = field(default_factory=dict)
    """Members of every token answer beside those of the RFC."""
    echoing: bool = False
    """What it refuses it quotes, as some do."""
    issued: list[str] = field(default_factory=list)
    """Every token and code that it ever gave out."""
    codes: dict = field(default_factory=dict)
    devices: dict = field(default_factory=dict)
    access: dict = field(default_factory=dict)
    refresh: dict = field(default_factory=dict)
    used: dict = field(default_factory=dict)
    calls: list = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def count(self, what: str) -> int:
        """How often something was asked: a grant's name, or a path."""
        return sum(1 for path, form in self.calls if what in {path, form.get("grant_type")})

    def forms(self, what: str) -> list[dict]:
        return [form for path, form in self.calls if what in {path, form.get("grant_type")}]

    def revoke_all(self) -> None:
        for family in [*self.refresh.values(), *self.access.values()]:
            family.revoked = True

    def is_good(self, token: str) -> bool:
        family = self.access.get(token)
        return family is not None and not family.revoked

    def issue(self, family: Family, *, with_refresh: bool = True) -> dict:
        access = secrets.token_urlsafe(24)
        self.access[access] = family
        told = {"access_token": access, "token_type": "Bearer", "scope": family.scope}
        if self.lasts_s:
            told["expires_in"] = self.lasts_s
        if with_refresh:
            told["refresh_token"] = secrets.token_urlsafe(24)
            self.refresh[told["refresh_token"]] = family
            self.issued.append(told["refresh_token"])
        self.issued.append(access)
        return {**told, **self.extra}

    def login_table(self, **members) -> dict:
        """How dragoman.toml describes this server."""
        return {
            "authorize_url": f"{self.url}/authorize",
            "token_url": f"{self.url}/token",
            "device_url": f"{self.url}/device",
            "revoke_url": f"{self.url}/revoke",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "scopes": ["read", "write"],
            **members,
        }


class RefusalError(Exception):
    def __init__(self, word: str, told: str = "", status: int = 400) -> None:
        super().__init__(word)
        self.word, self.told, self.status = word, told, status


def authorize(server: Authorization, query: dict) -> str:
    """Where the browser is sent to; the person always says yes, unless ``denied``."""
    redirect = query["redirect_uri"]
    if query.get("client_id") != server.client_id or urlsplit(redirect).scheme != "http":
        raise RefusalError("invalid_request", "unknown client or redirect")
    back = {"state": query["state"]} if "state" in query else {}
    if server.issuer:
        back["iss"] = server.issuer
    if server.denied:
        return f"{redirect}?{urlencode({'error': 'access_denied', **back})}"
    if query.get("response_type") != "code" or query.get("code_challenge_method") != "S256":
        return f"{redirect}?{urlencode({'error': 'invalid_request', **back})}"
    code = secrets.token_urlsafe(16)
    server.codes[code] = (redirect, query["code_challenge"], Family(query.get("scope", "")))
    return f"{redirect}?{urlencode({'code': code, **back})}"


def client_check(server: Authorization, form: dict, headers) -> None:
    said = headers.get("authorization", "")
    name, secret = form.get("client_id"), form.get("client_secret")
    if said.startswith("Basic "):
        name, _, secret = base64.b64decode(said[6:]).decode().partition(":")
        name, secret = unquote(name), unquote(secret)
    elif server.basic_only:
        raise RefusalError("invalid_client", "say it in the header", 401)
    if name != server.client_id or (not server.public and secret != server.client_secret):
        raise RefusalError("invalid_client", "nobody of that name", 401)


def grant(server: Authorization, form: dict) -> dict:
    match form.get("grant_type"):
        case "authorization_code":
            redirect, challenge, family = server.codes.pop(form.get("code"), (None, None, None))
            digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
            wanted = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            if family is None or redirect != form.get("redirect_uri") or wanted != challenge:
                raise RefusalError("invalid_grant", "wrong code, redirect or verifier")
            return server.issue(family)
        case "refresh_token":
            shown = form.get("refresh_token")
            if server.failing > 0:
                server.failing -= 1
                raise RefusalError("temporarily_unavailable", status=503)
            if shown in server.used:
                server.used[shown].revoked = True
            family = server.refresh.get(shown)
            if family is None or family.revoked:
                quoted = f" {shown} of {form.get('client_id')}" if server.echoing else ""
                raise RefusalError("invalid_grant", f"Token{quoted} has been expired or revoked.")
            if not server.rotate:
                return server.issue(family, with_refresh=False)
            server.used[shown] = server.refresh.pop(shown)
            return server.issue(family)
        case "client_credentials":
            return server.issue(Family(form.get("scope", "")), with_refresh=False)
        case "urn:ietf:params:oauth:grant-type:device_code":
            family = server.devices.get(form.get("device_code"))
            if family is None:
                raise RefusalError("expired_token")
            if server.denied:
                raise RefusalError("access_denied", "the person said no")
            if server.slow_downs > 0:
                server.slow_downs -= 1
                raise RefusalError("slow_down")
            if server.pending > 0 or not server.typed:
                server.pending -= 1
                raise RefusalError("authorization_pending")
            del server.devices[form["device_code"]]
            return server.issue(family)
        case _:
            raise RefusalError("unsupported_grant_type")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: Authorization

    def log_message(self, *arguments) -> None:
        pass

    def do_GET(self) -> None:
        path, query = self._path()
        self.state.calls.append((path, query))
        try:
            self._say(302, b"", {"location": authorize(self.state, query)})
        except (RefusalError, KeyError) as error:
            self._say(400, str(error).encode())

    def do_POST(self) -> None:
        path, _ = self._path()
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        form = {name: values[-1] for name, values in parse_qs(body).items()}
        server = self.state
        try:
            with server.lock:
                server.calls.append((path, form))
                if path == "/device":
                    told = self._device(form)
                else:
                    client_check(server, form, self.headers)
                    told = self._revoke(form) if path == "/revoke" else grant(server, form)
            if form.get("grant_type") == "refresh_token":
                time.sleep(server.delay_s)
                if server.drop > 0:
                    server.drop -= 1
                    self.close_connection = True
                    return
            self._json(200, told)
        except RefusalError as error:
            told = {"error": error.word}
            self._json(
                error.status, {**told, "error_description": error.told} if error.told else told
            )

    def _device(self, form: dict) -> dict:
        if form.get("client_id") != self.state.client_id:
            raise RefusalError("invalid_client")
        code = secrets.token_urlsafe(16)
        self.state.issued.append(code)
        self.state.devices[code] = Family(form.get("scope", ""))
        url = f"{self.state.url}/type-it"
        return {
            "device_code": code,
            "user_code": "WDJB-MJHT",
            "verification_uri": url,
            "verification_uri_complete": f"{url}?user_code=WDJB-MJHT",
            "expires_in": 300,
            "interval": self.state.interval,
        }

    def _revoke(self, form: dict) -> dict:
        token = form.get("token")
        family = self.state.refresh.get(token) or self.state.access.get(token)
        if family is not None:
            family.revoked = True
        return {}

    def _path(self) -> tuple[str, dict]:
        parts = urlsplit(self.path)
        return parts.path, {name: each[-1] for name, each in parse_qs(parts.query).items()}

    def _json(self, status: int, value: dict) -> None:
        kind = {"content-type": "application/json", "cache-control": "no-store"}
        self._say(status, json.dumps(value).encode(), kind)

    def _say(self, status: int, body: bytes, headers: dict | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def authorization_server(handler: type[Handler] = Handler, **members):
    """The server, up while the block runs."""
    state = Authorization(**members)
    bound = type("Bound", (handler,), {"state": state})
    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), bound)
    listener.daemon_threads = True
    state.port = listener.server_port
    thread = threading.Thread(target=listener.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()
