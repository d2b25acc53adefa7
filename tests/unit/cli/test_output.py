"""What a command tells may hold callers' words: no terminal obeys them."""

import pytest
import typer

from dragoman.cli.output import fail, say, table

HOSTILE = "openai/x\x1b]0;owned\x07\x1b[2J\r\u202egpt\x9b1m"


@pytest.mark.parametrize("tell", [say, lambda text: table("Calls", ("model",), [(text,)])])
def test_a_models_name_moves_no_cursor(tell, capsys):
    tell(HOSTILE)
    told = capsys.readouterr().out
    assert "\\x1b]0;owned\\x07" in told
    assert not set("\x1b\x07\x9b\r\u202e") & set(told)


def test_a_failure_neither(capsys):
    with pytest.raises(typer.Exit):
        fail(f"There is no {HOSTILE}.")
    assert "\x1b" not in capsys.readouterr().err


def test_what_people_write_stays_as_it_is(capsys):
    say("größer ▁▂▇ 漢字\n\tzwei")
    assert capsys.readouterr().out == "größer ▁▂▇ 漢字\n\tzwei\n"


def test_numbers_of_a_table_stand_one_under_another(capsys):
    table("Usage", ("model", "cost"), [("gpt-4", "1.5"), ("b", "unknown"), ("c", "12")])
    lines = [line.split("│")[1:3] for line in capsys.readouterr().out.splitlines() if "│" in line]
    assert [(name.strip(), cost) for name, cost in lines] == [
        ("gpt-4", "     1.5 "),
        ("b", " unknown "),
        ("c", "      12 "),
    ]
    assert lines[1][0].startswith(" b "), "words stay on the left"
