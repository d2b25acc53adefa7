"""Replicas on one PostgreSQL and one Redis are restarted under load: limits, a budget and the ledger hold (R3)."""

import time
from decimal import Decimal

import pytest
from cryptography.fernet import Fernet

from administrators import made_key
from databases import a_database
from redis_server import URL, redis_prefix
from rolling import Load, roll
from servers import providers_at, until

pytestmark = pytest.mark.req("R-TIER-005", "R-STOR-001")

ADMIN = "drg_admin_for_this_test"
HEARD_S = 2
"""A budget that one process has defined holds in every other one by then."""
DAILY = 40
TOTAL = Decimal("0.0005")
"""Some thirty calls, of which each sets aside a quarter of it."""


def calls_of(server, key_id):
    """How its calls have ended, page by page: every row of the ledger."""
    found, cursor = [], ""
    while True:
        path = f"/api/admin/requests?limit=1000&key_id={key_id}{cursor}"
        page = server.ask("GET", path, key=ADMIN).json()
        found += page["data"]
        if not page["has_more"]:
            return found
        cursor = f"&cursor={page['next_cursor']}"


def restarted(mock, folder, restarts):
    loads, ids = {}, {}

    def under(balancer, server):
        for name, limits, refused in (
            ("free", {}, None),
            ("limited", {"rpd": DAILY}, 429),
            ("poor", {}, 429),
        ):
            made = made_key(server, ADMIN, name, tenant=name, limits=limits)
            ids[name] = made["id"]
            members = {"max_tokens": 200} if name == "poor" else {}
            loads[name] = Load(balancer.port, made["key"], refused, **members)
        budget = {"tenant": "poor", "total_usd": str(TOTAL)}
        assert server.ask("PUT", "/api/admin/budgets/cent", budget, key=ADMIN).status == 201
        time.sleep(HEARD_S)
        return [loads["free"].going(), loads["limited"].going(2, 0), loads["poor"].going(2, 0)]

    def after(server):
        def is_written():
            """What the other replica has in memory comes within seconds (D26)."""
            found = {name: calls_of(server, ids[name]) for name in ids}
            calls = {
                name: load.told["whole"] + load.told["stream"] for name, load in loads.items()
            }
            done = {name: sum(row["status"] == "complete" for row in found[name]) for name in ids}
            return found if done == calls else None

        try:
            found = until(is_written, 15)
        except AssertionError:
            found = {
                name: calls_of(server, ids[name]) for name in ids
            }  # the numbers are told below
        budget = server.ask("GET", "/api/admin/budgets/cent", key=ADMIN).json()
        return found, budget

    with a_database("postgresql", folder) as url, redis_prefix() as prefix:
        shared = {
            "DATABASE_URL": url,
            "REDIS_URL": URL,
            "REDIS_PREFIX": prefix,
            "FERNET_KEY": Fernet.generate_key().decode(),
            "DEFAULT_ADMIN_USER_ID": "root",
            "DEFAULT_ADMIN_API_KEY": ADMIN,
        }
        rows, budget = roll(
            folder, restarts, under, after=after, **{**providers_at(mock.port), **shared}
        )
    assert [load.failures for load in loads.values()] == [[], [], []]
    complete = {
        name: [row for row in each if row["status"] == "complete"] for name, each in rows.items()
    }
    for name, load in loads.items():
        assert len(complete[name]) == load.told["whole"] + load.told["stream"], name
    assert loads["limited"].told["whole"] == DAILY
    assert loads["limited"].told["refused"] > 0
    spent = sum(Decimal(row["cost_usd"]) for row in complete["poor"])
    assert 0 < spent <= TOTAL
    assert loads["poor"].told["refused"] > 0
    (total,) = budget["windows"]
    assert Decimal(total["spent_usd"]) == spent
    assert Decimal(total["held_usd"]) == 0
    return loads


def test_two_restarts_on_shared_stores_fail_no_request_and_the_ledger_holds(mock, tmp_path):
    loads = restarted(mock, tmp_path, 2)
    assert min(loads["free"].told["whole"], loads["free"].told["stream"]) >= 5


@pytest.mark.gate
def test_twenty_restarts_on_shared_stores_fail_no_request_and_the_ledger_holds(mock, tmp_path):
    loads = restarted(mock, tmp_path, 20)
    assert loads["free"].told["whole"] >= 500
    assert loads["free"].told["stream"] >= 50
