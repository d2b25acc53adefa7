"""What somebody is told who calls without any key: the variable of the provider that was named comes first."""

import pytest

from dragoman.library import own
from dragoman.library.engines import model_for
from dragoman.library.failures import CallError

pytestmark = pytest.mark.req("R-CFG-018")


class Nobody:
    """An engine without a provider."""

    def ask(self, body, caller, timeout_s):
        raise AssertionError("nothing is sent")

    def is_known(self, model):
        return False

    def providers(self):
        return []


@pytest.mark.parametrize(
    ("model", "ways"),
    [
        ("openai/gpt-4o-mini", "set OPENAI_API_KEY or OPENROUTER_API_KEY, or say"),
        ("openrouter/x/y", "set OPENROUTER_API_KEY, or say"),
        ("gpt-4o-mini", "set OPENROUTER_API_KEY, or say"),
        ("nobody/x", "set OPENROUTER_API_KEY, or say"),
    ],
)
def test_without_a_key_the_variables_are_named_that_would_do(tmp_path, model, ways):
    own.ensure(tmp_path)
    with pytest.raises(CallError, match="There is no key of a provider") as caught:
        model_for(Nobody(), model, own.read_infrastructure(tmp_path))
    assert ways in caught.value.message
