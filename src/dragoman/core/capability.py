"""What a model can do, as plain data for the writers; unknown models get nothing optional.

The catalogue fills these from its facts about providers and models (`dialects.md` §5.1).
Every default is the conservative one: a member is sent only when it was asked for, and
changed only when a fact here says that the model would refuse it.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Capability(Struct, frozen=True):
    """Facts of one model at one provider."""

    max_output_tokens: int | None = None
    context_tokens: int | None = None
    images: bool = True
    documents: bool = True
    audio_input: bool = True
    tools: bool = True
    text_alone: bool = False
    """Its family reads text only, as its name tells: others are chosen for pictures and sounds. Whoever asks
    for it alone is not refused for a name; its provider knows.
    """

    rejects_sampling: bool = False
    """temperature, top_p, top_k are refused (P112, P182)."""
    temperature_xor_top_p: bool = False
    """Either of the two, never both."""
    thinking: Literal["none", "budget", "adaptive", "both"] = "none"
    """Anthropic: budget tokens, adaptive effort, either, or no thinking at all."""
    rejects_disabled_above_high: bool = False
    efforts: tuple[str, ...] = ()
    """Accepted effort values; empty: unknown, all are passed."""
    forced_tools: bool = True
    """Whether tool_choice any/tool is accepted (P171)."""
    structured_output: Literal["native", "tool", "json_object", "none"] = "native"
    """How a JSON schema is enforced: natively, by a forced tool (P64), by JSON mode and an instruction, or not."""
    prefill: bool = True
    mid_system: bool = False
    """Anthropic: role system inside messages is accepted."""
    reasons: bool | None = None
    """False: a wish to think is refused by the provider, and is left out; None: nobody knows."""
    reasons_by_default: bool = False
    """OpenAI: a reasoning model, which wants max_completion_tokens and the developer role."""

    @property
    def sees(self) -> bool:
        """Whether pictures are not known to be beyond it."""
        return self.images and not self.text_alone

    @property
    def hears(self) -> bool:
        """Whether sounds are not known to be beyond it."""
        return self.audio_input and not self.text_alone
