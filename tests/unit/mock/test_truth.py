import json

import pytest

from dragoman.mock.truth import Entry, Truth

pytestmark = pytest.mark.req("R-TEST-009")


def entry(**more):
    return Entry(id="r", time=1.0, method="POST", path="/p", **more)


def test_the_report_sums_everything_and_shows_the_newest():
    truth = Truth()
    for number in range(3):
        one = entry(model=str(number), input=5, output=2, cached=1)
        truth.open(one)
        if number:
            truth.close(one, whole=number == 1, left=number == 2)
    report = json.loads(truth.report(2))
    assert report["totals"] == {
        "requests": 3,
        "open": 1,
        "left": 1,
        "input": 15,
        "output": 6,
        "cached": 3,
    }
    assert [(each["model"], each["whole"]) for each in report["requests"]] == [
        ("1", True),
        ("2", False),
    ]
    assert report["requests"][1]["left"] == report["requests"][1]["ended"]
    assert len(json.loads(truth.report())["requests"]) == 3
    assert json.loads(truth.report(0))["requests"] == []
    truth.reset()
    assert json.loads(truth.report())["totals"]["requests"] == 0


def test_the_file_gets_a_line_before_each_answer_and_one_when_it_is_over(tmp_path):
    file = tmp_path / "deep" / "truth.jsonl"
    truth = Truth(file)
    for number in range(2):
        one = entry(status=200, attempt=number)
        truth.open(one)
        assert len(file.read_text().splitlines()) == 2 * number
        truth.answer(one)
        assert len(file.read_text().splitlines()) == 2 * number + 1
        truth.close(one, whole=True)
    truth.open(entry())
    truth.shut()
    truth.shut()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(line["attempt"], line["whole"], line["ended"] is None) for line in lines] == [
        (0, False, True),
        (0, True, False),
        (1, False, True),
        (1, True, False),
    ]
    again = Truth(file)
    again.close(entry(), whole=False)
    again.shut()
    assert len(file.read_text().splitlines()) == 5


def test_attempts_are_counted_by_trace_or_by_the_clients_own_word(monkeypatch):
    truth = Truth()
    assert [truth.attempt("t", ""), truth.attempt("t", ""), truth.attempt("u", "")] == [1, 2, 1]
    assert [truth.attempt("", "2"), truth.attempt("", ""), truth.attempt("", "x")] == [3, 1, 1]
    monkeypatch.setattr("dragoman.mock.truth._LONGEST", 2)
    assert truth.attempt("v", "") == 1
    assert truth.attempt("t", "") == 1
