"""Members of another dialect that may not simply be left out: without them the answer would be another.

Which they are, each writer says; whether one of them says anything is asked here.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

_NOTHING = frozenset({b"null", b"false", b"[]"})
_OBJECT = msgspec.json.Decoder(dict[str, Raw])


def weighs(name: str, raw: Raw) -> bool:
    """Whether the member asks for something that its absence would change.

    OpenAI's ``moderation`` blocks only by a policy; a model of it alone is a report beside the answer.
    """
    data = bytes(raw)
    if data in _NOTHING:
        return False
    if name != "moderation":
        return True
    try:
        policy = _OBJECT.decode(data).get("policy")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return True
    return policy is not None and bytes(policy) not in _NOTHING
