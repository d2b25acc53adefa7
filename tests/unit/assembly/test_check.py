"""Everything that is wrong with a file is told at once, each with its line."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.assembly.assemble import assemble
from dragoman.assembly.check import check_file
from dragoman.config.load import load_settings, parse_config
from dragoman.config.settings import ConfigError
from sampling import examples

ENV = {"OPENAI_API_KEY": "sk-proj-0123456789abcdef0123456789abcdef"}
BOTH = {**ENV, "GROQ_API_KEY": "gsk_0123456789abcdef0123456789abcdef0123456789"}


def told(text, env=None):
    found = check_file(text, "x.toml", ENV if env is None else env)
    return [(each.line, each.message) for each in found.errors]


def test_a_good_file_has_no_errors():
    assert told('[aliases]\nfast = "openai/gpt-4o-mini"\n') == []
    assert told("") == []


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("[aliases\n", 1, ""),
        ("format = 2\n", 1, "format"),
        ('[aliass]\nfast = "openai/x"\n', 1, "did you mean"),
        ('[aliases]\nfast = "opnai/x"\n', 2, "did you mean openai"),
        ('[prices."openai/x"]\ninput = "cheap"\n', 1, "numbers as strings"),
        ('[quality]\n"openai/x" = 101\n', 2, "0 to 100"),
        ('[[providers]]\nname = "a"\nbase_url = "${NO_SUCH}"\n', 3, "NO_SUCH"),
        ('[server]\nport = "x"\n', 2, "PORT"),
    ],
)
def test_a_mistake_is_told_with_its_line(text, line, says):
    (found,) = told(text)
    assert found[0] == line
    assert says in found[1]


def test_one_mistake_hides_no_other():
    text = (
        '[aliases]\na = "opnai/x"\nb = "grok/x"\n\n'
        '[routes.r]\nstrategy = "cheapest"\ncandidates = ["openai/gpt-4o"]\n'
    )
    assert [line for line, _ in told(text)] == [2, 3, 5]


def test_a_key_that_looks_like_anothers_is_a_warning():
    found = check_file("", "x.toml", {"OPENAI_API_KEY": "gsk_0123456789abcdef0123456789abcdef"})
    assert found.errors == ()
    assert any("OPENAI_API_KEY" in each.message for each in found.warnings)
    assert "gsk_" not in str(found)


GOOD = (
    'provider_order = ["groq", "openai"]\n[server]\nport = 8000\n[aliases]\nfast = "groq/llama-3.3-70b-versatile"\n'
    '[routes.smart]\nstrategy = "cost"\ncandidates = ["openai/gpt-4o-mini", { model = "groq/x", weight = 2 }]\n'
    '[[providers]]\nname = "own"\ndialect = "chat"\nbase_url = "http://127.0.0.1:9/v1"\nmodels = ["m"]\n'
    '[prices."own/m"]\ninput = "0.1"\noutput = "0.2"\n[quality]\n"own/m" = 50\n'
)


@given(
    st.integers(0, len(GOOD)),
    st.integers(0, 12),
    st.text("\"'[]{}=.,#\n\\ \x00abz019é", max_size=6),
)
@settings(max_examples=examples(150), deadline=None)
def test_whatever_is_wrong_is_told_and_what_is_not_may_be_started_with(at, gone, put):
    """A start, a reload and a check are of one mind about every file (R7)."""
    text = GOOD[:at] + put + GOOD[at + gone :]
    found = check_file(text, "x.toml", BOTH)
    try:
        wanted = load_settings({"mode": "local"}, text=text, table=parse_config(text, "x.toml"))
        assemble(wanted, BOTH, where="x.toml")
        refused = ""
    except ConfigError as error:
        refused = error.message
    assert bool(found.errors) == bool(refused), (found.errors, refused)
