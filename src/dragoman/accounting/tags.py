"""Words that a caller would find its calls by in reports: from a header and a member of the request.

``x-dragoman-tags: nightly, team=search`` and ``metadata.tags`` of the body, a list or the same with commas, count
together. A tag is a label and no proof of anything (M16). They are bounded, as every call's row keeps them: what
is longer or has other signs is left out, as no call is refused for a report's sake.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec
from msgspec import Raw

HEADER = "x-dragoman-tags"
MEMBER = "metadata"
MOST_TAGS = 10
LONGEST_TAG = 64
_TAG = re.compile(r"[A-Za-z0-9_.:=/@+-]{1,64}")
_METADATA = msgspec.json.Decoder(dict[str, Raw])
_TAGS: msgspec.json.Decoder[str | list[str]] = msgspec.json.Decoder(str | list[str])


def tags_of(headers: Mapping[str, str], members: Mapping[str, Raw]) -> str:
    """The tags of a request: each once, sorted, joined by commas; empty where it has none."""
    said = headers.get(HEADER)
    metadata = members.get(MEMBER)
    if said is None and metadata is None:
        return ""
    words = said.split(",") if said else []
    if metadata is not None:
        words += _written(metadata)
    found = {word for word in map(str.strip, words) if _TAG.fullmatch(word)}
    return ",".join(sorted(found)[:MOST_TAGS])


def _written(metadata: Raw) -> list[str]:
    try:
        raw = _METADATA.decode(metadata).get("tags")
        tags = _TAGS.decode(raw) if raw is not None else []
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return []
    return tags.split(",") if isinstance(tags, str) else tags
