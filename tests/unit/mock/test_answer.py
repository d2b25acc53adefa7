import pytest

from dragoman.mock.answer import answer, pieces
from dragoman.mock.ask import Ask, Tool, tokens
from dragoman.mock.script import Script

pytestmark = pytest.mark.req("R-MOCK-004", "R-MOCK-006")

WEATHER = Tool("get_weather", {"type": "object", "properties": {"city": {"type": "string"}}})
CLOCK = Tool("get_time", {})


USUAL = Script()


def said(ask, script=USUAL, number=1, seed=1):
    return answer(ask, script, number, seed)


def test_a_token_is_four_bytes_begun():
    assert [tokens(text) for text in ("", "a", "abcd", "abcde", "ää", "äää")] == [0, 1, 1, 2, 1, 2]


def test_the_same_prompt_and_seed_give_the_same_words_and_another_seed_others():
    ask = Ask("m", prompt="hello")
    assert said(ask).text == said(ask, number=2).text
    assert said(ask).text != said(ask, seed=2).text
    assert said(ask).text.startswith("You said: hello ")


def test_a_long_prompt_is_quoted_in_part_and_not_padded_beyond_need():
    text = said(Ask("m", prompt="long " * 100)).text
    assert len(text) == 160


@pytest.mark.parametrize("length", [0, 5, 3000])
def test_the_script_sets_the_length_to_the_character(length):
    assert len(said(Ask("m", prompt="x"), Script(length=length)).text) == length


def test_usage_counts_words_thinking_and_every_choice():
    told = said(Ask("m", prompt="hi", input=9, thinks=True, n=2), Script(text="four five"))
    assert told.billed.input == 9
    assert told.billed.thinking == 2 * tokens(told.thinking)
    assert told.billed.output == 2 * (tokens("four five") + tokens(told.thinking))


def test_cached_tokens_are_told_by_the_script_and_never_more_than_there_are():
    billed = said(Ask("m", input=10), Script(cached=8, cache_write=8)).billed
    assert (billed.cached, billed.cache_write) == (8, 2)


def test_a_bound_on_tokens_cuts_the_text_and_says_so():
    told = said(Ask("m", prompt="hi", max_tokens=3))
    assert (told.end, tokens(told.text), told.billed.output) == ("length", 3, 3)


def test_thinking_counts_towards_the_bound():
    told = said(Ask("m", prompt="hi", max_tokens=2, thinks=True))
    assert (told.text, told.end) == ("", "length")


def test_a_stop_sequence_ends_the_text_before_it():
    told = said(Ask("m", stops=("never", "three", "two")), Script(text="one two three"))
    assert (told.text, told.stop, told.end) == ("one ", "two", "stop")


def test_a_tool_that_the_user_names_is_called_with_fitting_arguments():
    told = said(Ask("m", prompt="please get_weather", tools=(WEATHER, CLOCK)))
    assert [(call.name, call.arguments) for call in told.calls] == [
        ("get_weather", '{"city":"mock city"}')
    ]
    assert (told.text, told.end) == ("", "tools")


def test_two_named_tools_are_called_at_once_unless_that_is_forbidden():
    ask = Ask("m", prompt="get_weather and get_time", tools=(WEATHER, CLOCK))
    assert len(said(ask).calls) == 2
    ask.parallel = False
    assert [call.name for call in said(ask).calls] == ["get_weather"]


@pytest.mark.parametrize(
    ("choice", "called"),
    [("auto", []), ("none", []), ("required", ["get_weather"]), ("=get_time", ["get_time"])],
)
def test_the_choice_of_tools_is_obeyed(choice, called):
    ask = Ask("m", prompt="hello", tools=(WEATHER, CLOCK), choice=choice)
    assert [call.name for call in said(ask).calls] == called


def test_a_tools_result_is_quoted_and_calls_nothing_again():
    ask = Ask(
        "m", prompt="get_weather", tools=(WEATHER,), choice="required", results=("sunny", "12")
    )
    assert said(ask).text == "The tool answered: sunny | 12"
    assert said(ask).calls == ()


def test_the_script_asks_for_several_calls_or_names_them():
    ask = Ask("m", prompt="x", tools=(WEATHER, CLOCK))
    names = [call.name for call in said(ask, Script(tool_calls="3")).calls]
    assert names == ["get_weather", "get_time", "get_weather"]
    told = said(Ask("m"), Script(tool_calls="a, b"), number=5)
    assert [(call.id, call.name, call.arguments) for call in told.calls] == [
        ("000005000", "a", "{}"),
        ("000005001", "b", "{}"),
    ]
    assert [call.name for call in said(Ask("m"), Script(tool_calls="1")).calls] == ["mock_tool"]


def test_text_and_calls_stand_together_when_both_are_scripted():
    told = said(Ask("m", tools=(CLOCK,)), Script(tool_calls="1", text="Let me look."))
    assert (told.text, len(told.calls)) == ("Let me look.", 1)


def test_structured_output_is_an_object_of_the_shape():
    shape = {"type": "object", "properties": {"n": {"type": "integer"}}}
    assert said(Ask("m", schema=shape)).text == '{"n":7}'
    assert said(Ask("m", prompt="hi", schema={})).text == '{"answer":"hi"}'


def test_images_are_acknowledged():
    text = said(Ask("m", prompt="what?", images=("image/png of 9 bytes",))).text
    assert text == "I see 1 image(s): image/png of 9 bytes. You said: what?"


def test_thinking_is_scripted_on_and_off():
    assert said(Ask("m"), Script(thinking="hm")).thinking == "hm"
    assert said(Ask("m", thinks=True), Script(thinking="off")).thinking == ""


@pytest.mark.parametrize("words", [1, 2, 50])
def test_pieces_lose_nothing(words):
    text = "  one two\n three "
    assert "".join(pieces(text, words)) == text
    assert len(pieces(text, 50)) == 1


def test_the_ids_of_calls_keep_their_nine_digits_after_a_million_requests():
    assert said(Ask("m"), Script(tool_calls="1"), number=1_234_567).calls[0].id == "234567000"
