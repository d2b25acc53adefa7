"""Reading requests to Gemini's interface the way Google does (`dialects.md` §1.4).

Google knows every name that it takes: a member of another interface is refused, not let be.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from typing import Any
from zlib import crc32

from dragoman.mock.ask import Ask, Json, Refused, Tool, as_dict, as_list, tokens

__all__ = ["UNCHECKED", "counted", "read_contents", "seal", "texts"]

UNCHECKED = "skip_thought_signature_validator"
"""What stands for the signature of a thought that another model had."""
_SEAL = b"mock-thought:"
_MOST_STOPS = 5
_MOST_VECTORS = 100
_NAME = re.compile(r"[A-Za-z_][\w.:-]{0,127}", re.ASCII)
_MEMBERS = frozenset(
    [
        "contents",
        "systemInstruction",
        "tools",
        "toolConfig",
        "safetySettings",
        "generationConfig",
        "cachedContent",
        "labels",
        "serviceTier",
        "store",
        "model",
    ]
)
_SETTINGS = frozenset(
    [
        "temperature",
        "topP",
        "topK",
        "candidateCount",
        "maxOutputTokens",
        "stopSequences",
        "seed",
        "presencePenalty",
        "frequencyPenalty",
        "responseLogprobs",
        "logprobs",
        "responseMimeType",
        "responseSchema",
        "responseJsonSchema",
        "responseModalities",
        "mediaResolution",
        "speechConfig",
        "thinkingConfig",
        "imageConfig",
        "audioTranscriptionConfig",
        "continuationToken",
        "enableEnhancedCivicAnswers",
    ]
)
_CALLERS = frozenset(["args", "response", "labels", "parametersJsonSchema", "responseJsonSchema"])
"""Members whose content has names of the caller's own."""
_NO_SCHEMA = frozenset(["$schema", "$ref", "additionalProperties", "const", "oneOf", "allOf"])
_DATA = frozenset(
    [
        "text",
        "inlineData",
        "fileData",
        "functionCall",
        "functionResponse",
        "executableCode",
        "codeExecutionResult",
        "toolCall",
        "toolResponse",
    ]
)


def seal(words: str) -> str:
    """The signature of a thought, or of the call that came of it."""
    return b64encode(_SEAL + b"%08x" % crc32(words.encode("utf-8", "replace"))).decode()


def read_contents(body: Json, model: str, *, stream: bool = False) -> Ask:
    """What ``generateContent`` is asked."""
    body = _camel(body)
    _known(body, _MEMBERS, "")
    ask = Ask(model=model, stream=stream)
    if "systemInstruction" in body:
        said = as_dict(body["systemInstruction"], "system_instruction")
        ask.input += sum(tokens(str(part.get("text"))) for part in _parts(said, "system")) + 4
    _read_turns(body, ask)
    _read_tools(body, ask)
    _read_settings(as_dict(body.get("generationConfig") or {}, "generation_config"), ask)
    if ask.schema is not None and ask.tools and ask.choice not in {"auto", "none"}:
        raise Refused(
            "Function calling with a response mime type: 'application/json' is unsupported"
        )
    return ask


def counted(body: Json, model: str) -> int:
    """The tokens of what ``countTokens`` is asked about."""
    body = _camel(body)
    whole = body.get("generateContentRequest")
    if whole is not None and "contents" in body:
        raise Refused("Only one of contents and generateContentRequest may be set.")
    if whole is None:
        return read_contents(body, model).input
    asked = as_dict(whole, "generate_content_request")
    if not asked.get("model"):
        raise Refused("* GenerateContentRequest.model: unexpected model name format")
    return read_contents(asked, model).input


def texts(body: Json, *, batch: bool) -> tuple[list[str], Any]:
    """The texts that are to become vectors, and how long those shall be."""
    body = _camel(body)
    rows = as_list(body.get("requests"), "requests") if batch else [body]
    if not 0 < len(rows) <= _MOST_VECTORS:
        raise Refused(
            "* BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch"
        )
    found: list[str] = []
    size: Any = None
    for place, each in enumerate(rows):
        row = as_dict(each, f"requests[{place}]")
        if batch and not str(row.get("model")).startswith("models/"):
            raise Refused("* EmbedContentRequest.model: unexpected model name format")
        parts = _parts(as_dict(row.get("content"), "content"), "content")
        found.append("".join(str(part.get("text") or "") for part in parts))
        size = row.get("outputDimensionality") or size
    return found, size


def _camel(node: Any) -> Any:
    """The same with its names in camel case, where Google takes either spelling."""
    if isinstance(node, list):
        return [_camel(each) for each in node]
    if not isinstance(node, dict):
        return node
    found: Json = {}
    for spelled, value in node.items():
        head, *more = spelled.split("_")
        name = head + "".join(word[:1].upper() + word[1:] for word in more) if head else spelled
        if name == "properties" and isinstance(value, dict):
            found[name] = {key: _camel(each) for key, each in value.items()}
        else:
            found[name] = value if name in _CALLERS else _camel(value)
    return found


def _known(members: Json, names: frozenset[str], where: str) -> None:
    for name in members:
        if name not in names:
            place = f" at '{where}'" if where else ""
            raise Refused(
                f'Invalid JSON payload received. Unknown name "{name}"{place}: Cannot find field.'
            )


def _parts(content: Json, where: str) -> list[Json]:
    return [as_dict(part, where) for part in as_list(content.get("parts"), f"{where}.parts")]


# --------------------------------------------------------------------------- turns


def _read_turns(body: Json, ask: Ask) -> None:
    contents = as_list(body.get("contents") or [], "contents")
    if not contents:
        raise Refused("* GenerateContentRequest.contents: contents is not specified")
    calls, spoken = 0, ""
    for place, each in enumerate(contents):
        where = f"contents[{place}]"
        content = as_dict(each, where)
        role = content.get("role") or "user"
        if role not in {"user", "model", "function"}:
            raise Refused("Please use a valid role: user, model.")
        parts = _parts(content, where)
        if not parts:
            raise Refused(
                f"* GenerateContentRequest.{where}.parts: contents.parts must not be empty."
            )
        results = sum("functionResponse" in part for part in parts)
        if results != calls:
            raise Refused(
                "Please ensure that the number of function response parts is equal to the number "
                "of function call parts of the function call turn."
            )
        calls = sum("functionCall" in part for part in parts)
        if calls and (role != "model" or spoken in {"", "model"}):
            raise Refused(
                "Please ensure that function call turn comes immediately after a user turn or "
                "after a function response turn."
            )
        spoken = role
        ask.input += 4
        _read_parts(parts, where, ask, role)
    if spoken == "model":
        raise Refused("Please ensure that the last turn is a user turn.")


def _read_parts(parts: list[Json], where: str, ask: Ask, role: str) -> None:
    said: list[str] = []
    images: list[str] = []
    results: list[str] = []
    for part in parts:
        held = _DATA & part.keys()
        if len(held) != 1 and not (not held and "thoughtSignature" in part):
            raise Refused(f"* GenerateContentRequest.{where}.parts: required oneof field 'data'")
        _check_seal(part)
        match part:
            case {"text": str(text)}:
                said.append(text)
                ask.input += tokens(text)
            case {"inlineData": dict(blob)}:
                images.append(_blob(blob))
                ask.input += 85
            case {"fileData": {"fileUri": str(_)}}:
                images.append("a file")
                ask.input += 85
            case {"functionCall": {"name": str(name), **call}}:
                given = as_dict(call.get("args") or {}, "function_call.args")
                ask.input += tokens(name) + tokens(str(given)) + 4
            case {"functionResponse": {"name": str(name), "response": dict(response)}} if name:
                told = response.get("output", response.get("error", response))
                results.append(told if isinstance(told, str) else str(told))
                ask.input += tokens(results[-1]) + 4
            case _ if held & {
                "text",
                "inlineData",
                "fileData",
                "functionCall",
                "functionResponse",
            }:
                raise Refused(f"Invalid value at '{where}.parts'")
            case _:  # What Google's own tools have said and done: nothing to do.
                pass
    ask.results = tuple(results)
    if role == "user" and not results:
        ask.prompt, ask.images = "".join(said), tuple(images)


def _check_seal(part: Json) -> None:
    given = part.get("thoughtSignature")
    if given is None or given == UNCHECKED:
        return
    plain = str(given).replace("-", "+").replace("_", "/")
    try:
        known = b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        known = b""
    # A client may encode the word that stands for one as it encodes bytes.
    if not known.startswith(_SEAL) and plain.rstrip("=") != UNCHECKED.replace("_", "/"):
        raise Refused("Thought signature is not valid.")


def _blob(blob: Json) -> str:
    kind = blob.get("mimeType")
    if not kind:
        raise Refused("* inline_data.mime_type: must be set")
    plain = str(blob.get("data")).replace("-", "+").replace("_", "/")
    try:
        size = len(b64decode(plain, validate=True))
    except (binascii.Error, ValueError):
        raise Refused(
            "Invalid value at 'inline_data.data' (TYPE_BYTES), Base64 decoding failed"
        ) from None
    return f"{kind} of {size} bytes"


# --------------------------------------------------------------------------- tools and settings


def _read_tools(body: Json, ask: Ask) -> None:
    offered: list[Tool] = []
    for each in as_list(body.get("tools") or [], "tools"):
        declared = as_dict(each, "tools").get("functionDeclarations") or []
        for function in as_list(declared, "function_declarations"):
            offered.append(_tool(as_dict(function, "function_declarations")))
            ask.input += tokens(str(function)) + 4
    ask.tools = tuple(offered)
    config = as_dict(body.get("toolConfig") or {}, "tool_config").get("functionCallingConfig")
    if config is None:
        return
    if not offered:
        raise Refused("Function calling config is set without function_declarations.")
    allowed = config.get("allowedFunctionNames")
    match config.get("mode", "AUTO"):
        case "ANY" | "VALIDATED" as mode if allowed:
            if set(allowed) - {tool.name for tool in offered}:
                raise Refused("allowed_function_names should be a subset of function_declarations")
            ask.tools = tuple(tool for tool in offered if tool.name in allowed)
            ask.choice = "required" if mode == "ANY" else "auto"
        case _ if allowed:
            raise Refused("allowed_function_names is only allowed when mode is ANY or VALIDATED")
        case "ANY":
            ask.choice = "required"
        case "NONE":
            ask.choice = "none"
        case "AUTO" | "VALIDATED":
            pass
        case mode:
            raise Refused(f"Invalid value at 'function_calling_config.mode': \"{mode}\"")


def _tool(function: Json) -> Tool:
    name = function.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise Refused("Invalid function name. Must start with a letter or an underscore.")
    if "parameters" in function and "parametersJsonSchema" in function:
        raise Refused("Only one of parameters and parameters_json_schema may be set.")
    if "parameters" in function:
        return Tool(name, _schema(function["parameters"], "parameters"))
    return Tool(
        name, as_dict(function.get("parametersJsonSchema") or {}, "parameters_json_schema")
    )


def _schema(given: Any, where: str) -> Json:
    """A schema of Google's own kind in the words of JSON Schema."""
    schema = dict(as_dict(given, where))
    if wrong := _NO_SCHEMA & schema.keys():
        _known({min(wrong): None}, frozenset(), where)
    if "type" in schema:
        schema["type"] = str(schema["type"]).lower()
    if "items" in schema:
        schema["items"] = _schema(schema["items"], f"{where}.items")
    if "anyOf" in schema:
        schema["anyOf"] = [_schema(each, f"{where}.any_of") for each in schema["anyOf"]]
    if "properties" in schema:
        schema["properties"] = {
            name: _schema(each, f"{where}.properties[{name}]")
            for name, each in schema["properties"].items()
        }
    return schema


def _read_settings(settings: Json, ask: Ask) -> None:
    _known(settings, _SETTINGS, "generation_config")
    ask.max_tokens = settings.get("maxOutputTokens")
    ask.n = settings.get("candidateCount") or 1
    ask.stops = tuple(settings.get("stopSequences") or ())
    if len(ask.stops) > _MOST_STOPS:
        raise Refused("The number of stop_sequences must be at most 5.")
    if not -(2**31) <= int(settings.get("seed") or 0) < 2**31:
        raise Refused("Invalid value at 'generation_config.seed' (TYPE_INT32)")
    thinking = as_dict(settings.get("thinkingConfig") or {}, "thinking_config")
    if "thinkingBudget" in thinking and "thinkingLevel" in thinking:
        raise Refused("You can only set only one of thinking budget and thinking level.")
    ask.thinks = bool(thinking.get("includeThoughts")) and thinking.get("thinkingBudget") != 0
    form = settings.get("responseJsonSchema")
    if "responseSchema" in settings:
        form = _schema(settings["responseSchema"], "response_schema")
    asked = settings.get("responseMimeType") == "application/json"
    if form is not None and not asked:
        raise Refused("response_schema requires response_mime_type application/json")
    ask.schema = as_dict(form or {}, "response_schema") if asked else None
