"""Thought signatures: Gemini's own on the part that carries one, others' in an envelope (§2.3).

Gemini signs thoughts, calls and texts (P98). In canonical form the signature of a part that is no
thought stands before it as reasoning that is only encrypted, so that every client's dialect has a
slot for it; a call's names the call. Foreign state travels to a Gemini client as the base64 of its
envelope, on a thought, and is left closed here.
"""

from __future__ import annotations

import base64
import binascii

from dragoman.core.envelope import PREFIX, SEALED, Envelope, is_sealed
from dragoman.core.parts import Thinking
from dragoman.dialects.gemini.wire import DIALECT, FORMAT

UNSIGNED = "skip_thought_signature_validator"
"""What Gemini 3 takes for the signature of a call that another model made (P99).

It says that there is no signature: read as none, and so lost nowhere.
"""


def signature_of(value: str, call_id: str | None = None) -> Thinking:
    """A signature that belongs to the part behind it."""
    return Thinking(redacted=True, encrypted=value, id=call_id, format=FORMAT, family=DIALECT)


def is_native(part: Thinking) -> bool:
    """Whether Gemini issued the reasoning."""
    return part.family == DIALECT or (part.family is None and (part.format or "") == FORMAT)


def thought(text: str, signature: str | None) -> Thinking:
    """A thought with words, or with an envelope."""
    sealed = unsealed_text(signature)
    if sealed is not None:
        return Thinking(text, signature=sealed, family=SEALED)
    return Thinking(text, signature=signature, format=FORMAT, family=DIALECT)


def unsealed_text(signature: str | None) -> str | None:
    """The envelope in a base64 signature; None if it holds none.

    The official client decodes the signature and writes it anew, in the alphabet of its own.
    """
    if not signature:
        return None
    plain = signature.replace("-", "+").replace("_", "/")
    try:
        found = base64.b64decode(plain + "=" * (-len(plain) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        return None
    return found if is_sealed(found) else None


def looks_sealed(data: bytes) -> bool:
    """Whether JSON may hold an envelope: cheap, and never wrong about one that is there."""
    return data.find(_SEALED_START) >= 0


_SEALED_START = base64.b64encode(PREFIX.encode())[:6]


def state(part: Thinking, envelope: Envelope | None) -> str | None:
    """The ``thoughtSignature`` of a thought for a Gemini client; None if there is nothing to keep."""
    if is_native(part):
        return part.signature or part.encrypted
    sealed = "" if envelope is None else envelope.seal(part)
    return base64.b64encode(sealed.encode()).decode() if sealed else None
