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
        "apikey",
        "authorization",
        "api_key",
        "api-key",
        "x-api-key",
        "x-goog-api-key",
        "client_secret",
        "cookie",
        "credential",
        "database_url",
        "fernet_key",
        "id_token",
        "password",
        "private_key",
        "proxy-authorization",
        "refresh_token",
        "access_token",
        "secret",
        "set-cookie",
        "token",
    }
)


_USER_OF_URL = re.compile(r"(?<=://)[^/\s@]{1,512}@")
_NAMED = re.compile(
    r"(?i)([\"']?(?:api[-_]?key|password|passwd|authorization|(?:access|refresh|id)[-_]token|client_secret|secret)"
    r"[\"']?\s*[:=]\s*)(\"[^\"]*\"?|'[^']*'?|[^\s,;&}]+)"
)
_IN_QUERY = re.compile(
    r"(?i)([?&](?:key|[a-z_-]*(?:api[-_]?key|token|secret|password|sig(?:nature)?))=)[^&#]*"
)


is_plain_id = re.compile(r"(?:req_)?[0-9A-Fa-f-]*").fullmatch
"""What our own ids and UUIDs are: of such letters alone no key and no name of a secret is made."""


def redact(text: str) -> str:
    """The same text with everything that is shaped like a key replaced by ``[redacted]``.

    What stands behind a name that says so is one, too, and who a URL names as its user.
    """
    clean = _KEY_SHAPED.sub("[redacted]", text)
    if "://" in clean:
        clean = _USER_OF_URL.sub("[redacted]@", clean)
    return _NAMED.sub(r"\1[redacted]", clean) if ":" in clean or "=" in clean else clean


def redact_url(url: str) -> str:
    """A path with its query, without the credentials that stand there."""
    return redact(_IN_QUERY.sub(r"\1[redacted]", url))


def redact_member(name: str, value: object) -> object:
    """A member of a log line: hidden by its name, or cleaned by its shape, however deep it stands."""
    if name.lower() in SECRET_NAMES:
        return "[redacted]"
    match value:
        case str():
            return redact(value)
        case dict():
            return {key: redact_member(str(key), each) for key, each in value.items()}
        case list() | tuple():
            return [redact_member("", each) for each in value]
        case _:
            return value
