"""Whether a request's bytes may hold media, told without reading them; who looks at its parts asks this first.

Every way to name a medium begins with one of a few words in quotation marks. What has none of them is text, and
most requests are.
"""

from __future__ import annotations

_ESCAPED = b"\\u00"
"""An ASCII letter may be written like this, and then any word may be there."""
_TYPED = (b'"input_', b'"audio', b'"document')
"""How values of ``type`` begin that name a medium, beside those that are names of members as well."""


def may_hold_media(body: bytes) -> bool:
    """Whether there may be a picture, a recording or a document in a request of any dialect."""
    if _ESCAPED in body or b'"image' in body or b'"file' in body or b'"inline' in body:
        return True
    return b'"type"' in body and any(sign in body for sign in _TYPED)
