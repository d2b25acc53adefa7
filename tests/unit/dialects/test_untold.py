"""What an answer says and a dialect has no word for is told; what says nothing is not."""

from __future__ import annotations

import pytest
from msgspec import Raw

from dragoman.core.response import Finish
from dragoman.core.usage import Usage
from dragoman.dialects.untold import logprob_losses, stop_losses, tier_losses, usage_losses


@pytest.mark.parametrize(
    "empty",
    [
        None,
        Raw(b"null"),
        Raw(b"[]"),
        Raw(b'{"content":[]}'),
        Raw(b'{"content":null,"refusal":null}'),
    ],
)
def test_empty_log_probabilities_are_no_loss(empty):
    assert logprob_losses(empty) == []


@pytest.mark.parametrize(
    "said", [Raw(b'{"content":[{"token":"a"}]}'), b'[{"token":"a"}]', b"{odd"]
)
def test_log_probabilities_are_told_as_lost(said):
    assert [loss.path for loss in logprob_losses(said)] == ["logprobs"]


def test_counts_of_zero_and_counts_that_are_told_are_no_loss():
    usage = Usage(input=5, output=3, cache_read=0, reasoning=4, audio_input=2)
    assert [loss.path for loss in usage_losses(usage, frozenset({"audio_input"}))] == [
        "usage.reasoning"
    ]
    assert usage_losses(usage, frozenset({"audio_input", "reasoning"})) == []
    assert usage_losses(None, frozenset()) == []


@pytest.mark.parametrize("tier", [None, "default", "standard", "auto", "on_demand"])
def test_the_usual_tier_is_no_loss(tier):
    assert tier_losses(tier) == []


def test_another_tier_and_a_stop_sequence_are_told():
    assert [loss.path for loss in tier_losses("flex")] == ["service_tier"]
    assert tier_losses("flex", {"flex"}) == []
    assert stop_losses(Finish("stop"), "x") == []
    lost = stop_losses(Finish("stop_sequence", stop_sequence="END"), "choices[0]")
    assert [loss.path for loss in lost] == ["choices[0].stop_sequence"]
