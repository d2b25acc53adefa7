"""An answer as a whole ``chat.completion``, and the words it shares with the stream of chunks."""

from __future__ import annotations

from typing import assert_never

import msgspec
from msgspec import Raw

from dragoman.core.loss import Loss
from dragoman.core.parts import (
    Citation,
    Media,
    Opaque,
    Part,
    Refusal,
    SearchResult,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from dragoman.core.response import Choice, Finish, FinishReason, Response
from dragoman.dialects.base import Context, Written
from dragoman.dialects.chat.citations import write_annotation
from dragoman.dialects.chat.finish import write_finish
from dragoman.dialects.chat.pictures import write_image
from dragoman.dialects.chat.thoughts import details_of, shares_index
from dragoman.dialects.chat.tool_calls import write_call
from dragoman.dialects.chat.usage import TOLD, write_usage
from dragoman.dialects.untold import usage_losses

_ENCODER = msgspec.json.Encoder()
_FOREIGN_PREFIXES = ("msg_", "resp_")


def write_response(response: Response, context: Context) -> Written:
    """The answer for a chat client.

    Raises:
        UpstreamError: the answer ended in a failure, which chat has no finish reason for (P137).
    """
    losses: list[Loss] = []
    body: dict[str, object] = {
        "id": reply_id(response.id, context),
        "object": "chat.completion",
        "created": context.created if response.created is None else response.created,
        "model": response.model or context.model,
        "choices": [_choice(choice, context, losses) for choice in response.choices],
    }
    if response.usage is not None:
        body["usage"] = write_usage(response.usage)
        losses += usage_losses(response.usage, TOLD)
    if response.service_tier is not None or response.system_fingerprint is not None:
        body |= origin(response.service_tier, response.system_fingerprint)
    if context.flavour == "openrouter":
        # Its own client wants the member in every whole reply.
        body.setdefault("system_fingerprint", None)
    return Written(_ENCODER.encode(body), tuple(losses))


def reply_id(given: str, context: Context) -> str:
    """The provider's id under chat's prefix; one made of the call's where there is none (P134)."""
    if not given:
        return f"chatcmpl-{context.call_id.replace('-', '')}"
    if given.startswith(_FOREIGN_PREFIXES):
        return f"chatcmpl-{given.partition('_')[2]}"
    return given


def origin(service_tier: str | None, system_fingerprint: str | None) -> dict[str, object]:
    """Optional members of a reply and of every chunk."""
    known: dict[str, object] = {}
    if service_tier is not None:
        known["service_tier"] = service_tier
    if system_fingerprint is not None:
        known["system_fingerprint"] = system_fingerprint
    return known


def _choice(choice: Choice, context: Context, losses: list[Loss]) -> dict[str, object]:
    finish, parts = choice.finish, choice.parts
    word = _PLAIN_ENDS.get(finish.reason)
    if word is not None and choice.ext is None and len(parts) == 1:
        said = parts[0]
        if isinstance(said, Text) and not said.citations and _is_bare(finish):
            # One text, and an end of which nothing more is told: nearly every answer.
            return {
                "index": choice.index,
                "message": {"role": "assistant", "content": said.text, "refusal": None},
                "logprobs": choice.logprobs,
                "finish_reason": word,
            }
    at = f"choices[{choice.index}]"
    message = _Message(at, losses, legacy=is_legacy(context))
    for part in parts:
        message.add(part)
    losses += finish_losses(finish, at)
    written: dict[str, object] = {
        "index": choice.index,
        "message": message.wire(choice),
        "logprobs": choice.logprobs,
        "finish_reason": finish_word(finish, context, has_calls=message.called),
    }
    written.update(beside_the_finish(finish))
    return written


_PLAIN_ENDS: dict[FinishReason, str] = {"stop": "stop", "length": "length"}
"""Ends that are told by one word, where nothing was called."""


def _is_bare(finish: Finish) -> bool:
    return finish.stop_sequence is None and finish.details is None and finish.explanation is None


def is_legacy(context: Context) -> bool:
    """Whether the caller speaks the deprecated ``functions`` (P68)."""
    return context.request is not None and context.request.legacy_functions


def finish_word(finish: Finish, context: Context, *, has_calls: bool) -> str:
    """The finish reason in the words that the caller knows."""
    word = write_finish(finish, has_calls=has_calls)
    return "function_call" if word == "tool_calls" and is_legacy(context) else word


def beside_the_finish(finish: Finish) -> dict[str, object]:
    """What the provider says of the end and chat has no word for, as members of the choice.

    A refusal's explanation is the provider's word and not the model's (P138): it stands in
    ``stop_details`` as it came, and not in ``message.refusal``.
    """
    found: dict[str, object] = {}
    if finish.reason in {"unknown", "refusal"} and finish.raw:
        found["native_finish_reason"] = finish.raw
    if finish.details is not None:
        found["stop_details"] = finish.details
    elif finish.explanation is not None:
        found["stop_details"] = {"type": finish.reason, "explanation": finish.explanation}
    return found


def finish_losses(finish: Finish, at: str) -> list[Loss]:
    """What the finish says and chat has no word for."""
    if finish.reason == "pause":
        return [Loss(f"{at}.finish_reason", "chat cannot say that a turn is paused", "changed")]
    if finish.stop_sequence is not None:
        return [Loss(f"{at}.stop_sequence", "chat does not say which stop sequence was met")]
    return []


class _Message:
    """Collects an answer's parts into chat's one message."""

    __slots__ = (
        "annotations",
        "at",
        "audio",
        "calls",
        "details",
        "images",
        "legacy",
        "length",
        "losses",
        "refusals",
        "texts",
        "thinking",
        "thought",
        "thoughts",
    )

    def __init__(self, at: str, losses: list[Loss], *, legacy: bool) -> None:
        self.at = at
        self.losses = losses
        self.legacy = legacy
        self.length = 0
        self.thoughts = 0
        self.thought: Thinking | None = None
        self.texts: list[str] = []
        self.refusals: list[str] = []
        self.thinking: list[str] = []
        self.details: list[dict[str, object]] = []
        self.annotations: list[object] = []
        self.calls: list[ToolCall] = []
        self.images: list[dict[str, object]] = []
        self.audio: Raw | None = None

    @property
    def called(self) -> bool:
        """Whether the caller is asked to do something."""
        return bool(self.calls)

    def add(self, part: Part) -> None:
        """One more part of the answer."""
        match part:
            case Text():
                start, self.length = self.length, self.length + len(part.text)
                self.texts.append(part.text)
                if part.citations:
                    self._cite(part.citations, start)
            case Refusal():
                self.refusals.append(part.text)
            case Thinking():
                self.thinking.append(part.text)
                if self.thought is not None and not shares_index(self.thought, part):
                    self.thoughts += 1
                self.thought = part
                self.details += details_of(part, self.thoughts)
            case ToolCall():
                self.calls.append(part)
            case Media():
                image = write_image(part)
                if image is None:
                    self.lose(part.kind)
                else:
                    self.images.append(image)
            case Opaque(dialect="chat", kind="audio"):
                self.audio = part.payload
            case Opaque():
                self.lose(part.kind)
            case SearchResult() | ToolResult():
                self.lose(type(part).__name__)
            case _:
                assert_never(part)

    def lose(self, what: str) -> None:
        """Notes a part that chat cannot say."""
        self.losses.append(Loss(f"{self.at}.message.{what}", "chat has no place for it"))

    def _cite(self, citations: tuple[Citation, ...], start: int) -> None:
        for citation in citations:
            annotation = write_annotation(citation, start, self.length)
            if annotation is None:
                self.lose("citation")
            else:
                self.annotations.append(annotation)

    def wire(self, choice: Choice) -> dict[str, object]:
        """The message; members that say nothing are left out."""
        silent = bool(self.calls or self.refusals or self.audio is not None)
        message: dict[str, object] = {
            "role": "assistant",
            "content": "".join(self.texts) if self.texts or not silent else None,
            "refusal": "".join(self.refusals) or None,
        }
        if thought := "".join(self.thinking):
            message["reasoning_content"] = thought
        if self.details:
            message["reasoning_details"] = self.details
        if annotations := self.annotations + own_annotations(choice):
            message["annotations"] = annotations
        if self.images:
            message["images"] = self.images
        if self.audio is not None:
            message["audio"] = self.audio
        if self.calls:
            message.update(self._called(cut=choice.finish.reason == "length"))
        return message

    def _called(self, *, cut: bool) -> dict[str, object]:
        """The calls; without arguments they say ``{}`` (P34) unless they were cut off.

        A legacy caller knows one call only: several are told as tool calls.
        """
        calls = self.calls if cut else [_spelled(call) for call in self.calls]
        if self.legacy and len(calls) == 1 and calls[0].kind == "function":
            return {"function_call": {"name": calls[0].name, "arguments": calls[0].arguments}}
        return {"tool_calls": [write_call(call) for call in calls]}


def _spelled(call: ToolCall) -> ToolCall:
    if call.kind == "function" and not call.arguments.strip():
        return msgspec.structs.replace(call, arguments="{}")
    return call


def own_annotations(choice: Choice) -> list[object]:
    """Annotations that only a chat provider could say, which come back as they were."""
    if choice.ext is None:
        return []
    kept = (choice.ext.get("chat") or {}).get("annotations")
    return [] if kept is None else list(msgspec.json.decode(kept, type=list[Raw]))
