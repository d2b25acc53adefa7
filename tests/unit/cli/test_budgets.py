"""``dragoman budgets``: what callers may spend, without a server."""

import asyncio
import json

import pytest

from dragoman.admission.budget_ports import Want
from dragoman.core.budget import Charge, Payer, Pot, Stake, since_of
from dragoman.core.clock import SystemClock
from dragoman.store.engine import open_database
from dragoman.store.sql.budget_charges import charge
from dragoman.store.sql.budget_leases import SqlLeases
from dragoman.store.sql.ledger_rows import statements

pytestmark = [pytest.mark.req("R-TIER-008", "R-CLI-020"), pytest.mark.usefixtures("tables")]

CALL, ATTEMPT = "0198c2f4-0000-7000-8000-000000000001", "0198c2f4-0000-7000-8000-000000000002"


def told(dragoman, *arguments, code=0):
    found = dragoman("budgets", *arguments, "--json")
    assert found[0] == code, found
    return json.loads(found[1])


def in_database(clean, work):
    async def go():
        database = open_database(f"sqlite:///{clean}/home/dragoman.db")
        try:
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(go())


def test_a_budget_is_set_shown_and_removed(dragoman, clean):
    assert "There are no budgets" in dragoman("budgets", "list")[1]
    code, out, _ = dragoman(
        "budgets", "set", "people", "--tenant", "acme", "--each", "user", "--daily", "2",
        "--alert-at", "0.5", "--most-output", "300",
    )  # fmt: skip
    assert (code, out) == (0, "Budget people: 2 USD daily, each user of tenant acme.\n")
    (listed,) = told(dragoman, "list")["budgets"]
    assert listed == {
        "name": "people", "daily_usd": "2", "tenant": "acme", "each": "user", "alert_at": ["0.5"],
        "clamp_output": 300, "source": "database", "windows": [],
    }  # fmt: skip
    assert "each user of tenant acme" in dragoman("budgets", "list")[1]
    shown = told(dragoman, "show", "people")
    assert (shown["holds"], shown["leases"], shown["alerts"]) == ([], [], [])
    assert dragoman("budgets", "remove", "people")[0] == 0
    assert told(dragoman, "remove", "people", code=1)["error"]["message"].endswith(
        "there is none."
    )
    assert "no budget 'people'" in told(dragoman, "show", "people", code=1)["error"]["message"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["set", "t"], "say daily_usd"),
        (["set", "t", "--monthly", "much"], "much"),
        (["set", "t", "--monthly", "1", "--each", "team"], "tenant, project, key, user"),
        (["set", "t", "--monthly", "1", "--instead-of", "x"], "no such budget"),
        (["release"], "Say the id"),
        (["release", "x", "--budget", "t"], "Say the id"),
        (["release", "x", "--cost", "-1"], "--cost is '-1'"),
        (["release", "x"], "Nothing is held"),
    ],
)
def test_what_is_wrong_is_told(dragoman, clean, arguments, says):
    code, _, err = dragoman("budgets", *arguments)
    assert code != 0
    assert says in err


def test_what_is_held_and_leased_is_shown_and_released(dragoman, clean):
    told(dragoman, "set", "team", "--monthly", "1")
    now = SystemClock().wall()

    async def spend(database):
        leases = SqlLeases(database, SystemClock())
        stake = Stake("p1", 10**9, (Payer("team", ""),))
        async with database.write() as connection:
            await charge(
                connection,
                statements(database.engine.dialect).charge,
                [
                    (CALL, ATTEMPT, Charge(stake, now, 0, 10**9)),
                    (CALL, ATTEMPT[:-1] + "3", Charge(stake, now, 10**9, 0)),
                ],
            )
        pot = Pot("team", "", "month", since_of("month", now))
        await leases.lease("p2", [Want(pot, 10**12, 10**9, 1)], alone=False)
        await leases.told(pot, 800_000)

    in_database(clean, spend)
    code, out, _ = dragoman("budgets", "show", "team")
    assert code == 0
    assert "0.001 of 1 USD spent, 0.001 held, 0.01 leased" in out
    assert "told      80%" in out
    assert f"held      0.001 USD for {CALL}" in out
    assert "leased    0.01 USD by p2" in out
    assert "is alive" in told(dragoman, "release", "p2", code=1)["error"]["message"]
    (held,) = told(dragoman, "release", CALL, "--cost", "0.0004")["released"]
    assert (held["attempt_id"], held["held_usd"]) == (ATTEMPT, "0.001")
    (window,) = told(dragoman, "show", "team")["windows"]
    assert (window["spent_usd"], window["held_usd"]) == ("0.0014", "0")
    assert told(dragoman, "release", "--budget", "team")["released"] == []


def test_a_budget_of_the_file_is_not_changed_here(dragoman, clean):
    (clean / "dragoman.toml").write_text("format = 1\n[budgets.team]\nmonthly_usd = 5\n")
    said = told(dragoman, "set", "team", "--monthly", "1", code=1)
    assert "stands in dragoman.toml" in said["error"]["message"]
    assert (
        "stands in dragoman.toml" in told(dragoman, "remove", "team", code=1)["error"]["message"]
    )
    (listed,) = told(dragoman, "list")["budgets"]
    assert (listed["source"], listed["windows"][0]["limit_usd"]) == ("file", "5")
    (clean / "dragoman.toml").write_text("format = 1\n[budgets.team]\nmonth = 5\n")
    said = told(dragoman, "list", code=2)
    assert "[budgets.team]: unknown member 'month'" in said["error"]["message"]
