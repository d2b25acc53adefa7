"""Keys out of providers' sentences: some echo the key that they refuse (K8, P141)."""

from __future__ import annotations

import re

_KEY = re.compile(
    r"""
      \b(?:sk|pk|rk|drg)[-_][A-Za-z0-9_\-*.]{6,}        # OpenAI, Anthropic, OpenRouter, DeepSeek, ours
    | \b(?:gsk|ghp|hf|r8|fw|pplx|nvapi|csk|tgp|key)[-_][A-Za-z0-9_\-*.]{12,}
    | \bxai[-_](?!responses-v\d)[A-Za-z0-9_\-*.]{12,}      # but not the format of its reasoning
    | \bAIza[A-Za-z0-9_\-.]{13,}
    | \bAKIA[A-Z0-9]{12,}
    | \beyJ[A-Za-z0-9_\-.]{13,}
    | \b(?i:bearer)\s+[A-Za-z0-9_\-.]{16,}
    | (?<=[Bb]earer[ ])[A-Za-z0-9_\-.~+/=]{8,}
    | (?<=[?&]key=)[^&\s"']+
    | (?<=://)[^/\s:@]+:[^/\s@]+(?=@)
    """,
    re.VERBOSE,
)

MARK = "[redacted]"


def redact(text: str) -> str:
    """The text with everything that looks like a credential replaced."""
    return _KEY.sub(MARK, text)
