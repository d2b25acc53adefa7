"""Rows of docs/policy.md: sampling, reasoning, what was said before, caching, and the call itself."""

from __future__ import annotations

from policy_words import (
    BEFORE,
    BREAK,
    EPHEMERAL,
    HI,
    SAID,
    Feature,
    Probe,
    asks_to_think,
    beside,
    claude_tool,
    config,
    history,
    options,
    part_of_user,
    recalled,
    same,
)

# fmt: off
OPTIONS: tuple[Feature, ...] = (
    # sampling
    Feature(
        "temperature",
        same("chat responses anthropic completions", {"temperature": 0.375}, 0.375)
        | config({"temperature": 0.375}, 0.375) | options({"temperature": 0.375}, 0.375),
    ),
    Feature(
        "top_p",
        same("chat responses anthropic completions", {"top_p": 0.375}, 0.375)
        | config({"topP": 0.375}, 0.375) | options({"top_p": 0.375}, 0.375),
    ),
    Feature(
        "top_k",
        same("chat anthropic", {"top_k": 37}, 37) | config({"topK": 37}, 37) | options({"top_k": 37}, 37),
    ),
    Feature("min_p", same("chat", {"min_p": 0.375}, 0.375) | options({"min_p": 0.375}, 0.375)),
    Feature(
        "seed",
        same("chat completions", {"seed": 424242}, 424242) | config({"seed": 424242}, 424242)
        | options({"seed": 424242}, 424242),
    ),
    Feature(
        "frequency penalty",
        same("chat completions", {"frequency_penalty": 0.375}, 0.375)
        | config({"frequencyPenalty": 0.375}, 0.375) | options({"frequency_penalty": 0.375}, 0.375),
    ),
    Feature(
        "presence penalty",
        same("chat completions", {"presence_penalty": 0.375}, 0.375)
        | config({"presencePenalty": 0.375}, 0.375) | options({"presence_penalty": 0.375}, 0.375),
    ),
    Feature(
        "repetition penalty",
        same("chat", {"repetition_penalty": 1.375}, 1.375) | options({"repeat_penalty": 1.375}, 1.375),
    ),
    Feature("bias of tokens", same("chat completions", {"logit_bias": {"4242": 7}}, "4242")),
    Feature(
        "stop sequences",
        same("chat completions", {"stop": ["needle-stop"]}, "needle-stop")
        | same("anthropic", {"stop_sequences": ["needle-stop"]}, "needle-stop")
        | config({"stopSequences": ["needle-stop"]}, "needle-stop") | options({"stop": ["needle-stop"]}, "needle-stop"),
    ),
    Feature("several answers", same("chat completions", {"n": 2}, 2) | config({"candidateCount": 2}, 2)),
    Feature(
        "log probabilities",
        same("chat", {"logprobs": True, "top_logprobs": 3}, 3) | same("completions", {"logprobs": 3}, 3)
        | same("responses", {"include": ["message.output_text.logprobs"], "top_logprobs": 3}, 3)
        | config({"responseLogprobs": True, "logprobs": 3}, 3)
        | same("ollama generate", {"logprobs": True, "top_logprobs": 3}, 3),
    ),
    # reasoning
    Feature(
        "reasoning: effort",
        asks_to_think("chat", {"reasoning_effort": "high"}) | asks_to_think("responses", {"reasoning": {"effort": "high"}})
        | asks_to_think("anthropic", {"output_config": {"effort": "low"}})
        | config({"thinkingConfig": {"thinkingLevel": "HIGH"}}, thinks=True)
        | asks_to_think("ollama", {"think": "high"}) | asks_to_think("generate", {"think": "high"}),
    ),
    Feature(
        "reasoning: budget",
        asks_to_think("anthropic", {"thinking": {"type": "enabled", "budget_tokens": 9000}})
        | config({"thinkingConfig": {"thinkingBudget": 9000}}, thinks=True),
    ),
    Feature(
        "reasoning: on",
        asks_to_think("anthropic", {"thinking": {"type": "adaptive"}}) | asks_to_think("ollama", {"think": True})
        | asks_to_think("generate", {"think": True}),
    ),
    Feature(
        "reasoning: off",
        asks_to_think("chat", {"reasoning_effort": "none"}) | asks_to_think("responses", {"reasoning": {"effort": "none"}})
        | asks_to_think("anthropic", {"thinking": {"type": "disabled"}})
        | config({"thinkingConfig": {"thinkingBudget": 0}}, thinks=True) | asks_to_think("ollama", {"think": False})
        | asks_to_think("generate", {"think": False}),
    ),
    Feature(
        "reasoning: shown",
        asks_to_think("responses", {"reasoning": {"summary": "auto"}})
        | config({"thinkingConfig": {"includeThoughts": True}}, thinks=True),
    ),
    Feature(
        "reasoning state: text",
        recalled(
            "needle-t", chat=({"reasoning_content": "needle-t"},),
            ollama=({"thinking": "needle-t"},),
        ),
    ),
    Feature(
        "reasoning state: signed or sealed",
        recalled(
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
            "responses": Probe(history("responses", {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [{"type": "refusal", "refusal": "needle-no"}]}), {}, ("needle-no",)),
        },
    ),
    Feature(
        "citations in the history",
        {
            "anthropic": Probe(
                history("anthropic", {"type": "text", "text": "a", "citations": [{"type": "char_location", "cited_text": "needle-c", "document_index": 0, "document_title": None, "start_char_index": 0, "end_char_index": 1}]}),
                BEFORE["anthropic"], ("needle-c",),
            ),
            "responses": Probe(
                history("responses", {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [{"type": "output_text", "text": "a", "annotations": [{"type": "url_citation", "url": "https://example.org/needle-c", "title": "T", "start_index": 0, "end_index": 1}]}]}),
                BEFORE["responses"], ("needle-c",),
            ),
        },
    ),
    Feature(
        "beginning of the answer",
        same("chat anthropic ollama", {"messages": [HI, {"role": "assistant", "content": "needle-p"}]}, "needle-p")
        | same("responses", {"input": [HI, {"role": "assistant", "content": "needle-p"}]}, "needle-p")
        | same("gemini", {"contents": [{"role": "user", "parts": [{"text": "hi"}]}, {"role": "model", "parts": [{"text": "needle-p"}]}]}, "needle-p"),
    ),
    # caching
    Feature(
        "cache mark on a text",
        beside(
            part_of_user(anthropic={"type": "text", "text": "w"}, chat={"type": "text", "text": "w"},
                  responses={"type": "input_text", "text": "w"}),
            part_of_user(anthropic={"type": "text", "text": "w", **EPHEMERAL}, chat={"type": "text", "text": "w", **BREAK},
                  responses={"type": "input_text", "text": "w", **BREAK}),
        ),
    ),
    Feature(
        "cache mark for an hour",
        beside(
            part_of_user(anthropic={"type": "text", "text": "w"}),
            part_of_user(anthropic={"type": "text", "text": "w", "cache_control": {"type": "ephemeral", "ttl": "1h"}}),
        ),
    ),
    Feature("cache mark on a tool", {"anthropic": Probe({"tools": [claude_tool(**EPHEMERAL)]}, {"tools": [claude_tool()]})}),
    Feature(
        "cache mark on the instructions",
        {"anthropic": Probe({"system": [{"type": "text", "text": "s", **EPHEMERAL}]}, {"system": [{"type": "text", "text": "s"}]})},
    ),
    Feature("cache mark on the whole", same("anthropic", EPHEMERAL)),
    Feature("cache key", same("chat responses", {"prompt_cache_key": "needle-k"}, "needle-k")),
    Feature("cache retention", same("chat responses", {"prompt_cache_retention": "24h"}, "24h")),
    Feature("cached content by a name", same("gemini", {"cachedContent": "cachedContents/needle-k"}, "cachedContents/needle-k")),
    # the call itself
    Feature(
        "service tier",
        same("chat responses", {"service_tier": "flex"}) | same("anthropic", {"service_tier": "standard_only"})
        | same("gemini", {"serviceTier": "flex"}),
    ),
    Feature("speed", same("anthropic", {"speed": "fast"})),
    Feature(
        "end user",
        same("chat responses completions", {"user": "needle-u"}, "needle-u")
        | same("anthropic", {"metadata": {"user_id": "needle-u"}}, "needle-u"),
    ),
    Feature("safety identifier", same("chat responses", {"safety_identifier": "needle-u"}, "needle-u")),
    Feature(
        "metadata",
        same("chat responses", {"metadata": {"team": "needle-m"}}, "needle-m")
        | same("gemini", {"labels": {"team": "needle-m"}}, "needle-m"),
    ),
    Feature("keeping the answer", same("chat", {"store": True})),
    Feature("prediction", same("chat", {"prediction": {"type": "content", "content": "needle-p"}}, "needle-p")),
    Feature("moderation", same("chat responses", {"moderation": {"model": "needle-m"}}, "needle-m")),
    Feature(
        "moderation that blocks",
        same("chat responses", {"moderation": {"model": "m", "policy": "needle-p"}}, "needle-p"),
    ),
    Feature(
        "safety settings",
        same("gemini", {"safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]}, "BLOCK_NONE"),
    ),
    Feature("answer in the background", same("responses", {"background": True})),
    Feature("what is cut of a long input", same("responses", {"truncation": "auto"}, "auto")),
    Feature("bound of hosted calls", same("responses", {"max_tool_calls": 37}, 37)),
    Feature("prompt kept at the provider", same("responses", {"prompt": {"id": "needle-p"}}, "needle-p")),
    Feature("container", same("anthropic", {"container": "needle-c"}, "needle-c")),
    Feature("resolution of media", config({"mediaResolution": "MEDIA_RESOLUTION_LOW"}, "MEDIA_RESOLUTION_LOW")),
    Feature("how long a model stays loaded", same("ollama generate", {"keep_alive": "37m"}, "37m")),
    Feature("size of the context", options({"num_ctx": 3737}, 3737)),
    Feature("text after the gap", same("completions generate", {"suffix": "needle-x"}, "needle-x")),
    Feature(
        "member that nobody knows",
        same("chat responses anthropic gemini ollama generate completions", {"needle_member": "needle-v"}, "needle-v"),
    ),
)
