"""Whole legacy completions: read, written, and tapped on their way through."""

from __future__ import annotations

from msgspec import Raw

from dragoman.core.loss import Loss
from dragoman.core.parts import Media, Part, Refusal, Text, Thinking
from dragoman.core.response import Choice, Finish, Response
from dragoman.dialects.base import Context, Tapped, Target, Undo, Written
from dragoman.dialects.completions import wire
from dragoman.dialects.completions.errors import DONE, Errors, broken_finish, malformed
from dragoman.dialects.completions.logprobs import read_logprobs, write_logprobs
from dragoman.dialects.completions.wire import ChoiceWire, encode
from dragoman.dialects.halves import mend
from dragoman.dialects.untold import stop_losses, tier_losses, usage_losses


class Replies:
    """Reading and writing of whole replies, with the errors that may stand in their place."""

    __slots__ = ("_errors",)

    def __init__(self, errors: Errors) -> None:
        self._errors = errors

    def read(self, body: bytes, target: Target, undo: Undo) -> Response:
        """The completion in canonical form.

        Raises:
            UpstreamError: there is none, or an error stands in its place.
        """
        del undo  # nothing of a request in this dialect has to be changed back
        reply = self._errors.open(body)
        choices = reply.choices or [ChoiceWire()]
        for choice in choices:
            finish = wire.read_finish(choice.finish_reason)
            if finish.reason in wire.BROKEN:
                raise broken_finish(finish.reason)
        return Response(
            id=reply.id or "",
            model=reply.model or target.model,
            created=None if reply.created is None else int(reply.created),
            choices=tuple(_choice(choice, place) for place, choice in enumerate(choices)),
            usage=wire.read_usage(reply.usage),
            system_fingerprint=reply.system_fingerprint or None,
        )

    def tap(self, body: bytes, target: Target, context: Context) -> Tapped:
        """The provider's own bytes, and what they say about the call.

        Raises:
            UpstreamError: there is no completion in them.
        """
        reply = self._errors.open(body)
        if reply.choices is None:
            raise malformed()
        if reply.model is None:
            members = {"model": context.model or target.model, **_without_model(body)}
            body = encode(members)
        first = reply.choices[0] if reply.choices else ChoiceWire()
        finish = wire.read_finish(first.finish_reason)
        return Tapped(body, wire.read_usage(reply.usage), finish, reply.id or None, reply.model)

    def frames(self, body: bytes) -> bytes:
        """A whole reply as the stream that says the same (P11): a chunk has its very shape.

        Raises:
            UpstreamError: there is no completion in it.
        """
        if self._errors.open(body).choices is None:
            raise malformed()
        return b"data: " + encode(wire.members(body)).replace(b"\n", b" ") + b"\n\n" + DONE


def _without_model(body: bytes) -> dict[str, Raw]:
    found = wire.members(body)
    found.pop("model", None)
    return found


def _choice(choice: ChoiceWire, place: int) -> Choice:
    logprobs = read_logprobs(choice.logprobs)
    return Choice(
        parts=(Text(choice.text),) if choice.text else (),
        finish=wire.read_finish(choice.finish_reason),
        index=place if choice.index is None else choice.index,
        logprobs=None if logprobs is None else Raw(logprobs),
    )


# --------------------------------------------------------------------------- writing


def completion_id(given: str, context: Context) -> str:
    """The provider's id, or one that hangs on the call."""
    return given or f"cmpl-{context.call_id[:29]}"


def head_of(
    given: str, model: str, created: int | None, fingerprint: str | None, context: Context
) -> dict[str, object]:
    """What is the same in every chunk of an answer (P24)."""
    head: dict[str, object] = {
        "id": completion_id(given, context),
        "object": "text_completion",
        "created": context.created if created is None else created,
        "model": model or context.model,
    }
    return head if fingerprint is None else {**head, "system_fingerprint": fingerprint}


def words_of(part: Part) -> str | None:
    """The part as text; None where this dialect has no way to say it."""
    match part:
        case Text() | Refusal():
            return part.text
        case Media():
            return part.transcript
        case _:
            return None


def loss_of(part: Part, choice: int, number: int) -> Loss:
    """What of an answer is no text."""
    what = "reasoning" if isinstance(part, Thinking) else "not_in_dialect"
    return Loss(f"choices[{choice}].content[{number}]", what)


def citation_loss(choice: int, number: int) -> Loss:
    """Citations: text alone has no place for them."""
    return Loss(f"choices[{choice}].content[{number}].citations", "not_in_dialect")


def finish_losses(finish: Finish, choice: int) -> list[Loss]:
    """What the finish says and this dialect has no word for."""
    if finish.reason == "pause":
        return [Loss(f"choices[{choice}].finish_reason", "a pause is told as stop", "changed")]
    return stop_losses(finish, f"choices[{choice}]")


def write_response(response: Response, context: Context) -> Written:
    """A whole completion.

    Raises:
        UpstreamError: the provider ended in a way that is no answer (P137).
    """
    losses: list[Loss] = []
    choices: list[object] = []
    for choice in response.choices:
        if choice.finish.reason in wire.BROKEN:
            raise broken_finish(choice.finish.reason)
        words: list[str] = []
        for number, part in enumerate(choice.parts):
            said = words_of(part)
            if said is None:
                losses.append(loss_of(part, choice.index, number))
                continue
            words.append(said)
            if isinstance(part, Text) and part.citations:
                losses.append(citation_loss(choice.index, number))
        losses += finish_losses(choice.finish, choice.index)
        logprobs = None if choice.logprobs is None else write_logprobs(choice.logprobs, 0)
        choices.append(
            {
                "text": mend("".join(words)),
                "index": choice.index,
                "logprobs": None if logprobs is None else logprobs[0],
                "finish_reason": wire.write_finish(choice.finish),
            }
        )
    head = head_of(
        response.id, response.model, response.created, response.system_fingerprint, context
    )
    body = {**head, "choices": choices, "usage": wire.write_usage(response.usage)}
    losses += usage_losses(response.usage, wire.TOLD) + tier_losses(response.service_tier)
    return Written(encode(body), tuple(losses))
