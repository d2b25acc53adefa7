"""What is under way is counted, and nothing stays of what is over."""

from hypothesis import given
from hypothesis import strategies as st

from dragoman.health.busy import Busy


@given(st.lists(st.sampled_from("abc"), max_size=20))
def test_what_has_begun_and_is_over_leaves_nothing(models) -> None:
    busy = Busy()
    for model in models:
        busy.begun("p", model)
    for model in "abc":
        assert busy.of("p", model) == models.count(model)
    for model in models:
        busy.over("p", model)
    assert busy._counts == {}
    busy.over("p", "a")
    assert busy.of("p", "a") == 0
