"""Rows of docs/policy.md: instructions, tools, media, and the form of the answer."""

from __future__ import annotations

from policy_words import (
    CITED,
    EPHEMERAL,
    HI,
    PDF,
    PNG,
    SAID,
    SCHEMA,
    TOOLS,
    WAV,
    Feature,
    Probe,
    beside,
    beside_members,
    chat_tool,
    choice,
    claude_pdf,
    claude_tool,
    config,
    flat_form,
    flat_image,
    flat_tool,
    form,
    image,
    mode,
    options,
    part_of_user,
    recalled,
    result,
    same,
    search_result,
)

# fmt: off
CONTENT: tuple[Feature, ...] = (
    # instructions
    Feature(
        "system prompt",
        same("chat ollama", {"messages": [{"role": "system", "content": "needle-s"}, HI]}, "needle-s")
        | same("responses", {"instructions": "needle-s"}, "needle-s")
        | same("anthropic generate", {"system": "needle-s"}, "needle-s")
        | same("gemini", {"systemInstruction": {"parts": [{"text": "needle-s"}]}}, "needle-s"),
    ),
    Feature(
        "system in the middle",
        same(
            "chat ollama anthropic",
            {"messages": [HI, SAID, {"role": "system", "content": "needle-s"}, HI]}, "needle-s",
        )
        | same("responses", {"input": [HI, SAID, {"role": "developer", "content": "needle-s"}, HI]}, "needle-s"),
    ),
    Feature(
        "name of a speaker",
        same("chat", {"messages": [{**HI, "name": "needle-n"}]}, "needle-n"),
    ),
    # tools
    Feature("tools", {name: Probe(said, {}, ("needle-tool", "f", "g")) for name, said in TOOLS.items()}),
    Feature(
        "strict tool schema",
        {
            "chat": Probe(
                {"tools": [chat_tool(parameters=SCHEMA, strict=True)]},
                {"tools": [chat_tool(parameters=SCHEMA)]},
            ),
            "responses": Probe(
                {"tools": [flat_tool(parameters=SCHEMA, strict=True)]},
                {"tools": [flat_tool(parameters=SCHEMA)]},
            ),
            "anthropic": Probe(
                {"tools": [claude_tool(input_schema=SCHEMA, strict=True)]},
                {"tools": [claude_tool(input_schema=SCHEMA)]},
            ),
        },
    ),
    Feature(
        "tool choice: required",
        choice(
            chat={"tool_choice": "required"}, responses={"tool_choice": "required"},
            anthropic={"tool_choice": {"type": "any"}}, gemini=mode("ANY"),
        ),
    ),
    Feature(
        "tool choice: one by name",
        choice(
            chat={"tool_choice": {"type": "function", "function": {"name": "g"}}},
            responses={"tool_choice": {"type": "function", "name": "g"}},
            anthropic={"tool_choice": {"type": "tool", "name": "g"}}, gemini=mode("ANY", "g"),
        ),
    ),
    Feature(
        "tool choice: some of them",
        choice(
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
            gemini=mode("VALIDATED", "g"),
        ),
    ),
    Feature(
        "tool choice: none",
        choice(
            chat={"tool_choice": "none"}, responses={"tool_choice": "none"},
            anthropic={"tool_choice": {"type": "none"}}, gemini=mode("NONE"),
        ),
    ),
    Feature(
        "one call at a time",
        choice(
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
        same("chat", {"tools": [{"type": "custom", "custom": {"name": "needle-g"}}]}, "needle-g")
        | same("responses", {"tools": [{"type": "custom", "name": "needle-g"}]}, "needle-g"),
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
        same("chat", {"web_search_options": {}})
        | same("responses", {"tools": [{"type": "web_search"}]})
        | same("anthropic", {"tools": [{"type": "web_search_20250305", "name": "web_search"}]})
        | same("gemini", {"tools": [{"googleSearch": {}}]}),
    ),
    Feature(
        "code execution by the provider",
        same("responses", {"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]})
        | same("anthropic", {"tools": [{"type": "code_execution_20250825", "name": "code_execution"}]})
        | same("gemini", {"tools": [{"codeExecution": {}}]}),
    ),
    Feature(
        "result of a tool",
        result(
            "needle-r", chat=("needle-r", {}), responses=("needle-r", {}), anthropic=("needle-r", {}),
            gemini=({"output": "needle-r"}, {}), ollama=("needle-r", {}),
        ),
    ),
    Feature(
        "result of a tool: failure",
        result(ground=True, anthropic=("r", {"is_error": True}), gemini=({"error": "r"}, {})),
    ),
    Feature(
        "result of a tool: image",
        result(
            PNG,
            responses=([{"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{PNG}"}], {}),
            anthropic=([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}], {}),
            gemini=({"output": "r"}, {"parts": [{"inlineData": {"mimeType": "image/png", "data": PNG}}]}),
        ),
    ),
    Feature(
        "result of a tool: PDF",
        result(
            PDF,
            responses=([{"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}], {}),
            anthropic=([{"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}}], {}),
            gemini=({"output": "r"}, {"parts": [{"inlineData": {"mimeType": "application/pdf", "data": PDF}}]}),
        ),
    ),
    Feature("result of a tool: search result", result("needle-words", ground=True, anthropic=([search_result()], {}))),
    Feature(
        "result of a tool: citations of a search result",
        beside(result(anthropic=([search_result()], {})), result(anthropic=([search_result(**CITED)], {}))),
    ),
    Feature("result of a tool: cache mark", result(ground=True, anthropic=("r", EPHEMERAL))),
    Feature(
        "result of a tool: cache mark on its text",
        result(ground=True, anthropic=([{"type": "text", "text": "r", **EPHEMERAL}], {})),
    ),
    Feature(
        "cache mark on an earlier answer",
        recalled(anthropic=({"type": "text", "text": "a", **EPHEMERAL},)),
    ),
    # media
    Feature(
        "image in bytes",
        part_of_user(
            chat={"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
            responses={"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{PNG}"},
            anthropic={"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
            gemini={"inlineData": {"mimeType": "image/png", "data": PNG}},
            ollama={"images": [PNG]}, generate={"images": [PNG]},
        ),
    ),
    Feature(
        "image by address",
        part_of_user(
            chat={"type": "image_url", "image_url": {"url": "https://example.org/y.png"}},
            responses={"type": "input_image", "detail": "auto", "image_url": "https://example.org/y.png"},
            anthropic={"type": "image", "source": {"type": "url", "url": "https://example.org/y.png"}},
            gemini={"fileData": {"mimeType": "image/png", "fileUri": "https://example.org/y.png"}},
        ),
    ),
    Feature(
        "how closely to look at an image",
        beside(
            part_of_user(chat=image(), responses=flat_image("auto")),
            part_of_user(chat=image(detail="low"), responses=flat_image("low")),
            "low",
        ),
    ),
    Feature(
        "PDF in bytes",
        part_of_user(
            chat={"type": "file", "file": {"file_data": f"data:application/pdf;base64,{PDF}", "filename": "a.pdf"}},
            responses={"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"},
            anthropic={"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}},
            gemini={"inlineData": {"mimeType": "application/pdf", "data": PDF}},
        ),
    ),
    Feature(
        "PDF by address",
        part_of_user(
            responses={"type": "input_file", "file_url": "https://example.org/y.pdf"},
            anthropic={"type": "document", "source": {"type": "url", "url": "https://example.org/y.pdf"}},
            gemini={"fileData": {"mimeType": "application/pdf", "fileUri": "https://example.org/y.pdf"}},
        ),
    ),
    Feature(
        "text document",
        part_of_user(anthropic={"type": "document", "title": "T", "source": {"type": "text", "media_type": "text/plain", "data": "needle-words"}}),
    ),
    Feature(
        "name of a file",
        beside(
            part_of_user(chat={"type": "file", "file": {"file_data": f"data:application/pdf;base64,{PDF}"}},
                  responses={"type": "input_file", "file_data": f"data:application/pdf;base64,{PDF}"}),
            part_of_user(chat={"type": "file", "file": {"file_data": f"data:application/pdf;base64,{PDF}", "filename": "needle.pdf"}},
                  responses={"type": "input_file", "filename": "needle.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}),
            "needle",
        ),
    ),
    Feature(
        "title of a document",
        beside(part_of_user(anthropic=claude_pdf()), part_of_user(anthropic=claude_pdf(title="needle-title")), "needle-title"),
    ),
    Feature(
        "words about a document",
        beside(part_of_user(anthropic=claude_pdf()), part_of_user(anthropic=claude_pdf(context="needle-context")), "needle-context"),
    ),
    Feature("document: its citations", beside(part_of_user(anthropic=claude_pdf()), part_of_user(anthropic=claude_pdf(**CITED)))),
    Feature("search result", part_of_user(anthropic=search_result())),
    Feature("search result: its citations", beside(part_of_user(anthropic=search_result()), part_of_user(anthropic=search_result(**CITED)))),
    Feature("search result: its cache mark", beside(part_of_user(anthropic=search_result()), part_of_user(anthropic=search_result(**EPHEMERAL)))),
    Feature("document: its cache mark", beside(part_of_user(anthropic=claude_pdf()), part_of_user(anthropic=claude_pdf(**EPHEMERAL)))),
    Feature(
        "file stored at the provider",
        part_of_user(
            chat={"type": "file", "file": {"file_id": "needle-words"}},
            responses={"type": "input_file", "file_id": "needle-words"},
            anthropic={"type": "document", "source": {"type": "file", "file_id": "needle-words"}},
            gemini={"fileData": {"mimeType": "application/pdf", "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/needle-words"}},
        ),
    ),
    Feature(
        "sound",
        part_of_user(
            chat={"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}},
            gemini={"inlineData": {"mimeType": "audio/wav", "data": WAV}},
        ),
    ),
    Feature(
        "film",
        part_of_user(
            chat={"type": "video_url", "video_url": {"url": "https://example.org/y.mp4"}},
            gemini={"fileData": {"mimeType": "video/mp4", "fileUri": "https://example.org/y.mp4"}},
        ),
    ),
    Feature(
        "answer in sound",
        same("chat", {"modalities": ["text", "audio"], "audio": {"format": "wav", "voice": "alloy"}})
        | config({"responseModalities": ["AUDIO"]}),
    ),
    Feature("answer in images", config({"responseModalities": ["TEXT", "IMAGE"]})),
    # the answer's form
    Feature(
        "JSON schema",
        same("chat", {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}}, "needle_a")
        | same("responses", {"text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}}}, "needle_a")
        | same("anthropic", {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}, "needle_a")
        | config({"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}, "needle_a")
        | same("ollama generate", {"format": SCHEMA}, "needle_a"),
    ),
    Feature(
        "JSON schema: enforced",
        beside_members(
            chat=({"response_format": form()}, {"response_format": form(strict=True)}),
            responses=({"text": {"format": flat_form(strict=False)}}, {"text": {"format": flat_form(strict=True)}}),
        ),
    ),
    Feature(
        "JSON schema: what it is for",
        beside_members(
            chat=({"response_format": form()}, {"response_format": form(description="needle-d")}),
            responses=({"text": {"format": flat_form()}}, {"text": {"format": flat_form(description="needle-d")}}),
            needles=("needle-d",),
        ),
    ),
    Feature(
        "any JSON",
        same("chat", {"response_format": {"type": "json_object"}})
        | same("responses", {"text": {"format": {"type": "json_object"}}})
        | config({"responseMimeType": "application/json"})
        | same("ollama generate", {"format": "json"}),
    ),
    Feature(
        "verbosity",
        same("chat", {"verbosity": "low"}, "low") | same("responses", {"text": {"verbosity": "low"}}, "low"),
    ),
    Feature(
        "max tokens",
        same("chat", {"max_completion_tokens": 77}, 77) | same("completions", {"max_tokens": 77}, 77)
        | same("responses", {"max_output_tokens": 77}, 77) | same("anthropic", {"max_tokens": 77}, 77)
        | config({"maxOutputTokens": 77}, 77) | options({"num_predict": 77}, 77),
    ),
    Feature("no answer, a warm cache alone", same("anthropic", {"max_tokens": 0}, 0)),
)
