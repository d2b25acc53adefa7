"""Who is behind a caller, as the caller says it: a label for budgets of end users, never a proof of anything.

Open WebUI says it in headers, the dialects in members of the request. It only divides the caller's own money:
no word of a caller's reaches what another tenant may spend (M16). Calls that name nobody share one part.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Raw

HEADERS = ("x-openwebui-user-id", "x-openwebui-user-email", "x-openwebui-user-name")
_MEMBERS = ("safety_identifier", "user")
MEMBERS = frozenset({*_MEMBERS, "metadata"})
"""Where nothing of these is, nobody is named."""
_TEXT = msgspec.json.Decoder(str)
_METADATA = msgspec.json.Decoder(dict[str, Raw])


def end_user(headers: Mapping[str, str], members: Mapping[str, Raw]) -> str:
    """The end user that a request names; empty where it names none."""
    for name in HEADERS:
        said = headers.get(name, "").strip()
        if said:
            return said
    for name in _MEMBERS:
        said = _text(members.get(name))
        if said:
            return said
    metadata = members.get("metadata")
    if metadata is None:
        return ""
    try:
        return _text(_METADATA.decode(metadata).get("user_id"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def _text(raw: Raw | None) -> str:
    if raw is None:
        return ""
    try:
        return _TEXT.decode(raw).strip()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
