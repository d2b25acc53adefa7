"""What callers can ask for, each in the words of every dialect that can say it: the rows of docs/policy.md.

A probe has what is said, the ``ground`` that it stands on (the same request without it), and
``needles``: values that a provider must find again, if it is told at all and nothing is reported. A
feature that other dialects say in words of their own (an effort, a choice of tools) has none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Probe:
    """A feature in one dialect's words."""

    said: Json
    ground: Json = field(default_factory=dict)
    needles: tuple[Any, ...] = ()
    thinks: bool = False
    """Whether it is asked of a model that reasons."""


@dataclass(frozen=True)
class Feature:
    """A row: its name, and how each dialect says it."""

    name: str
    says: dict[str, Probe]


SCHEMA = {
    "type": "object",
    "properties": {"needle_a": {"type": "string"}},
    "required": ["needle_a"],
    "additionalProperties": False,
}
EMPTY = {"type": "object", "properties": {}}
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
PDF = "JVBERi0xLjQKJeLjz9MK"
WAV = "UklGRiQAAABXQVZFZm10IA=="
HI: Json = {"role": "user", "content": "hi"}
SAID: Json = {"role": "assistant", "content": "a"}

# ------------------------------------------------------------------------- small words of each dialect


def plain(dialect: str) -> Json:
    """The smallest request of a dialect."""
    match dialect:
        case "anthropic":
            return {"model": "m", "max_tokens": 40000, "messages": [HI]}
        case "gemini":
            return {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
        case "responses":
            return {"model": "m", "input": [HI]}
        case "ollama":
            return {"model": "m", "stream": False, "messages": [HI]}
        case "generate":
            return {"model": "m", "stream": False, "prompt": "hi"}
        case "completions":
            return {"model": "m", "prompt": "hi"}
        case _:
            return {"model": "m", "messages": [HI]}


def _same(names: str, said: Json, *needles: Any, ground: Json | None = None) -> dict[str, Probe]:
    return {name: Probe(said, ground or {}, needles) for name in names.split()}


def _config(said: Json, *needles: Any, thinks: bool = False) -> dict[str, Probe]:
    return {"gemini": Probe({"generationConfig": said}, {}, needles, thinks=thinks)}


def _options(said: Json, *needles: Any) -> dict[str, Probe]:
    return _same("ollama generate", {"options": said}, *needles)


def _chat_tool(name: str = "f", **more: Any) -> Json:
    function = {"name": name, "description": "needle-tool", "parameters": EMPTY, **more}
    return {"type": "function", "function": function}


def _flat_tool(name: str = "f", **more: Any) -> Json:
    return {
        "type": "function", "name": name, "description": "needle-tool", "parameters": EMPTY,
        "strict": False, **more,
    }  # fmt: skip


def _claude_tool(name: str = "f", **more: Any) -> Json:
    return {"name": name, "description": "needle-tool", "input_schema": EMPTY, **more}


def _google_tools(*names: str) -> list[Json]:
    return [
        {
            "functionDeclarations": [
                {"name": name, "description": "needle-tool", "parametersJsonSchema": EMPTY}
                for name in names
            ]
        }
    ]


TOOLS: dict[str, Json] = {
    "chat": {"tools": [_chat_tool(), _chat_tool("g")]},
    "responses": {"tools": [_flat_tool(), _flat_tool("g")]},
    "anthropic": {"tools": [_claude_tool(), _claude_tool("g")]},
    "gemini": {"tools": _google_tools("f", "g")},
    "ollama": {"tools": [_chat_tool(), _chat_tool("g")]},
}
"""Two functions on offer."""


def _choice(**said: Json) -> dict[str, Probe]:
    return {name: Probe({**TOOLS[name], **choice}, TOOLS[name]) for name, choice in said.items()}


def _mode(mode: str, *names: str) -> Json:
    config: Json = {"mode": mode} | ({"allowedFunctionNames": list(names)} if names else {})
    return {"toolConfig": {"functionCallingConfig": config}}


def _user(**parts: Json) -> dict[str, Probe]:
    """A part of the user's message; the needles are the longest words in it."""
    found = {}
    for dialect, part in parts.items():
        if dialect == "gemini":
            said: Json = {"contents": [{"role": "user", "parts": [{"text": "hi"}, part]}]}
        elif dialect == "responses":
            content = [{"type": "input_text", "text": "hi"}, part]
            said = {"input": [{"role": "user", "content": content}]}
        elif dialect in {"ollama", "generate"}:
            said = {"messages": [{**HI, **part}]} if dialect == "ollama" else part
        else:
            content = [{"type": "text", "text": "hi"}, part]
            said = {"messages": [{"role": "user", "content": content}]}
        found[dialect] = Probe(said, {}, _words(part))
    return found


def _beside(ground: dict[str, Probe], said: dict[str, Probe], *needles: Any) -> dict[str, Probe]:
    """What the second says and the first does not."""
    return {name: Probe(said[name].said, ground[name].said, needles) for name in said}


def _words(part: Any) -> tuple[str, ...]:
    """What stands for the part: its bytes, address or words."""
    text = str(part)
    return tuple(each for each in (PNG, PDF, WAV, "example.org/y", "needle-words") if each in text)


_CALLS: dict[str, list[Json]] = {
    "chat": [
        HI,
        {
            "role": "assistant",
            "tool_calls": [
                {"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
            ],
        },
    ],
    "responses": [
        HI,
        {"type": "function_call", "call_id": "t1", "name": "f", "arguments": "{}"},
    ],
    "anthropic": [
        HI,
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {}}],
        },
    ],
    "gemini": [
        {"role": "user", "parts": [{"text": "hi"}]},
        {"role": "model", "parts": [{"functionCall": {"id": "t1", "name": "f", "args": {}}}]},
    ],
    "ollama": [
        HI,
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "t1", "function": {"name": "f", "arguments": {}}}],
        },
    ],
}


def _turn(dialect: str, result: Any, **more: Any) -> Json:
    """A conversation in which a tool answered."""
    if dialect == "chat":
        last: Json = {"role": "tool", "tool_call_id": "t1", "content": result, **more}
    elif dialect == "responses":
        last = {"type": "function_call_output", "call_id": "t1", "output": result, **more}
    elif dialect == "anthropic":
        block = {"type": "tool_result", "tool_use_id": "t1", "content": result, **more}
        last = {"role": "user", "content": [block]}
    elif dialect == "gemini":
        response = {"functionResponse": {"id": "t1", "name": "f", "response": result, **more}}
        last = {"role": "user", "parts": [response]}
    else:
        last = {"role": "tool", "tool_name": "f", "tool_call_id": "t1", "content": result}
    member = {"gemini": "contents", "responses": "input"}.get(dialect, "messages")
    return {**TOOLS[dialect], member: [*_CALLS[dialect], last]}


def _result(*needles: Any, ground: bool = False, **results: tuple[Any, Json]) -> dict[str, Probe]:
    found = {}
    for dialect, (result, more) in results.items():
        before = _turn(dialect, {"output": "r"} if dialect == "gemini" else "r")
        found[dialect] = Probe(
            _turn(dialect, result, **more), before if ground else TOOLS[dialect], needles
        )
    return found


def _history(dialect: str, *parts: Json) -> Json:
    """What the assistant said before, between two turns of the user's."""
    if dialect == "gemini":
        user = {"role": "user", "parts": [{"text": "hi"}]}
        return {"contents": [user, {"role": "model", "parts": list(parts)}, user]}
    if dialect == "responses":
        return {"input": [HI, *parts, HI]}
    if dialect == "anthropic":
        return {"messages": [HI, {"role": "assistant", "content": list(parts)}, HI]}
    return {"messages": [HI, {"role": "assistant", "content": "a", **parts[0]}, HI]}


_BEFORE = {
    "chat": _history("chat", {}),
    "responses": _history("responses", SAID),
    "anthropic": _history("anthropic", {"type": "text", "text": "a"}),
    "gemini": _history("gemini", {"text": "a"}),
    "ollama": _history("ollama", {}),
}


def _recalled(*needles: Any, **parts: tuple[Json, ...]) -> dict[str, Probe]:
    return {
        dialect: Probe(_history(dialect, *said), _BEFORE[dialect], needles, thinks=True)
        for dialect, said in parts.items()
    }


def _thinks(name: str, said: Json, *needles: Any) -> dict[str, Probe]:
    return {name: Probe(said, {}, needles, thinks=True)}


def _beside_members(needles: tuple[Any, ...] = (), **pairs: tuple[Json, Json]) -> dict[str, Probe]:
    return {name: Probe(said, ground, needles) for name, (ground, said) in pairs.items()}


def _form(**more: Any) -> Json:
    return {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, **more}}


def _flat_form(**more: Any) -> Json:
    return {"type": "json_schema", "name": "n", "schema": SCHEMA, **more}


def _image(**more: str) -> Json:
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", **more}}


def _flat_image(detail: str) -> Json:
    return {"type": "input_image", "detail": detail, "image_url": f"data:image/png;base64,{PNG}"}


def _claude_pdf(**more: Any) -> Json:
    source = {"type": "base64", "media_type": "application/pdf", "data": PDF}
    return {"type": "document", "source": source, **more}


def _found(**more: Any) -> Json:
    """A search result of the caller's."""
    words = [{"type": "text", "text": "needle-words"}]
    return {"type": "search_result", "title": "T", "source": "s", "content": words, **more}


_CITED = {"citations": {"enabled": True}}
_EPHEMERAL = {"cache_control": {"type": "ephemeral"}}
_BREAK = {"prompt_cache_breakpoint": {"mode": "explicit"}}

# ------------------------------------------------------------------------- the rows

FEATURES: tuple[Feature, ...] = (
    # instructions
    Feature(
        "system prompt",
        _same("chat ollama", {"messages": [{"role": "system", "content": "needle-s"}, HI]}, "needle-s")
        | _same("responses", {"instructions": "needle-s"}, "needle-s")
        | _same("anthropic generate", {"system": "needle-s"}, "needle-s")
        | _same("gemini", {"systemInstruction": {"parts": [{"text": "needle-s"}]}}, "needle-s"),
    ),
    Feature(
        "system in the middle",
        _same(
            "chat ollama anthropic",
            {"messages": [HI, SAID, {"role": "system", "content": "needle-s"}, HI]}, "needle-s",
        )
        | _same("responses", {"input": [HI, SAID, {"role": "developer", "content": "needle-s"}, HI]}, "needle-s"),
    ),
    Feature(
        "name of a speaker",
        _same("chat", {"messages": [{**HI, "name": "needle-n"}]}, "needle-n"),
    ),
    # tools
    Feature("tools", {name: Probe(said, {}, ("needle-tool", "f", "g")) for name, said in TOOLS.items()}),
    Feature(
        "strict tool schema",
        {
            "chat": Probe(
                {"tools": [_chat_tool(parameters=SCHEMA, strict=True)]},
                {"tools": [_chat_tool(parameters=SCHEMA)]},
            ),
            "responses": Probe(
                {"tools": [_flat_tool(parameters=SCHEMA, strict=True)]},
                {"tools": [_flat_tool(parameters=SCHEMA)]},
            ),
            "anthropic": Probe(
                {"tools": [_claude_tool(input_schema=SCHEMA, strict=True)]},
                {"tools": [_claude_tool(input_schema=SCHEMA)]},
            ),
        },
    ),
    Feature(
        "tool choice: required",
        _choice(
            chat={"tool_choice": "required"}, responses={"tool_choice": "required"},
            anthropic={"tool_choice": {"type": "any"}}, gemini=_mode("ANY"),
        ),
    ),
    Feature(
        "tool choice: one by name",
        _choice(
            chat={"tool_choice": {"type": "function", "function": {"name": "g"}}},
            responses={"tool_choice": {"type": "function", "name": "g"}},
            anthropic={"tool_choice": {"type": "tool", "name": "g"}}, gemini=_mode("ANY", "g"),
        ),
    ),
    Feature(
        "tool choice: some of them",
        _choice(
            chat={
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {
                        "mode": "auto",
                        "tools": [{"type": "function", "function": {"name": "g"}}],
                    },
                }
            },
            responses={
                "tool_choice": {
                    "type": "allowed_tools", "mode": "auto",
                    "tools": [{"type": "function", "name": "g"}],
                }
            },
            gemini=_mode("VALIDATED", "g"),
        ),
    ),
    Feature(
        "tool choice: none",
        _choice(
            chat={"tool_choice": "none"}, responses={"tool_choice": "none"},
            anthropic={"tool_choice": {"type": "none"}}, gemini=_mode("NONE"),
        ),
    ),
    Feature(
        "one call at a time",
        _choice(
            chat={"parallel_tool_calls": False}, responses={"parallel_tool_calls": False},
        )
        | {
            "anthropic": Probe(
                {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
                {**TOOLS["anthropic"], "tool_choice": {"type": "auto"}},
            )
        },
    ),
    Feature(
        "tool of free text",
        _same("chat", {"tools": [{"type": "custom", "custom": {"name": "needle-g"}}]}, "needle-g")
        | _same("responses", {"tools": [{"type": "custom", "name": "needle-g"}]}, "needle-g"),
    ),
    Feature(
        "tool with a grammar",
        {
            "chat": Probe(
                {"tools": [{"type": "custom", "custom": {"name": "g", "format": {
                    "type": "grammar", "grammar": {"definition": "needle-x", "syntax": "lark"}}}}]},
                {"tools": [{"type": "custom", "custom": {"name": "g"}}]}, ("needle-x",),
            ),
            "responses": Probe(
                {"tools": [{"type": "custom", "name": "g", "format": {
                    "type": "grammar", "definition": "needle-x", "syntax": "lark"}}]},
                {"tools": [{"type": "custom", "name": "g"}]}, ("needle-x",),
            ),
        },
    ),
    Feature(
        "web search",
        _same("chat", {"web_search_options": {}})
        | _same("responses", {"tools": [{"type": "web_search"}]})
        | _same("anthropic", {"tools": [{"type": "web_search_20250305", "name": "web_search"}]})
        | _same("gemini", {"tools": [{"googleSearch": {}}]}),
    ),
    Feature(
        "code execution by the provider",
        _same("responses", {"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]})
        | _same("anthropic", {"tools": [{"type": "code_execution_20250825", "name": "code_execution"}]})
        | _same("gemini", {"tools": [{"codeExecution": {}}]}),
    ),
    Feature(
        "result of a tool",
        _result(
            "needle-r", chat=("needle-r", {}), responses=("needle-r", {}), anthropic=("needle-r", {}),
            gemini=({"output": "needle-r"}, {}), ollama=("needle-r", {}),
        ),
    ),
    Feature(
        "result of a tool: failure",
        _result(ground=True, anthropic=("r", {"is_error": True}), gemini=({"error": "r"}, {})),
    ),
    Feature(
        "result of a tool: image",
        _result(
            PNG,
            responses=([{"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{PNG}"}], {}),
            anthropic=([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}], {}),
            gemini=({"output": "r"}, {"parts": [{"inlineData": {"mimeType": "image/png", "data": PNG}}]}),
        ),
    ),
    Feature(
        "result of a tool: PDF",
        _result(
            PDF,
            responses=([{"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}], {}),
            anthropic=([{"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}}], {}),
            gemini=({"output": "r"}, {"parts": [{"inlineData": {"mimeType": "application/pdf", "data": PDF}}]}),
        ),
    ),
    # media
    Feature(
        "image in bytes",
        _user(
            chat={"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
            responses={"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{PNG}"},
            anthropic={"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
            gemini={"inlineData": {"mimeType": "image/png", "data": PNG}},
            ollama={"images": [PNG]}, generate={"images": [PNG]},
        ),
    ),
    Feature(
        "image by address",
        _user(
            chat={"type": "image_url", "image_url": {"url": "https://example.org/y.png"}},
            responses={"type": "input_image", "detail": "auto", "image_url": "https://example.org/y.png"},
            anthropic={"type": "image", "source": {"type": "url", "url": "https://example.org/y.png"}},
            gemini={"fileData": {"mimeType": "image/png", "fileUri": "https://example.org/y.png"}},
        ),
    ),
    Feature(
        "how closely to look at an image",
        _beside(
            _user(chat=_image(), responses=_flat_image("auto")),
            _user(chat=_image(detail="low"), responses=_flat_image("low")),
            "low",
        ),
    ),
    Feature(
        "PDF in bytes",
        _user(
            chat={"type": "file", "file": {"file_data": f"data:application/pdf;base64,{PDF}", "filename": "a.pdf"}},
            responses={"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"},
            anthropic={"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}},
            gemini={"inlineData": {"mimeType": "application/pdf", "data": PDF}},
        ),
    ),
    Feature(
        "PDF by address",
        _user(
            responses={"type": "input_file", "file_url": "https://example.org/y.pdf"},
            anthropic={"type": "document", "source": {"type": "url", "url": "https://example.org/y.pdf"}},
            gemini={"fileData": {"mimeType": "application/pdf", "fileUri": "https://example.org/y.pdf"}},
        ),
    ),
    Feature(
        "text document",
        _user(anthropic={"type": "document", "title": "T", "source": {"type": "text", "media_type": "text/plain", "data": "needle-words"}}),
    ),
    Feature(
        "name of a file",
        _beside(
            _user(chat={"type": "file", "file": {"file_data": f"data:application/pdf;base64,{PDF}"}},
                  responses={"type": "input_file", "filename": "document.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}),
            _user(chat={"type": "file", "file": {"file_data": f"data:application/pdf;base64,{PDF}", "filename": "needle.pdf"}},
                  responses={"type": "input_file", "filename": "needle.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}),
            "needle",
        ),
    ),
    Feature(
        "title of a document",
        _beside(_user(anthropic=_claude_pdf()), _user(anthropic=_claude_pdf(title="needle-title")), "needle-title"),
    ),
    Feature(
        "words about a document",
        _beside(_user(anthropic=_claude_pdf()), _user(anthropic=_claude_pdf(context="needle-context")), "needle-context"),
    ),
    Feature("document: its citations", _beside(_user(anthropic=_claude_pdf()), _user(anthropic=_claude_pdf(**_CITED)))),
    Feature("search result", _user(anthropic=_found())),
    Feature("search result: its citations", _beside(_user(anthropic=_found()), _user(anthropic=_found(**_CITED)))),
    Feature(
        "file stored at the provider",
        _user(
            chat={"type": "file", "file": {"file_id": "needle-words"}},
            responses={"type": "input_file", "file_id": "needle-words"},
            anthropic={"type": "document", "source": {"type": "file", "file_id": "needle-words"}},
            gemini={"fileData": {"mimeType": "application/pdf", "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/needle-words"}},
        ),
    ),
    Feature(
        "sound",
        _user(
            chat={"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}},
            gemini={"inlineData": {"mimeType": "audio/wav", "data": WAV}},
        ),
    ),
    Feature(
        "film",
        _user(
            chat={"type": "video_url", "video_url": {"url": "https://example.org/y.mp4"}},
            gemini={"fileData": {"mimeType": "video/mp4", "fileUri": "https://example.org/y.mp4"}},
        ),
    ),
    Feature(
        "answer in sound",
        _same("chat", {"modalities": ["text", "audio"], "audio": {"format": "wav", "voice": "alloy"}})
        | _config({"responseModalities": ["AUDIO"]}),
    ),
    Feature("answer in images", _config({"responseModalities": ["TEXT", "IMAGE"]})),
    # the answer's form
    Feature(
        "JSON schema",
        _same("chat", {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}}, "needle_a")
        | _same("responses", {"text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}}}, "needle_a")
        | _same("anthropic", {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}, "needle_a")
        | _config({"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}, "needle_a")
        | _same("ollama generate", {"format": SCHEMA}, "needle_a"),
    ),
    Feature(
        "JSON schema: enforced",
        _beside_members(
            chat=({"response_format": _form()}, {"response_format": _form(strict=True)}),
            responses=({"text": {"format": _flat_form(strict=False)}}, {"text": {"format": _flat_form(strict=True)}}),
        ),
    ),
    Feature(
        "JSON schema: what it is for",
        _beside_members(
            chat=({"response_format": _form()}, {"response_format": _form(description="needle-d")}),
            responses=({"text": {"format": _flat_form()}}, {"text": {"format": _flat_form(description="needle-d")}}),
            needles=("needle-d",),
        ),
    ),
    Feature(
        "any JSON",
        _same("chat", {"response_format": {"type": "json_object"}})
        | _same("responses", {"text": {"format": {"type": "json_object"}}})
        | _config({"responseMimeType": "application/json"})
        | _same("ollama generate", {"format": "json"}),
    ),
    Feature(
        "verbosity",
        _same("chat", {"verbosity": "low"}, "low") | _same("responses", {"text": {"verbosity": "low"}}, "low"),
    ),
    Feature(
        "max tokens",
        _same("chat", {"max_completion_tokens": 77}, 77) | _same("completions", {"max_tokens": 77}, 77)
        | _same("responses", {"max_output_tokens": 77}, 77) | _same("anthropic", {"max_tokens": 77}, 77)
        | _config({"maxOutputTokens": 77}, 77) | _options({"num_predict": 77}, 77),
    ),
    Feature("no answer, a warm cache alone", _same("anthropic", {"max_tokens": 0}, 0)),
    # sampling
    Feature(
        "temperature",
        _same("chat responses anthropic completions", {"temperature": 0.375}, 0.375)
        | _config({"temperature": 0.375}, 0.375) | _options({"temperature": 0.375}, 0.375),
    ),
    Feature(
        "top_p",
        _same("chat responses anthropic completions", {"top_p": 0.375}, 0.375)
        | _config({"topP": 0.375}, 0.375) | _options({"top_p": 0.375}, 0.375),
    ),
    Feature(
        "top_k",
        _same("chat anthropic", {"top_k": 37}, 37) | _config({"topK": 37}, 37) | _options({"top_k": 37}, 37),
    ),
    Feature("min_p", _same("chat", {"min_p": 0.375}, 0.375) | _options({"min_p": 0.375}, 0.375)),
    Feature(
        "seed",
        _same("chat completions", {"seed": 424242}, 424242) | _config({"seed": 424242}, 424242)
        | _options({"seed": 424242}, 424242),
    ),
    Feature(
        "frequency penalty",
        _same("chat completions", {"frequency_penalty": 0.375}, 0.375)
        | _config({"frequencyPenalty": 0.375}, 0.375) | _options({"frequency_penalty": 0.375}, 0.375),
    ),
    Feature(
        "presence penalty",
        _same("chat completions", {"presence_penalty": 0.375}, 0.375)
        | _config({"presencePenalty": 0.375}, 0.375) | _options({"presence_penalty": 0.375}, 0.375),
    ),
    Feature(
        "repetition penalty",
        _same("chat", {"repetition_penalty": 1.375}, 1.375) | _options({"repeat_penalty": 1.375}, 1.375),
    ),
    Feature("bias of tokens", _same("chat completions", {"logit_bias": {"4242": 7}}, "4242")),
    Feature(
        "stop sequences",
        _same("chat completions", {"stop": ["needle-stop"]}, "needle-stop")
        | _same("anthropic", {"stop_sequences": ["needle-stop"]}, "needle-stop")
        | _config({"stopSequences": ["needle-stop"]}, "needle-stop") | _options({"stop": ["needle-stop"]}, "needle-stop"),
    ),
    Feature("several answers", _same("chat completions", {"n": 2}, 2) | _config({"candidateCount": 2}, 2)),
    Feature(
        "log probabilities",
        _same("chat", {"logprobs": True, "top_logprobs": 3}, 3) | _same("completions", {"logprobs": 3}, 3)
        | _same("responses", {"include": ["message.output_text.logprobs"], "top_logprobs": 3}, 3)
        | _config({"responseLogprobs": True, "logprobs": 3}, 3)
        | _same("ollama generate", {"logprobs": True, "top_logprobs": 3}, 3),
    ),
    # reasoning
    Feature(
        "reasoning: effort",
        _thinks("chat", {"reasoning_effort": "high"}) | _thinks("responses", {"reasoning": {"effort": "high"}})
        | _thinks("anthropic", {"output_config": {"effort": "low"}})
        | _config({"thinkingConfig": {"thinkingLevel": "HIGH"}}, thinks=True)
        | _thinks("ollama", {"think": "high"}) | _thinks("generate", {"think": "high"}),
    ),
    Feature(
        "reasoning: budget",
        _thinks("anthropic", {"thinking": {"type": "enabled", "budget_tokens": 9000}})
        | _config({"thinkingConfig": {"thinkingBudget": 9000}}, thinks=True),
    ),
    Feature(
        "reasoning: on",
        _thinks("anthropic", {"thinking": {"type": "adaptive"}}) | _thinks("ollama", {"think": True})
        | _thinks("generate", {"think": True}),
    ),
    Feature(
        "reasoning: off",
        _thinks("chat", {"reasoning_effort": "none"}) | _thinks("responses", {"reasoning": {"effort": "none"}})
        | _thinks("anthropic", {"thinking": {"type": "disabled"}})
        | _config({"thinkingConfig": {"thinkingBudget": 0}}, thinks=True) | _thinks("ollama", {"think": False})
        | _thinks("generate", {"think": False}),
    ),
    Feature(
        "reasoning: shown",
        _thinks("responses", {"reasoning": {"summary": "auto"}})
        | _config({"thinkingConfig": {"includeThoughts": True}}, thinks=True),
    ),
    Feature(
        "reasoning state: text",
        _recalled(
            "needle-t", chat=({"reasoning_content": "needle-t"},),
            ollama=({"thinking": "needle-t"},),
        ),
    ),
    Feature(
        "reasoning state: signed or sealed",
        _recalled(
            "needle-sig",
            responses=({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "needle-sig"}, SAID),
            anthropic=({"type": "thinking", "thinking": "t", "signature": "needle-sig"}, {"type": "text", "text": "a"}),
            gemini=({"text": "a", "thoughtSignature": "needle-sig"},),
        ),
    ),
    # history
    Feature(
        "refusal in the history",
        {
            "chat": Probe({"messages": [HI, {"role": "assistant", "content": None, "refusal": "needle-no"}, HI]}, {}, ("needle-no",)),
            "responses": Probe(_history("responses", {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [{"type": "refusal", "refusal": "needle-no"}]}), {}, ("needle-no",)),
        },
    ),
    Feature(
        "citations in the history",
        {
            "anthropic": Probe(
                _history("anthropic", {"type": "text", "text": "a", "citations": [{"type": "char_location", "cited_text": "needle-c", "document_index": 0, "document_title": None, "start_char_index": 0, "end_char_index": 1}]}),
                _BEFORE["anthropic"], ("needle-c",),
            ),
            "responses": Probe(
                _history("responses", {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [{"type": "output_text", "text": "a", "annotations": [{"type": "url_citation", "url": "https://example.org/needle-c", "title": "T", "start_index": 0, "end_index": 1}]}]}),
                _BEFORE["responses"], ("needle-c",),
            ),
        },
    ),
    Feature(
        "beginning of the answer",
        _same("chat anthropic ollama", {"messages": [HI, {"role": "assistant", "content": "needle-p"}]}, "needle-p")
        | _same("responses", {"input": [HI, {"role": "assistant", "content": "needle-p"}]}, "needle-p")
        | _same("gemini", {"contents": [{"role": "user", "parts": [{"text": "hi"}]}, {"role": "model", "parts": [{"text": "needle-p"}]}]}, "needle-p"),
    ),
    # caching
    Feature(
        "cache mark on a text",
        _beside(
            _user(anthropic={"type": "text", "text": "w"}, chat={"type": "text", "text": "w"},
                  responses={"type": "input_text", "text": "w"}),
            _user(anthropic={"type": "text", "text": "w", **_EPHEMERAL}, chat={"type": "text", "text": "w", **_BREAK},
                  responses={"type": "input_text", "text": "w", **_BREAK}),
        ),
    ),
    Feature(
        "cache mark for an hour",
        _beside(
            _user(anthropic={"type": "text", "text": "w", **_EPHEMERAL}),
            _user(anthropic={"type": "text", "text": "w", "cache_control": {"type": "ephemeral", "ttl": "1h"}}),
        ),
    ),
    Feature("cache mark on a tool", {"anthropic": Probe({"tools": [_claude_tool(**_EPHEMERAL)]}, {"tools": [_claude_tool()]})}),
    Feature(
        "cache mark on the instructions",
        {"anthropic": Probe({"system": [{"type": "text", "text": "s", **_EPHEMERAL}]}, {"system": [{"type": "text", "text": "s"}]})},
    ),
    Feature("cache mark on the whole", _same("anthropic", _EPHEMERAL)),
    Feature("cache key", _same("chat responses", {"prompt_cache_key": "needle-k"}, "needle-k")),
    Feature("cache retention", _same("chat responses", {"prompt_cache_retention": "24h"}, "24h")),
    Feature("cached content by a name", _same("gemini", {"cachedContent": "cachedContents/needle-k"}, "cachedContents/needle-k")),
    # the call itself
    Feature(
        "service tier",
        _same("chat responses", {"service_tier": "flex"}) | _same("anthropic", {"service_tier": "standard_only"})
        | _same("gemini", {"serviceTier": "flex"}),
    ),
    Feature("speed", _same("anthropic", {"speed": "fast"})),
    Feature(
        "end user",
        _same("chat responses completions", {"user": "needle-u"}, "needle-u")
        | _same("anthropic", {"metadata": {"user_id": "needle-u"}}, "needle-u"),
    ),
    Feature("safety identifier", _same("chat responses", {"safety_identifier": "needle-u"}, "needle-u")),
    Feature(
        "metadata",
        _same("chat responses", {"metadata": {"team": "needle-m"}}, "needle-m")
        | _same("gemini", {"labels": {"team": "needle-m"}}, "needle-m"),
    ),
    Feature("keeping the answer", _same("chat", {"store": True})),
    Feature("prediction", _same("chat", {"prediction": {"type": "content", "content": "needle-p"}}, "needle-p")),
    Feature("moderation", _same("chat responses", {"moderation": {"model": "needle-m"}}, "needle-m")),
    Feature(
        "safety settings",
        _same("gemini", {"safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]}, "BLOCK_NONE"),
    ),
    Feature("answer in the background", _same("responses", {"background": True})),
    Feature("what is cut of a long input", _same("responses", {"truncation": "auto"}, "auto")),
    Feature("bound of hosted calls", _same("responses", {"max_tool_calls": 37}, 37)),
    Feature("prompt kept at the provider", _same("responses", {"prompt": {"id": "needle-p"}}, "needle-p")),
    Feature("container", _same("anthropic", {"container": "needle-c"}, "needle-c")),
    Feature("resolution of media", _config({"mediaResolution": "MEDIA_RESOLUTION_LOW"}, "MEDIA_RESOLUTION_LOW")),
    Feature("how long a model stays loaded", _same("ollama generate", {"keep_alive": "37m"}, "37m")),
    Feature("size of the context", _options({"num_ctx": 3737}, 3737)),
    Feature("text after the gap", _same("completions generate", {"suffix": "needle-x"}, "needle-x")),
    Feature(
        "member that nobody knows",
        _same("chat responses anthropic gemini ollama generate completions", {"needle_member": "needle-v"}, "needle-v"),
    ),
)  # fmt: skip
