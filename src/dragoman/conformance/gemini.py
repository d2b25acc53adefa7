"""Gemini's dialect, as the checks know it."""

from __future__ import annotations

from typing import Any

from dragoman.conformance.parts import (
    PIXEL,
    TOOL,
    Call,
    Question,
    Told,
    frames,
    member,
    parsed,
    wanted,
)

_FINISHES = {"STOP": "stop", "MAX_TOKENS": "length"}
_SCHEMA = {
    "type": "OBJECT",
    "properties": {"city": {"type": "STRING"}},
    "required": ["city"],
}


class Gemini:
    """``/v1beta/models/MODEL:generateContent``."""

    name = "gemini"
    streams_as = "text/event-stream"
    stops = True

    def headers(self, key: str) -> dict[str, str]:
        """Google's header."""
        return {"x-goog-api-key": key}

    def ask(self, model: str, question: Question, *, stream: bool) -> tuple[str, dict[str, Any]]:
        """Path and body."""
        parts: list[dict[str, Any]] = [{"text": question.text}]
        if question.image:
            parts.append({"inlineData": {"mimeType": "image/png", "data": PIXEL}})
        contents: list[dict[str, Any]] = [{"role": "user", "parts": parts}]
        if call := question.done:
            contents.append({"role": "model", "parts": [call.raw]})
            result: dict[str, Any] = {"name": TOOL, "response": {"output": "Sunny."}}
            if call.id:
                result["id"] = call.id
            contents.append({"role": "user", "parts": [{"functionResponse": result}]})
        config: dict[str, Any] = {"maxOutputTokens": question.limit}
        body: dict[str, Any] = {"contents": contents, "generationConfig": config}
        if question.system:
            body["systemInstruction"] = {"parts": [{"text": question.system}]}
        if question.tool or question.done:
            declared = {"name": TOOL, "description": "The weather.", "parameters": _SCHEMA}
            body["tools"] = [{"functionDeclarations": [declared]}]
        if question.tool:
            forced = {"mode": "ANY", "allowedFunctionNames": [TOOL]}
            body["toolConfig"] = {"functionCallingConfig": forced}
        if question.stop:
            config["stopSequences"] = [question.stop]
        if question.schema:
            config |= {"responseMimeType": "application/json", "responseSchema": _SCHEMA}
        method = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return f"/v1beta/models/{model}:{method}", body

    def whole(self, body: dict[str, Any]) -> Told:
        """A ``GenerateContentResponse``."""
        return _told([body])

    def stream(self, data: bytes) -> Told:
        """Chunks of the same shape, the finish on the last; no end mark."""
        return _told([parsed(payload) for _, payload in frames(data)])

    def error(self, body: dict[str, Any], status: int) -> None:
        """``{"error": {"code", "message", "status"}}``."""
        error = member(body, "error", dict)
        wanted(member(error, "code", int) == status, "error.code is not the status")
        member(error, "message", str)
        named = member(error, "status", str)
        wanted(named == named.upper(), f"error.status is {named}, no name of Google's")


def _told(chunks: list[dict[str, Any]]) -> Told:
    text, finish, usage, id_ = "", "", None, ""
    calls: list[Call] = []
    for chunk in chunks:
        wanted("error" not in chunk, "the stream tells of an error")
        usage = chunk.get("usageMetadata") or usage
        id_ = chunk.get("responseId") or id_
        for candidate in chunk.get("candidates") or ():
            parts = (candidate.get("content") or {}).get("parts") or ()
            wanted(not (finish and parts), "content follows the finish reason")
            for part in parts:
                if call := part.get("functionCall"):
                    arguments = call.get("args") or {}
                    id_, name = call.get("id") or "", member(call, "name", str)
                    calls.append(Call(id_, name, arguments, part))
                elif not part.get("thought"):
                    text += part.get("text") or ""
            finish = candidate.get("finishReason") or finish
    wanted(finish, "no finishReason came")
    for name in ("promptTokenCount", "totalTokenCount"):
        member(member({"usageMetadata": usage}, "usageMetadata", dict), name, int)
    spent = (usage or {}).get("candidatesTokenCount")
    ended = _FINISHES.get(finish, finish)
    return Told(text, calls, "tools" if calls and ended == "stop" else ended, id_, spent)
