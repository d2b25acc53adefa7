"""What callers of other gateways say in headers, in our own words, where there is the same thing here.

A header of ours that is there already goes before. What cannot be read, and what means nothing here, is
ignored, as those gateways would ignore it; docs/migrating.md lists all of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import msgspec

_CREDENTIALS = ("authorization", "x-api-key", "api-key", "x-goog-api-key")
_YES = frozenset({"true", "1", "yes"})
_LABEL = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_LONGEST_S = 86_400
_METADATA = msgspec.json.Decoder(dict[str, object])

TIMEOUT = "x-dragoman-timeout-ms"
ATTEMPTS = "x-dragoman-max-attempts"
_MOST_ATTEMPTS = 10
"""As many as a call may ask for here; who says more gets these."""
LABEL = "x-request-id"
CACHE = "x-dragoman-cache"
CONTROL = "cache-control"
KEY = "x-api-key"
USER = "x-openwebui-user-id"
"""What tells budgets who is behind a caller."""
TAGS = "x-dragoman-tags"
_TAG = re.compile(r"[A-Za-z0-9_.:=/@+-]{1,64}")
_BEGINNINGS = ("helicone-property-", "x-bf-dim-")
"""Of headers that hold a label each. They are looked for beside another header of theirs alone: to look at the
beginning of every name would cost every call."""


def _seconds(said: str) -> str | None:
    return _whole_ms(said, 1000)


def _milliseconds(said: str) -> str | None:
    return _whole_ms(said, 1)


def _whole_ms(said: str, factor: int) -> str | None:
    try:
        number = float(said) * factor
    except ValueError:
        return None
    return str(int(number)) if 1 <= number <= _LONGEST_S * 1000 else None


def _retries(said: str) -> str | None:
    """Those gateways count what comes after the first try."""
    return _tries(said, beside=1)


def _attempts(said: str) -> str | None:
    return _tries(said, beside=0)


def _tries(said: str, beside: int) -> str | None:
    if not (said.isascii() and said.isdigit() and len(said) < 10):
        return None
    number = int(said) + beside
    return str(min(number, _MOST_ATTEMPTS)) if number else None


def _label(said: str) -> str | None:
    return said if _LABEL.fullmatch(said) else None


def _key(said: str) -> str | None:
    return said[7:].strip() if said[:7].lower() == "bearer " else said


def _as_said(said: str) -> str | None:
    return said


def _wanted(said: str) -> str | None:
    return "true" if said.lower() in _YES | {"simple", "semantic"} else None


def _unwanted(said: str) -> str | None:
    return "false" if said.lower() in _YES else None


def _renewed(said: str) -> str | None:
    return "no-cache" if said.lower() in _YES else None


def _max_age(said: str) -> str | None:
    return f"max-age={said}" if said.isascii() and said.isdigit() and len(said) < 10 else None


def _portkey_user(said: str) -> str | None:
    user = _labels(said).get("_user")
    return user if isinstance(user, str) else None


def _labels(said: str) -> dict[str, object]:
    """What a JSON object in a header says."""
    try:
        return _METADATA.decode(said.encode())
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return {}


def _listed(said: str) -> list[str]:
    return said.split(",")


def _labelled(said: str) -> list[str]:
    """An object's members as tags; what LiteLLM's say under ``tags`` are tags as they stand."""
    labels = _labels(said)
    labels.pop("_user", None)
    tags = labels.pop("tags", None)
    words = [word for word in tags if isinstance(word, str)] if isinstance(tags, list) else []
    return words + [f"{name}={_word(value)}" for name, value in labels.items()]


def _word(value: object) -> str:
    """A plain value as one writes it; of any other a sign that no tag may hold."""
    match value:
        case bool():
            return "true" if value else "false"
        case str() | int() | float():
            return str(value)
        case _:
            return "?"


def _tags(headers: Mapping[str, str]) -> str:
    """All that foreign headers say of a call's tags, each once."""
    words = [word for name, read in _TAGGED.items() for word in read(headers.get(name, ""))]
    words += [
        f"{name.removeprefix(beginning)}={value.strip()}"
        for name, value in headers.items()
        for beginning in _BEGINNINGS
        if name.startswith(beginning)
    ]
    return ",".join(dict.fromkeys(filter(_TAG.fullmatch, map(str.strip, words))))


_OURS: dict[str, tuple[str, Callable[[str], str | None]]] = {
    "x-litellm-timeout": (TIMEOUT, _seconds),
    "x-portkey-request-timeout": (TIMEOUT, _milliseconds),
    "cf-aig-request-timeout": (TIMEOUT, _milliseconds),
    "x-litellm-num-retries": (ATTEMPTS, _retries),
    "x-portkey-retry-count": (ATTEMPTS, _retries),
    "cf-aig-max-attempts": (ATTEMPTS, _attempts),
    "x-litellm-trace-id": (LABEL, _label),
    "x-litellm-call-id": (LABEL, _label),
    "x-portkey-trace-id": (LABEL, _label),
    "helicone-request-id": (LABEL, _label),
    "x-litellm-end-user-id": (USER, _as_said),
    "x-litellm-customer-id": (USER, _as_said),
    "helicone-user-id": (USER, _as_said),
    "x-portkey-metadata": (USER, _portkey_user),
    "cf-aig-skip-cache": (CACHE, _unwanted),
    "cf-aig-cache-ttl": (CONTROL, _max_age),
    "helicone-cache-enabled": (CACHE, _wanted),
    "x-portkey-cache": (CACHE, _wanted),
    "x-portkey-cache-force-refresh": (CONTROL, _renewed),
    "x-litellm-api-key": (KEY, _key),
    "x-portkey-api-key": (KEY, _key),
    "x-bf-vk": (KEY, _key),
    "cf-aig-authorization": (KEY, _key),
    "helicone-auth": (KEY, _key),
}
"""By the foreign name: what it is called here, and how its value is said."""

_TAGGED: dict[str, Callable[[str], list[str]]] = {
    "x-litellm-tags": _listed,
    "x-litellm-spend-logs-metadata": _labelled,
    "x-portkey-metadata": _labelled,
    "cf-aig-metadata": _labelled,
}
"""By the foreign name: how the tags in its value are told."""

FOREIGN = frozenset(_OURS | _TAGGED)


def with_ours(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers, and what the foreign ones among them say in our words.

    A key counts only where there is no other: what those gateways' callers show beside it is their
    provider's, and whoever has a key of ours shows it in an ordinary header.
    """
    found = dict(headers)
    has_key = any(name in headers for name in _CREDENTIALS)
    for foreign, (name, read) in _OURS.items():
        said = headers.get(foreign, "").strip()
        if not said or name in found or (name == KEY and has_key):
            continue
        if value := read(said):
            found[name] = value
    if TAGS not in found and (tags := _tags(headers)):
        found[TAGS] = tags
    return found
