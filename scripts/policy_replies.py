"""What providers answer, by hand: each family's plainest reply, and the features that may stand in it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from policy_words import Json


@dataclass(frozen=True)
class Answer:
    """A feature of a reply: the members that say it, and values that the caller must find again.

    ``members`` replaces members of the family's plain reply, by their path.
    """

    members: dict[str, Any]
    needles: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Told:
    """A row: its name, and how the providers of each family say it."""

    name: str
    says: dict[str, Answer]


def reply(family: str) -> Json:
    """The plainest whole reply of a family."""
    match family:
        case "chat":
            message = {"role": "assistant", "content": "yes"}
            return {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "created": 1,
                "model": "m",
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16},
            }
        case "responses":
            words = {"type": "output_text", "text": "yes", "annotations": []}
            item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed"}
            return {
                "id": "resp_1",
                "object": "response",
                "created_at": 1,
                "status": "completed",
                "model": "m",
                "output": [{**item, "content": [words]}],
                "usage": {"input_tokens": 11, "output_tokens": 5, "total_tokens": 16},
            }
        case "anthropic":
            return {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": "m",
                "content": [{"type": "text", "text": "yes"}],
                "stop_reason": "end_turn",
                "stop_sequence": None,
                "usage": {"input_tokens": 11, "output_tokens": 5},
            }
        case "gemini":
            content = {"role": "model", "parts": [{"text": "yes"}]}
            counts = {"promptTokenCount": 11, "candidatesTokenCount": 5, "totalTokenCount": 16}
            return {
                "responseId": "r1",
                "modelVersion": "m",
                "candidates": [{"index": 0, "content": content, "finishReason": "STOP"}],
                "usageMetadata": counts,
            }
        case "ollama":
            return {
                "model": "m",
                "created_at": "2026-01-01T00:00:00Z",
                "message": {"role": "assistant", "content": "yes"},
                "done": True,
                "done_reason": "stop",
                "prompt_eval_count": 11,
                "eval_count": 5,
            }
        case _:
            raise ValueError(family)


def with_members(body: Json, members: dict[str, Any]) -> Json:
    """The reply with each member set at its path: names and numbers between dots, ``+`` appends."""
    made: Json = json.loads(json.dumps(body))
    for path, value in members.items():
        at: Any = made
        *way, last = path.split(".")
        for name in way:
            at = at[int(name)] if isinstance(at, list) else at.setdefault(name, {})
        if last == "+":
            at.append(value)
        elif isinstance(at, list):
            at[int(last)] = value
        else:
            at[last] = value
    return made


CHOICE = "choices.0"
SAYS = f"{CHOICE}.message"
CANDIDATE = "candidates.0"
CALL = {
    "id": "call_needle",
    "type": "function",
    "function": {"name": "needle_f", "arguments": '{"a":"needle-a"}'},
}
FUNCTION = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_needle",
    "name": "needle_f",
    "arguments": '{"a":"needle-a"}',
    "status": "completed",
}
TOOL_USE = {
    "type": "tool_use",
    "id": "call_needle",
    "name": "needle_f",
    "input": {"a": "needle-a"},
}
FUNCTION_CALL = {
    "functionCall": {"id": "call_needle", "name": "needle_f", "args": {"a": "needle-a"}}
}
OLLAMA_CALL = {
    "id": "call_needle",
    "function": {"name": "needle_f", "arguments": {"a": "needle-a"}},
}
LOGPROB = {"token": "yes", "logprob": -0.4242, "bytes": [121], "top_logprobs": []}
URL = "https://needle.example/"


ANSWERS: tuple[Told, ...] = (
    Told(
        "words",
        {
            "chat": Answer({f"{SAYS}.content": "needle"}, ("needle",)),
            "responses": Answer({"output.0.content.0.text": "needle"}, ("needle",)),
            "anthropic": Answer({"content.0.text": "needle"}, ("needle",)),
            "gemini": Answer({f"{CANDIDATE}.content.parts.0.text": "needle"}, ("needle",)),
            "ollama": Answer({"message.content": "needle"}, ("needle",)),
        },
    ),
    Told(
        "reasoning, shown",
        {
            "chat": Answer({f"{SAYS}.reasoning_content": "needle"}, ("needle",)),
            "responses": Answer(
                {
                    "output.+": {
                        "type": "reasoning",
                        "id": "rs_1",
                        "summary": [{"type": "summary_text", "text": "needle"}],
                    }
                },
                ("needle",),
            ),
            "anthropic": Answer(
                {"content.+": {"type": "thinking", "thinking": "needle", "signature": ""}},
                ("needle",),
            ),
            "gemini": Answer(
                {f"{CANDIDATE}.content.parts.+": {"text": "needle", "thought": True}}, ("needle",)
            ),
            "ollama": Answer({"message.thinking": "needle"}, ("needle",)),
        },
    ),
    Told(
        "reasoning, its state",
        {
            "chat": Answer(
                {
                    f"{SAYS}.reasoning_details": [
                        {
                            "type": "reasoning.encrypted",
                            "data": "needle",
                            "id": "x",
                            "format": "openai-responses-v1",
                            "index": 0,
                        }
                    ]
                }
            ),
            "responses": Answer(
                {
                    "output.+": {
                        "type": "reasoning",
                        "id": "rs_1",
                        "summary": [],
                        "encrypted_content": "needle",
                    }
                }
            ),
            "anthropic": Answer({"content.+": {"type": "redacted_thinking", "data": "needle"}}),
            "gemini": Answer({f"{CANDIDATE}.content.parts.0.thoughtSignature": "bmVlZGxl"}),
        },
    ),
    Told(
        "tool call",
        {
            "chat": Answer(
                {f"{SAYS}.tool_calls": [CALL], f"{CHOICE}.finish_reason": "tool_calls"},
                ("needle_f", "needle-a"),
            ),
            "responses": Answer({"output.+": FUNCTION}, ("needle_f", "needle-a")),
            "anthropic": Answer(
                {"content.+": TOOL_USE, "stop_reason": "tool_use"}, ("needle_f", "needle-a")
            ),
            "gemini": Answer(
                {f"{CANDIDATE}.content.parts.+": FUNCTION_CALL}, ("needle_f", "needle-a")
            ),
            "ollama": Answer({"message.tool_calls": [OLLAMA_CALL]}, ("needle_f", "needle-a")),
        },
    ),
    Told(
        "refusal",
        {
            "chat": Answer({f"{SAYS}.content": None, f"{SAYS}.refusal": "needle"}, ("needle",)),
            "responses": Answer(
                {"output.0.content.0": {"type": "refusal", "refusal": "needle"}}, ("needle",)
            ),
            "anthropic": Answer({"stop_reason": "refusal"}),
        },
    ),
    Told(
        "end: length",
        {
            "chat": Answer({f"{CHOICE}.finish_reason": "length"}),
            "responses": Answer(
                {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
            ),
            "anthropic": Answer({"stop_reason": "max_tokens"}),
            "gemini": Answer({f"{CANDIDATE}.finishReason": "MAX_TOKENS"}),
            "ollama": Answer({"done_reason": "length"}),
        },
    ),
    Told(
        "end: filtered",
        {
            "chat": Answer({f"{CHOICE}.finish_reason": "content_filter"}),
            "responses": Answer(
                {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}
            ),
            "gemini": Answer({f"{CANDIDATE}.finishReason": "SAFETY"}),
        },
    ),
    Told(
        "end: paused",
        {
            "anthropic": Answer({"stop_reason": "pause_turn"}),
        },
    ),
    Told(
        "end: which stop sequence",
        {
            "anthropic": Answer(
                {"stop_reason": "stop_sequence", "stop_sequence": "needle"}, ("needle",)
            ),
        },
    ),
    Told(
        "tokens in and out",
        {
            "chat": Answer(
                {
                    "usage": {
                        "prompt_tokens": 31337,
                        "completion_tokens": 4242,
                        "total_tokens": 35579,
                    }
                },
                (31337, 4242),
            ),
            "responses": Answer(
                {"usage": {"input_tokens": 31337, "output_tokens": 4242, "total_tokens": 35579}},
                (31337, 4242),
            ),
            "anthropic": Answer(
                {"usage": {"input_tokens": 31337, "output_tokens": 4242}}, (31337, 4242)
            ),
            "gemini": Answer(
                {
                    "usageMetadata": {
                        "promptTokenCount": 31337,
                        "candidatesTokenCount": 4242,
                        "totalTokenCount": 35579,
                    }
                },
                (31337, 4242),
            ),
            "ollama": Answer({"prompt_eval_count": 31337, "eval_count": 4242}, (31337, 4242)),
        },
    ),
    Told(
        "tokens read from a cache",
        {
            "chat": Answer({"usage.prompt_tokens_details": {"cached_tokens": 7}}, (7,)),
            "responses": Answer({"usage.input_tokens_details": {"cached_tokens": 7}}, (7,)),
            "anthropic": Answer({"usage.cache_read_input_tokens": 7}, (7,)),
            "gemini": Answer({"usageMetadata.cachedContentTokenCount": 7}, (7,)),
        },
    ),
    Told(
        "tokens written to a cache",
        {
            "anthropic": Answer({"usage.cache_creation_input_tokens": 7}, (7,)),
        },
    ),
    Told(
        "tokens of reasoning",
        {
            "chat": Answer({"usage.completion_tokens_details": {"reasoning_tokens": 3}}, (3,)),
            "responses": Answer({"usage.output_tokens_details": {"reasoning_tokens": 3}}, (3,)),
            "anthropic": Answer({"usage.output_tokens_details": {"thinking_tokens": 3}}, (3,)),
            "gemini": Answer(
                {"usageMetadata.thoughtsTokenCount": 3, "usageMetadata.totalTokenCount": 19}, (3,)
            ),
        },
    ),
    Told(
        "tokens of speech",
        {
            "chat": Answer({"usage.prompt_tokens_details": {"audio_tokens": 3}}, (3,)),
            "gemini": Answer(
                {"usageMetadata.promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 3}]},
                (3,),
            ),
        },
    ),
    Told(
        "tokens of a prediction",
        {
            "chat": Answer(
                {"usage.completion_tokens_details": {"accepted_prediction_tokens": 3}}, (3,)
            ),
        },
    ),
    Told(
        "searches that are paid for",
        {
            "anthropic": Answer({"usage.server_tool_use": {"web_search_requests": 3}}, (3,)),
        },
    ),
    Told(
        "citations",
        {
            "chat": Answer(
                {
                    f"{SAYS}.annotations": [
                        {
                            "type": "url_citation",
                            "url_citation": {
                                "url": URL,
                                "title": "t",
                                "start_index": 0,
                                "end_index": 3,
                            },
                        }
                    ]
                },
                (URL,),
            ),
            "responses": Answer(
                {
                    "output.0.content.0.annotations": [
                        {
                            "type": "url_citation",
                            "url": URL,
                            "title": "t",
                            "start_index": 0,
                            "end_index": 3,
                        }
                    ]
                },
                (URL,),
            ),
            "anthropic": Answer(
                {
                    "content.0.citations": [
                        {
                            "type": "web_search_result_location",
                            "url": URL,
                            "title": "t",
                            "cited_text": "c",
                            "encrypted_index": "e",
                        }
                    ]
                },
                (URL,),
            ),
            "gemini": Answer(
                {
                    f"{CANDIDATE}.groundingMetadata": {
                        "groundingChunks": [{"web": {"uri": URL, "title": "t"}}],
                        "groundingSupports": [
                            {
                                "segment": {"startIndex": 0, "endIndex": 3, "text": "yes"},
                                "groundingChunkIndices": [0],
                            }
                        ],
                    }
                },
                (URL,),
            ),
        },
    ),
    Told(
        "log probabilities",
        {
            "chat": Answer(
                {f"{CHOICE}.logprobs": {"content": [LOGPROB], "refusal": None}}, (-0.4242,)
            ),
            "responses": Answer({"output.0.content.0.logprobs": [LOGPROB]}, (-0.4242,)),
            "gemini": Answer(
                {
                    f"{CANDIDATE}.logprobsResult": {
                        "chosenCandidates": [{"token": "yes", "logProbability": -0.4242}],
                        "topCandidates": [{"candidates": []}],
                    }
                },
                (-0.4242,),
            ),
            "ollama": Answer({"logprobs": [LOGPROB]}, (-0.4242,)),
        },
    ),
    Told(
        "a second answer",
        {
            "chat": Answer(
                {
                    "choices.+": {
                        "index": 1,
                        "message": {"role": "assistant", "content": "needle"},
                        "finish_reason": "stop",
                    }
                },
                ("needle",),
            ),
            "gemini": Answer(
                {
                    "candidates.+": {
                        "index": 1,
                        "content": {"role": "model", "parts": [{"text": "needle"}]},
                        "finishReason": "STOP",
                    }
                },
                ("needle",),
            ),
        },
    ),
    Told(
        "speech",
        {
            "chat": Answer(
                {
                    f"{SAYS}.audio": {
                        "id": "audio_1",
                        "data": "bmVlZGxl",
                        "transcript": "needle",
                        "expires_at": 1,
                    }
                },
                ("bmVlZGxl",),
            ),
            "gemini": Answer(
                {
                    f"{CANDIDATE}.content.parts.+": {
                        "inlineData": {"mimeType": "audio/wav", "data": "bmVlZGxl"}
                    }
                },
                ("bmVlZGxl",),
            ),
        },
    ),
    Told(
        "picture",
        {
            "chat": Answer(
                {
                    f"{SAYS}.images": [
                        {
                            "type": "image_url",
                            "image_url": {"url": "data:image/png;base64,bmVlZGxl"},
                        }
                    ]
                },
                ("bmVlZGxl",),
            ),
            "gemini": Answer(
                {
                    f"{CANDIDATE}.content.parts.+": {
                        "inlineData": {"mimeType": "image/png", "data": "bmVlZGxl"}
                    }
                },
                ("bmVlZGxl",),
            ),
            "responses": Answer(
                {
                    "output.+": {
                        "type": "image_generation_call",
                        "id": "ig_1",
                        "status": "completed",
                        "result": "bmVlZGxl",
                    }
                },
                ("bmVlZGxl",),
            ),
        },
    ),
    Told(
        "work of the provider's own tools",
        {
            "responses": Answer(
                {
                    "output.+": {
                        "type": "web_search_call",
                        "id": "ws_1",
                        "status": "completed",
                        "action": {"type": "search", "query": "needle"},
                    }
                },
                ("needle",),
            ),
            "anthropic": Answer(
                {
                    "content.+": {
                        "type": "server_tool_use",
                        "id": "srvtoolu_1",
                        "name": "web_search",
                        "input": {"query": "needle"},
                    }
                },
                ("needle",),
            ),
            "gemini": Answer(
                {
                    f"{CANDIDATE}.content.parts.+": {
                        "executableCode": {"language": "PYTHON", "code": "needle"}
                    }
                },
                ("needle",),
            ),
        },
    ),
    Told(
        "service tier",
        {
            "chat": Answer({"service_tier": "flex"}, ("flex",)),
            "responses": Answer({"service_tier": "flex"}, ("flex",)),
            "anthropic": Answer({"usage.service_tier": "priority"}, ("priority",)),
        },
    ),
    Told(
        "fingerprint",
        {
            "chat": Answer({"system_fingerprint": "needle"}, ("needle",)),
        },
    ),
)
