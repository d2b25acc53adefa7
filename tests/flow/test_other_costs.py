"""What tries have cost that did not serve: on the call's row, in the sums, and on the invoice, to the last digit."""

import json
from decimal import Decimal

import pytest

from harness.evidence import pico
from harness.house import named, scene, told_by
from ledger_views import QUICK, rows
from servers import beside, gateway_server, until

D = Decimal
FIRST = f"openrouter/{named('usual', 'usage-off', 'error-after-0')}"
"""It fails after it has begun, and says later what that came to."""
SECOND = "groq/usual"


@pytest.mark.req("R-USE-002", "M9", "U6")
def test_a_try_that_was_billed_and_did_not_serve_is_on_the_invoice(tmp_path):
    models = [name.split("/", 1)[1] for name in (FIRST, SECOND)]
    quick = {**QUICK, "MAX_RETRIES": "0"}
    with (
        scene(tmp_path, models, mock_config={"generationDelay": 100}, **quick) as place,
        gateway_server(place.folder, **place.settings) as server,
    ):
        routing = {"fallback": [SECOND]}
        reply = server.chat(FIRST, headers={"x-request-id": "twice"}, stream=True, routing=routing)
        assert reply.status == 200, reply.body
        until(lambda: rows(server, "SELECT 1 FROM ledger_requests"))
        until(lambda: not rows(server, "SELECT 1 FROM unsettled"))
        *lost, served = rows(server, "SELECT * FROM ledger_attempts ORDER BY number")
        (call,) = rows(server, "SELECT * FROM ledger_requests")
        assert {(each["provider"], each["status"]) for each in lost} == {
            ("openrouter", "upstream_error")
        }
        wasted = sum(each["cost_pico"] for each in lost)
        assert (served["provider"], served["status"]) == ("groq", "complete")
        assert call["cost_pico"] == served["cost_pico"] > 0
        assert call["other_cost_pico"] == wasted > 0
        (hour,) = rows(server, "SELECT SUM(other_cost_pico) AS pico FROM ledger_hours")
        assert hour["pico"] == wasted
        month = server.row("twice")["created_at"][:7]
        bill = json.loads(beside(server, "invoices", month, "--json"))
        (invoice,) = bill["data"] if "data" in bill else bill["invoices"]
        charged = sum(
            pico(each["invoice"]) for each in told_by(place.mock) if each["method"] == "POST"
        )
        assert D(invoice["cost_usd"]) * 10**12 == charged
        assert charged == wasted + served["cost_pico"]
