"""The shortest proof that it works."""

import pytest


@pytest.mark.req("R-DEV-004", "R-SURF-001", "R-PROV-009")
def test_a_fresh_gateway_answers_over_real_http(lonely):
    reply = lonely.chat()
    assert reply.status == 200
    assert reply.json()["choices"][0]["message"]["content"]
    assert reply.headers["x-dragoman-provider"] == "stub"
