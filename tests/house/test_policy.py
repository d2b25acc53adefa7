"""docs/policy.md against the code: it is up to date, it is complete, and it would notice a silent loss."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from dragoman.catalog.files import definitions
from dragoman.dialects.registry import DIALECTS

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def _policy():
    sys.path.insert(0, str(SCRIPTS))
    try:
        import policy
        import policy_answers
    finally:
        sys.path.remove(str(SCRIPTS))
    return policy, policy_answers


policy, answers = _policy()
CELLS = policy.cells()
ANSWERED = answers.answer_cells()


def test_the_page_says_what_the_code_does():
    assert policy.PAGE.read_text(encoding="utf-8") == policy.page(), (
        "made anew by: python scripts/policy.py"
    )


def test_nothing_is_lost_in_silence():
    assert [where for where, each in CELLS.items() if each.fate == "unsaid"] == []


def test_every_dialect_that_callers_speak_has_its_table_and_every_one_of_providers_its_column():
    families = {each.family for each in definitions().values()} & DIALECTS.keys()
    assert set(policy.targets()) == families
    for client in DIALECTS:
        rows = {name for caller, name, _ in CELLS if caller == client}
        assert len(rows) >= 10, client
        for name in rows:
            assert {family for c, n, family in CELLS if (c, n) == (client, name)} == families


def test_within_a_dialect_everything_passes():
    assert {each.fate for where, each in CELLS.items() if where[0] == where[2]} == {"carried"}


def test_what_is_met_without_a_word_really_occurs_and_has_its_reason():
    met = {(name, family) for (_, name, family), each in CELLS.items() if each.fate == "met"}
    assert met == set(policy.MET)
    assert all(policy.MET.values())


def test_every_fate_is_explained_on_the_page_and_occurs():
    page = policy.page()
    fates = {each.fate for each in CELLS.values()}
    assert fates == {"met", "carried", "emulated", "changed", "dropped", "in part", "refused"}
    for fate in fates:
        assert f"- **{fate}**" in page


@pytest.mark.parametrize(
    ("client", "name", "family"),
    [
        ("chat", "bias of tokens", "anthropic"),
        ("anthropic", "search result: its citations", "responses"),
        ("chat", "strict tool schema", "gemini"),
        ("responses", "reasoning: shown", "anthropic"),
    ],
)
def test_a_codec_that_keeps_a_loss_to_itself_is_found_out(client, name, family, monkeypatch):
    honest = DIALECTS[family]

    def silent(request, target):
        return msgspec.structs.replace(honest.write_request(request, target), losses=())

    monkeypatch.setitem(DIALECTS, family, replace(honest, write_request=silent))
    probe = next(each for each in policy.FEATURES if each.name == name).says[client]
    assert CELLS[client, name, family].fate == "dropped"
    assert policy.cell(client, family, name, probe).fate == "unsaid"


def test_a_codec_that_forgets_a_value_is_found_out_though_its_body_differs(monkeypatch):
    honest = DIALECTS["anthropic"]

    def forgetful(request, target):
        out = honest.write_request(request, target)
        body = json.loads(out.body)
        if "stop_sequences" in body:
            body["stop_sequences"] = ["other"]
        return msgspec.structs.replace(out, body=json.dumps(body).encode())

    monkeypatch.setitem(DIALECTS, "anthropic", replace(honest, write_request=forgetful))
    probe = next(each for each in policy.FEATURES if each.name == "stop sequences").says["chat"]
    assert CELLS["chat", "stop sequences", "anthropic"].fate == "carried"
    assert policy.cell("chat", "anthropic", "stop sequences", probe).fate == "unsaid"


# --------------------------------------------------------------------------- answers


def test_nothing_that_is_answered_is_lost_in_silence():
    assert [where for where, each in ANSWERED.items() if each.fate == "unsaid"] == []


def test_no_stream_keeps_a_loss_to_itself():
    silent = [
        (family, row.name, client)
        for family in answers.FAMILIES
        for row in answers.ANSWERS
        if family in row.says and row.name not in answers.LEFT_UNSAID
        for client in DIALECTS
        if client != family and answers.is_kept_to_itself(family, client, row)
    ]
    assert silent == []


def test_what_is_left_unsaid_on_purpose_really_occurs_and_has_its_reason():
    met = {name for (_, name, _), each in ANSWERED.items() if each.fate == "met"}
    assert met == set(answers.LEFT_UNSAID)
    assert all(answers.LEFT_UNSAID.values())


def test_every_family_answers_with_enough_to_every_client():
    for family in answers.FAMILIES:
        rows = {name for home, name, _ in ANSWERED if home == family}
        assert len(rows) >= 5, family
        for name in rows:
            clients = {client for home, row, client in ANSWERED if (home, row) == (family, name)}
            assert clients == DIALECTS.keys() - {family}


@pytest.mark.parametrize(
    ("family", "name", "client"),
    [
        ("anthropic", "tokens written to a cache", "ollama"),
        ("gemini", "a second answer", "anthropic"),
    ],
)
def test_a_writer_that_keeps_a_loss_of_an_answer_to_itself_is_found_out(
    family, name, client, monkeypatch
):
    honest = DIALECTS[client]

    def silent(response, context):
        return msgspec.structs.replace(honest.write_response(response, context), losses=())

    row = next(each for each in answers.ANSWERS if each.name == name)
    assert answers.cell(family, client, row).fate == "dropped"
    monkeypatch.setitem(DIALECTS, client, replace(honest, write_response=silent))
    assert answers.cell(family, client, row).fate == "unsaid"
