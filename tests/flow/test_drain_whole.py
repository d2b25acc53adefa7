"""What the drain limit cuts before its answer has begun is a 503 in the caller's dialect."""

import signal
import threading
import time

import pytest

from servers import gateway_server, providers_at


@pytest.mark.parametrize(
    ("model", "stream"),
    [
        ("openai/gpt-4o-mini--mock-delay-9000", False),
        ("openai/gpt-4o-mini--mock-delay-9000", True),
        ("openai/gpt-4o-mini--mock-status-429--mock-retry-after-9", False),
    ],
)
def test_an_answer_that_has_not_begun_at_the_drain_limit_is_a_503(mock, tmp_path, model, stream):
    environment = {**providers_at(mock.port), "DRAIN_TIMEOUT_S": "1"}
    told = []
    with gateway_server(tmp_path, **environment) as server:

        def ask():
            told.append(server.chat(model, stream=stream, headers={"x-request-id": "late"}))

        thread = threading.Thread(target=ask)
        thread.start()
        time.sleep(0.4)
        server.process.send_signal(signal.SIGTERM)
        thread.join(10)
        assert server.process.wait(10) == 0
        assert "completing" not in server.tail()
    assert told[0].status == 503, told[0].body
    assert told[0].json()["error"]["code"] == "server_draining"
    with gateway_server(tmp_path, **environment) as server:
        row = server.row("late")
        assert row["status"] != "client_cut"
        assert row["http_status"] in {503, None}
