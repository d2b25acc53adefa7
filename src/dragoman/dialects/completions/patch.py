"""A legacy completion for a provider of this dialect: top-level members change, nothing else (D2)."""

from __future__ import annotations

from msgspec import Raw

from dragoman.core.loss import Loss
from dragoman.dialects.base import Outgoing, Target
from dragoman.dialects.completions.wire import NULL, encode, is_nothing, members

_TRUE = Raw(b"true")


def patch_request(said: dict[str, Raw], target: Target) -> Outgoing:
    """The caller's own members with the provider's model; a stream is asked to tell its usage."""
    body: dict[str, object] = dict(said)
    for name in ("routing", "models"):
        body.pop(name, None)
    if target.quirks.flavour != "openrouter":
        body.pop("provider", None)  # routing has heeded it
    body["model"] = target.model
    losses: list[Loss] = []
    if said.get("stream") == _TRUE:
        told = target.quirks.usage_in_stream
        if told == "asked":
            options = said.get("stream_options", NULL)
            own = {} if is_nothing(options) else members(options, "stream_options")
            body["stream_options"] = {**own, "include_usage": True}
        elif told == "unsupported" and not is_nothing(said.get("stream_options")):
            del body["stream_options"]
            losses.append(Loss("stream_options", f"{target.provider} does not take it"))
    return Outgoing(encode(apply_quirks(body, target, losses)), tuple(losses))


def apply_quirks(body: dict[str, object], target: Target, losses: list[Loss]) -> dict[str, object]:
    """The members under the provider's names, without those that it refuses."""
    quirks = target.quirks
    if not (quirks.drop or quirks.rename):
        return body
    sent: dict[str, object] = {}
    for name, value in body.items():
        if name not in quirks.drop:
            sent[quirks.rename.get(name, name)] = value
        elif value is not None and value != NULL:
            losses.append(Loss(name, f"{target.provider} does not take it"))
    return sent
