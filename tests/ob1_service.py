"""A fake OB-1: its identity provider's server, and a backend that takes the tokens which that one gives out.

The backend is OpenAI's in shape, by hand. It wants ``token:organization``, refuses a token that is no longer good
with 401, and can be told to fail in other ways.
"""

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from typing_extensions import override

from authorization_server import Authorization, Family, Handler, authorization_server

MODELS = ("anthropic/claude-sonnet-4.6", "anthropic/claude-haiku-4.5", "openai/gpt-5-mini")
ORG = "org_1"


@dataclass
class Backend:
    """What the backend does next, and what it has seen."""

    seen: list[dict] = field(default_factory=list)
    """Chat calls: headers and body."""
    answers: list[tuple[int, bytes]] = field(default_factory=list)
    """Statuses and bodies of the next calls, in place of good answers; ``{shown}`` in one is what was shown, and
    ``{access}`` the token of it."""
    refuse_all: bool = False
    """401 to every token."""
    cost: float | None = None
    """What it reports; None: nothing."""
    usage: dict | None = field(
        default_factory=lambda: {"prompt_tokens": 100, "completion_tokens": 20}
    )


class Ob1(Handler):
    """Both servers on one port."""

    backend: Backend

    @override
    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/api/v1/models":
            if self._is_let_in():
                rows = [{"id": name, "object": "model", "created": 1} for name in MODELS]
                self._json(200, {"object": "list", "data": rows})
            else:
                self._json(401, {"error": "unauthorized"})
        elif path == "/api/v1/auth/organizations":
            user = parse_qs(urlsplit(self.path).query).get("user_id", [""])[0]
            self.state.calls.append((path, {"user_id": user}))
            org = {"organizationId": ORG, "organizationName": "One"}
            self._json(200, {"data": [org] if user else []})
        else:
            super().do_GET()

    @override
    def do_POST(self) -> None:
        if urlsplit(self.path).path != "/api/v1/chat/completions":
            super().do_POST()
            return
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        backend = self.backend
        headers = {name.lower(): value for name, value in self.headers.items()}
        backend.seen.append({"headers": headers, "body": body})
        if not self._is_let_in():
            self._json(401, {"error": "unauthorized", "token": headers["authorization"]})
        elif backend.answers:
            status, said = backend.answers.pop(0)
            shown = headers["authorization"].removeprefix("Bearer ")
            said = said.replace(b"{shown}", shown.encode())
            said = said.replace(b"{access}", shown.partition(":")[0].encode())
            kind = "text/event-stream" if said.startswith(b"data:") else "application/json"
            self._say(status, said, {"content-type": kind})
        elif body.get("stream"):
            self._stream(body)
        else:
            message = {"role": "assistant", "content": "Hello from OB-1."}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self._json(200, self._reply(body, "chat.completion", choice, usage=True))

    def _stream(self, body: dict) -> None:
        frames = []
        for delta, finish in (({"role": "assistant", "content": "Hello"}, None), ({}, "stop")):
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            frames.append(self._reply(body, "chat.completion.chunk", choice, usage=False))
        if body.get("stream_options", {}).get("include_usage"):
            last = self._reply(body, "chat.completion.chunk", None, usage=True)
            frames += [last, last]  # it says it twice
        text = "".join(f"data: {json.dumps(frame)}\n\n" for frame in frames) + "data: [DONE]\n\n"
        self._say(200, text.encode(), {"content-type": "text/event-stream"})

    def _reply(self, body: dict, kind: str, choice: dict | None, *, usage: bool) -> dict:
        told = {"id": "gen-1", "object": kind, "created": int(time.time()), "model": body["model"]}
        told["choices"] = [] if choice is None else [choice]
        if usage and self.backend.usage is not None:
            said = self.backend.usage
            told["usage"] = {**said, "total_tokens": sum(said.values())}
            if self.backend.cost is not None:
                told["usage"]["cost"] = self.backend.cost
        return told

    def _is_let_in(self) -> bool:
        if self.backend.refuse_all:
            return False
        token = self.headers.get("authorization", "").removeprefix("Bearer ")
        access, _, org = token.partition(":")
        return self.state.is_good(access) and org in {"", ORG}


@contextmanager
def ob1_service():
    """Both, up while the block runs: the state of logins, and the backend."""
    backend = Backend()
    handler = type("Bound", (Ob1,), {"backend": backend})
    with authorization_server(handler, public=True) as logins:
        yield logins, backend


def environment(logins: Authorization, file: Path) -> dict[str, str]:
    """How a gateway or a command is told of them."""
    return {
        "OB1_BASE_URL": f"{logins.url}/api/v1",
        "OB1_TOKEN_URL": f"{logins.url}/token",
        "OB1_DEVICE_URL": f"{logins.url}/device",
        "OB1_ORGANIZATIONS_URL": f"{logins.url}/api/v1/auth/organizations",
        "OB1_CLIENT_ID": logins.client_id,
        "OB1_ACCOUNTS_FILE": str(file),
    }


def put_accounts(
    logins: Authorization, file: Path, *names: str, ends_in_s: float = 3600
) -> list[str]:
    """Accounts with tokens that the server knows; their access tokens."""
    rows = []
    for name in names:
        told = logins.issue(Family("", user=name))
        rows.append(
            {
                "email": f"{name}@example.com",
                "access_token": told["access_token"],
                "refresh_token": told["refresh_token"],
                "expires_at": int(time.time() + ends_in_s),
                "org_id": ORG,
                "org_name": "One",
                "user_id": name,
                "user_data": {},
            }
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(rows))
    file.chmod(0o600)
    return [row["access_token"] for row in rows]
