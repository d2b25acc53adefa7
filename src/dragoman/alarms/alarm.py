"""What an alarm is, and how it goes out: a signed JSON object.

A receiver checks ``x-dragoman-signature``: ``v1=`` and the HMAC-SHA-256, in hexadecimal, of the timestamp in
``x-dragoman-timestamp``, a dot, and the body, under the endpoint's secret; and that the timestamp is of now. An
alarm may come more than once, and has the same ``id`` each time.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any, Literal, TypeAlias, get_args

import msgspec
from msgspec import Struct

from dragoman.core.secret import Secret

Kind: TypeAlias = Literal["budget", "velocity", "errors", "drift"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Level: TypeAlias = Literal["warning", "critical"]
_DIGEST = 32


class Alarm(Struct, frozen=True):
    """One thing that the operator is told."""

    kind: Kind
    about: str
    """What exactly, and in which stretch of time: of those that say the same only the first is raised."""
    level: Level
    summary: str
    details: dict[str, Any]

    @property
    def key(self) -> str:
        """What it is known by among all that were raised."""
        return hashlib.sha256(f"{self.kind} {self.about}".encode()).hexdigest()


class Endpoint(Struct, frozen=True):
    """Somebody who listens."""

    url: str
    secret: Secret
    kinds: tuple[Kind, ...] = KINDS
    private: bool = False
    """It is in a network of the operator's own, and may be spoken to without TLS."""

    @property
    def id(self) -> str:
        """What it is known by in the database, which its address does not stand in."""
        return hashlib.sha256(self.url.encode()).hexdigest()[:_DIGEST]


def body_of(alarm: Alarm, alarm_id: str, at: str) -> str:
    """The alarm as it goes out."""
    return msgspec.json.encode(
        {
            "id": alarm_id,
            "object": "alert",
            "kind": alarm.kind,
            "level": alarm.level,
            "created_at": at,
            "summary": alarm.summary,
            "details": alarm.details,
        }
    ).decode()


def signed(body: bytes, secret: Secret, at: int) -> dict[str, str]:
    """The headers that show who has sent a body, and when."""
    told = b"%d." % at + body
    digest = hmac.new(secret.reveal().encode(), told, hashlib.sha256).hexdigest()
    return {"x-dragoman-timestamp": str(at), "x-dragoman-signature": f"v1={digest}"}
