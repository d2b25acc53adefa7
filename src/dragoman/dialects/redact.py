"""Keys out of providers' sentences: some echo the key that they refuse (K8, P141)."""

from __future__ import annotations

import re

_KEY = re.compile(
    r"""
      \b(?:sk|pk|rk|drg)[-_][A-Za-z0-9_\-*.]{6,}        # OpenAI, Anthropic, OpenRouter, DeepSeek, ours
    | \b(?:gsk|hf|r8|fw|pplx|nvapi|csk|tgp|key)[-_][A-Za-z0-9_\-*]{12,}
    | \bxai-[A-Za-z0-9*]{12,}
    | \bAIza[A-Za-z0-9_\-]{16,}
    | \bAKIA[A-Z0-9]{12,}
    | \beyJ[A-Za-z0-9_\-]{10,}\.[A-Za-z0-9_\-]+(?:\.[A-Za-z0-9_\-]+)?
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
