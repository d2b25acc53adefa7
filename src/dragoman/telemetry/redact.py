"""What a secret looks like, so that none is written anywhere (R-OBS-007, K8)."""

from __future__ import annotations

import re

_KEY_SHAPED = re.compile(
    r"(?:sk-[A-Za-z0-9_-]{8,}|(?:gsk|xai|pplx|fw|csk|nvapi|r8|hf)[-_][A-Za-z0-9_-]{12,}"
    r"|AIza[A-Za-z0-9_-]{20,}|drg_[A-Za-z0-9_]{12,}|2api_[A-Za-z0-9_]{4,}"
    r"|eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*|(?i:bearer)\s+[A-Za-z0-9._~+/-]{8,}=*)"
)
SECRET_NAMES = frozenset(
    {
        "authorization",
        "api_key",
        "api-key",
        "x-api-key",
        "x-goog-api-key",
        "cookie",
        "password",
        "proxy-authorization",
        "refresh_token",
        "access_token",
        "secret",
        "set-cookie",
        "token",
    }
)


def redact(text: str) -> str:
    """The same text with everything that is shaped like a key replaced by ``[redacted]``."""
    return _KEY_SHAPED.sub("[redacted]", text)


def redact_member(name: str, value: object) -> object:
    """A member of a log line: hidden by its name, or cleaned by its shape."""
    if name.lower() in SECRET_NAMES:
        return "[redacted]"
    return redact(value) if isinstance(value, str) else value
