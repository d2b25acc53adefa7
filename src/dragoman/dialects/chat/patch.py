"""A chat request for another provider of the chat family: the caller's own bytes, few of them changed.

Only top-level members are replaced, added or removed, and nested values stay byte for byte,
except where the provider's file names a step that has to look into the messages (D2).
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from dragoman.core.loss import Loss
from dragoman.dialects.base import Outgoing, Target
from dragoman.dialects.chat.quirks import apply_quirks
from dragoman.dialects.members import NULL, Object, members_of

_ENCODE = msgspec.json.Encoder().encode
_TRUE = Raw(b"true")
_ASK_USAGE = Raw(b'{"include_usage":true}')
_TOUCHED = frozenset({"routing", "models", "provider", "stream"})
"""Members, the model apart, that may have to be another one."""


def patch_request(members: dict[str, Raw], target: Target) -> Outgoing:
    """The request for the target, from the top level of the caller's."""
    quirks = target.quirks
    if _TOUCHED.isdisjoint(members) and not (quirks.drop or quirks.rename or quirks.steps):
        return Outgoing(_ENCODE({**members, "model": target.model}))
    body: Object = dict(members)
    body["model"] = target.model
    body.pop("routing", None)
    losses: list[Loss] = []
    if quirks.flavour != "openrouter":
        body.pop("models", None)
        body.pop("provider", None)  # routing has heeded it
    if body.get("stream") == _TRUE:
        _ask_usage(body, target, losses)
    if quirks.drop or quirks.rename or quirks.steps:
        body = apply_quirks(body, target, losses)
    return Outgoing(_ENCODE(body), tuple(losses))


def _ask_usage(body: Object, target: Target, losses: list[Loss]) -> None:
    """Usage is always asked for, in the caller's own options (D2)."""
    options = body.get("stream_options", NULL)
    told = target.quirks.usage_in_stream
    if told == "asked":
        if options == NULL:
            body["stream_options"] = _ASK_USAGE
        elif options != _ASK_USAGE:
            asked = members_of(options, "stream_options")
            asked["include_usage"] = True
            body["stream_options"] = asked
    elif told == "unsupported" and body.pop("stream_options", NULL) != NULL:
        losses.append(Loss("stream_options", f"{target.provider} does not take it"))
