"""What a provider's file says of its spelling, applied to a request's top level."""

from __future__ import annotations

from dragoman.core.loss import Loss
from dragoman.core.provider import Quirks
from dragoman.dialects.members import Object
from dragoman.dialects.responses.steps import apply_steps


def apply_quirks(body: Object, quirks: Quirks, losses: list[Loss]) -> Object:
    """The members after the provider's steps, under its names, without those that it refuses."""
    if quirks.steps:
        body = apply_steps(body, quirks.steps)
    if not (quirks.drop or quirks.rename):
        return body
    sent: Object = {}
    for name, value in body.items():
        if name in quirks.drop:
            losses.append(Loss(name, "refused by this provider"))
        else:
            sent[quirks.rename.get(name, name)] = value
    return sent
