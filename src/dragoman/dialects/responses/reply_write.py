"""Parts → output items, and an answer as a whole response.

Neighbouring texts share one message, each as a content part of it; everything else is an item of
its own. The stream of events is written by the same words (``stream_write``).
"""

from __future__ import annotations

from typing import Any, assert_never

import msgspec
from msgspec import Raw, Struct

from dragoman.core.loss import Loss
from dragoman.core.parts import (
    Citation,
    Inline,
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
from dragoman.core.request import FunctionTool
from dragoman.core.response import Choice, Finish, Response
from dragoman.dialects.base import Context, Written
from dragoman.dialects.members import Object
from dragoman.dialects.responses.annotations import write_annotation
from dragoman.dialects.responses.echo import head, hex_of
from dragoman.dialects.responses.envelope import state_of
from dragoman.dialects.responses.finish import BROKEN, broken_finish, incomplete_reason
from dragoman.dialects.responses.usage import TOLD, write_usage
from dragoman.dialects.responses.wire import BAD_JSON, DIALECT, encode, own
from dragoman.dialects.responses.write import TIERS
from dragoman.dialects.untold import tier_losses, usage_losses


class _Logprobs(Struct, frozen=True):
    content: list[Raw] | None = None
    refusal: list[Raw] | None = None


_LOGPROBS = msgspec.json.Decoder(_Logprobs)
_OBJECT = msgspec.json.Decoder(dict[str, Raw])


def write_response(response: Response, context: Context) -> Written:
    """The answer for a client of this dialect.

    Raises:
        UpstreamError: the answer ended in a failure, which is no response (P137).
    """
    losses = [answer_loss(choice.index) for choice in response.choices[1:]]
    choice = response.choices[0] if response.choices else Choice((), Finish("unknown"))
    if choice.finish.reason in BROKEN:
        raise broken_finish(choice.finish)
    body = head(response.id, response.model, response.created, response.service_tier, context)
    body["output"] = _output(choice, context, losses)
    body.update(ending(choice.finish))
    losses += [*finish_losses(choice.finish), *tier_losses(response.service_tier, TIERS)]
    body["usage"] = write_usage(response.usage)
    losses += usage_losses(response.usage, TOLD)
    return Written(encode(body), tuple(losses))


def _output(choice: Choice, context: Context, losses: list[Loss]) -> list[Object]:
    items: list[Object] = []
    message: Object | None = None
    tokens = tokens_of(choice.logprobs)
    for number, part in enumerate(choice.parts):
        if isinstance(part, (Text, Refusal)):
            if not part.text:
                continue
            if message is None:
                message = message_item(context, len(items))
                items.append(message)
            if isinstance(part, Refusal):
                message["content"].append(refusal_part(part.text))
                continue
            notes = notes_of(part.citations, len(part.text), number, losses)
            message["content"].append(text_part(part.text, notes, tokens))
            tokens = []
            mark_phase(message, part)
            continue
        if isinstance(part, Thinking) and not (part.text or part.signature or part.encrypted):
            continue
        message = None
        item = write_item(part, context, len(items))
        if item is None:
            losses.append(part_loss(number))
        else:
            items.append(item)
    finish_items(items, choice.finish)
    return items


# --------------------------------------------------------------------------- the end


def ending(finish: Finish) -> Object:
    """``status`` and what explains it."""
    reason = incomplete_reason(finish)
    body: Object = {"status": "completed" if reason is None else "incomplete"}
    if reason is not None:
        body["incomplete_details"] = {"reason": reason}
    if finish.details is not None:
        body["stop_details"] = finish.details
    elif finish.explanation is not None:
        body["stop_details"] = {"type": finish.reason, "explanation": finish.explanation}
    return body


def finish_items(items: list[Object], finish: Finish) -> None:
    """The last item of an answer that was cut short is incomplete itself."""
    if items and incomplete_reason(finish) is not None and "status" in items[-1]:
        items[-1]["status"] = "incomplete"


def finish_losses(finish: Finish) -> list[Loss]:
    """What the finish says and this dialect has no word for."""
    if finish.reason == "pause":
        return [Loss("status", "this dialect cannot say that a turn is paused", "changed")]
    if finish.stop_sequence is not None:
        return [Loss("stop_sequence", "this dialect does not say which stop sequence was met")]
    return []


def answer_loss(index: int) -> Loss:
    """Any answer but the first: this dialect has one (P115)."""
    return Loss(f"choices[{index}]", "one answer only")


def part_loss(number: int) -> Loss:
    """A part that this dialect cannot say."""
    return Loss(f"content[{number}]", "not in this dialect")


# --------------------------------------------------------------------------- items


def message_item(context: Context, number: int) -> Object:
    """An empty message of the assistant's."""
    return {
        "id": f"msg_{hex_of(context)}{number:02x}",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [],
    }


def mark_phase(message: Object, part: Text) -> None:
    """What rides on the first text of a message (P191)."""
    if "phase" in own(part.ext):
        message["phase"] = own(part.ext)["phase"]


def text_part(text: str, notes: list[Any], tokens: list[Raw]) -> Object:
    """A content part of words."""
    return {"type": "output_text", "annotations": notes, "logprobs": tokens, "text": text}


def refusal_part(text: str) -> Object:
    """A content part of words of refusal (P86)."""
    return {"type": "refusal", "refusal": text}


def notes_of(
    citations: tuple[Citation, ...], length: int, number: int, losses: list[Loss]
) -> list[Any]:
    """The citations of a text that can be said here."""
    notes: list[Any] = []
    for citation in citations:
        note = write_annotation(citation, length)
        if note is None:
            losses.append(citation_loss(number))
        else:
            notes.append(note)
    return notes


def citation_loss(number: int) -> Loss:
    """A citation of another dialect that points at nothing this one knows."""
    return Loss(f"content[{number}].citations", "citations of another dialect")


def tokens_of(logprobs: Raw | bytes | None) -> list[Raw]:
    """Log probabilities of the text."""
    if logprobs is None:
        return []
    try:
        found = _LOGPROBS.decode(logprobs)
    except msgspec.MsgspecError:
        return []
    return list(found.content or ())


def write_item(part: Part, context: Context, number: int) -> Object | None:
    """The item of a part that is no text; None where this dialect has no way to say it."""
    match part:
        case Thinking():
            return reasoning_item(part, context, number)
        case ToolCall():
            return call_item(part, context, number)
        case Media():
            return _picture(part, context, number)
        case Opaque():
            return dict(msgspec.json.decode(part.payload)) if part.dialect == DIALECT else None
        case Text() | Refusal() | SearchResult() | ToolResult():
            return None
        case _:
            assert_never(part)


def reasoning_item(part: Thinking, context: Context, number: int) -> Object:
    """Reasoning: a summary as such, raw words as content, and the state that has to come back."""
    item: Object = {
        "id": reasoning_id(part, context, number),
        "type": "reasoning",
        "summary": [],
    }
    if part.text and part.summary:
        item["summary"] = [{"type": "summary_text", "text": part.text}]
    elif part.text:
        item["content"] = [{"type": "reasoning_text", "text": part.text}]
    state = state_of(part, context.envelope)
    if state is not None:
        item["encrypted_content"] = state
    return item


def reasoning_id(part: Thinking, context: Context, number: int) -> str:
    """The item's own id, or one that hangs on the call."""
    own_id = part.id if part.family == DIALECT else None
    return own_id or f"rs_{hex_of(context)}{number:02x}"


def call_item(part: ToolCall, context: Context, number: int) -> Object:
    """A call of one of the caller's tools; no arguments at all are ``{}`` (P34)."""
    asked = offered(part, context)
    if "execution" in asked:
        return _search_item(part, context, number)
    custom = part.kind == "custom"
    prefix = "ctc" if custom else "fc"
    item: Object = {
        "id": part.item_id or f"{prefix}_{hex_of(context)}{number:02x}",
        "type": "custom_tool_call" if custom else "function_call",
        "status": "completed",
        "call_id": part.id or f"call_{hex_of(context)[:20]}{number:02x}",
        "name": part.name,
    }
    words = part.arguments if custom or part.arguments.strip() else "{}"
    item["input" if custom else "arguments"] = words
    item.update(own(part.ext))
    if "namespace" in asked:
        item.setdefault("namespace", asked["namespace"])
    return item


def offered(part: ToolCall, context: Context) -> dict[str, Raw]:
    """What the called function is to the caller beyond a function: one of a group, a search."""
    for tool in context.request.tools if context.request is not None else ():
        if isinstance(tool, FunctionTool) and tool.name == part.name:
            return own(tool.ext)
    return {}


def _search_item(part: ToolCall, context: Context, number: int) -> Object:
    """A search for tools that the caller's program runs; its arguments are an object."""
    try:
        arguments: object = _OBJECT.decode(part.arguments or "{}")
    except BAD_JSON:
        arguments = {"query": part.arguments}
    return {
        "id": f"tsc_{hex_of(context)}{number:02x}",
        "type": "tool_search_call",
        "status": "completed",
        "call_id": part.id or f"call_{hex_of(context)[:20]}{number:02x}",
        "execution": "client",
        "arguments": arguments,
    }


def _picture(part: Media, context: Context, number: int) -> Object | None:
    """A picture that the model made; what it said aloud has no place here."""
    if part.kind != "image" or not isinstance(part.source, Inline):
        return None
    return {
        "id": f"ig_{hex_of(context)}{number:02x}",
        "type": "image_generation_call",
        "status": "completed",
        "result": part.source.data,
        "output_format": part.source.mime.partition("/")[2],
    }
