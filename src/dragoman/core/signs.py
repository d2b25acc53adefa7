"""Whether a request's bytes may hold media, told without reading them; who looks at its parts asks this first.

Every way to name a medium begins with one of a few words in quotation marks. What has none of them is text, and
most requests are.
"""

from __future__ import annotations

ESCAPED = "\\u00"
"""An ASCII letter may be written like this, and then any word may be there."""
_TYPED = ('"input_', '"audio', '"document')
"""How values of ``type`` begin that name a medium, beside those that are names of members as well."""


def may_hold_media(body: bytes) -> bool:
    """Whether there may be a picture, a recording or a document in a request of any dialect."""
    return signs_of_media(str(body, "latin-1"))


def signs_of_media(text: str) -> bool:
    """The same of a request's bytes as characters: Python finds words in those at a third of the cost."""
    return '"file' in text or '"inline' in text or signs_of_typed_media(text)


def signs_of_typed_media(text: str) -> bool:
    """The same where each part says its type, as in chats of OpenAI and Anthropic: fewer words to look for."""
    if ESCAPED in text or '"image' in text:
        return True
    return '"type"' in text and ('"file' in text or any(sign in text for sign in _TYPED))
