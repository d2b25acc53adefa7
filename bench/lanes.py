"""The ways that are measured: who relays, and from which dialect to which."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from load import Ask
from process import once
from traffic import CHAT_PATH, CHUNKS, Pace, question, stream, whole

DIRECT = "upstream itself"
NGINX = "nginx as proxy"

_TEXT: str = json.loads(whole("chat"))["choices"][0]["message"]["content"]


@dataclass(frozen=True)
class Lane:
    """One way: a chat request to a port, the processes that relay it, the model that it names."""

    name: str
    port: int
    pids: tuple[int, ...]
    model: str
    headers: dict[str, str] = field(default_factory=dict)

    def ask(self, *, streamed: bool = False, pace: Pace | None = None) -> Ask:
        """The request of this way."""
        streams = streamed or pace is not None
        accept = "text/event-stream" if streams else "application/json"
        return Ask(
            port=self.port,
            path=CHAT_PATH,
            body=question(self.model, stream=streams, pace=pace),
            headers={"authorization": "Bearer none", "accept": accept, **self.headers},
            mark="[DONE]" if streams else "}",
        )


class WrongAnswerError(RuntimeError):
    """A way does not give the answer that the upstream gave: nothing is measured on it."""


def check(lane: Lane) -> None:
    """Sees that a way gives the upstream's words, whole and streamed.

    Raises:
        WrongAnswerError: it does not.
    """
    for streamed in (False, True):
        ask = lane.ask(streamed=streamed)
        status, body = once(ask.port, ask.path, ask.body, ask.headers)
        wanted = _streamed_text() if streamed else _TEXT
        try:
            said = said_in_stream(body) if streamed else _said(body)
        except (ValueError, KeyError, IndexError, TypeError):
            said = ""
        if status != 200 or said != wanted:
            kind = "stream" if streamed else "reply"
            told = body[:400].decode("utf-8", "replace")
            raise WrongAnswerError(f"{lane.name} gave a wrong {kind} ({status}): {told}")


def _said(body: bytes) -> str:
    return str(json.loads(body)["choices"][0]["message"]["content"])


def said_in_stream(body: bytes) -> str:
    """The words of a chat stream; empty unless it ends with ``[DONE]``."""
    frames = [line[6:] for line in body.splitlines() if line.startswith(b"data: ")]
    if not frames or frames[-1] != b"[DONE]":
        return ""
    chunks = [json.loads(frame) for frame in frames[:-1]]
    return "".join(
        choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"]
    )


def _streamed_text() -> str:
    return said_in_stream(stream("chat").whole(CHUNKS))
