"""A whole message as the stream that says the same (P11).

For a provider that answered whole although a stream was asked for. The caller is of this
dialect too, or a reader of it follows; hence every member is kept as it was written.
"""

from __future__ import annotations

from msgspec import Raw

from dragoman.dialects.anthropic import wire
from dragoman.dialects.anthropic.error import read_stream_error
from dragoman.dialects.anthropic.stream_write import frame
from dragoman.dialects.anthropic.wire import WireError, encode
from dragoman.dialects.broken import not_understood

_GROWS = {"text": ("text", "text_delta"), "thinking": ("thinking", "thinking_delta")}
_EMPTY = Raw(b'""')


def response_frames(body: bytes) -> bytes:
    """The frames of a whole reply.

    Raises:
        UpstreamError: the body is an error, or no message.
    """
    try:
        message = wire.members(body, "reply")
        if wire.kind(Raw(body)) == "error":
            raise read_stream_error(body)
        return b"".join(_frames(message))
    except (WireError, KeyError):
        raise not_understood("a reply") from None


def _frames(message: dict[str, Raw]) -> list[bytes]:
    blocks = wire.items(message["content"], "content")
    null = wire.NULL
    usage = message.get("usage", Raw(b'{"input_tokens":0,"output_tokens":0}'))
    start = message | {"content": Raw(b"[]"), "stop_reason": null, "stop_sequence": null}
    start["usage"] = usage
    start.pop("stop_details", None)
    frames = [frame({"type": "message_start", "message": start})]
    for index, raw in enumerate(blocks):
        frames += _block(wire.members(raw, f"content[{index}]"), wire.kind(raw), index)
    delta: dict[str, object] = {
        name: message[name]
        for name in ("stop_reason", "stop_sequence", "stop_details", "container")
        if name in message
    }
    told: dict[str, object] = {"type": "message_delta", "delta": delta, "usage": usage}
    if "context_management" in message:
        told["context_management"] = message["context_management"]
    return [*frames, frame(told), frame({"type": "message_stop"})]


def _block(block: dict[str, Raw], kind: str | None, index: int) -> list[bytes]:
    deltas: list[dict[str, object]] = []
    start = dict(block)
    if kind in _GROWS and (name := _GROWS[kind][0]) in block:
        start[name] = _EMPTY
        deltas.append({"type": _GROWS[kind][1], name: block[name]})
    if kind == "text" and not wire.is_null(block.get("citations")):
        start["citations"] = Raw(b"[]")
        deltas += [
            {"type": "citations_delta", "citation": citation}
            for citation in wire.items(block["citations"], "citations")
        ]
    if kind == "thinking" and "signature" in block:
        start["signature"] = _EMPTY
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
    if kind in {"tool_use", "server_tool_use", "mcp_tool_use"} and "input" in block:
        start["input"] = Raw(b"{}")
        text = Raw(encode(wire.compact(block["input"])))
        deltas.append({"type": "input_json_delta", "partial_json": text})
    return [
        frame({"type": "content_block_start", "index": index, "content_block": start}),
        *(frame({"type": "content_block_delta", "index": index, "delta": d}) for d in deltas),
        frame({"type": "content_block_stop", "index": index}),
    ]
