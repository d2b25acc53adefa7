"""The workers of one gateway: their numbers are summed, and no folder of theirs is left behind."""

import os
import subprocess
import sys
from decimal import Decimal

import pytest

from dragoman.core.call import Attempt, Outcome
from dragoman.core.errors import HouseError
from dragoman.core.usage import Usage
from dragoman.telemetry import siblings as subject
from dragoman.telemetry.metrics import Metrics
from dragoman.telemetry.numbers import Numbers, encode_numbers
from dragoman.telemetry.siblings import Siblings, workers_folder
from finished import END, finished_call


@pytest.fixture
def dead():
    """The number of a process that was."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def worked(metrics, provider="openai", requests=1):
    tried = Attempt(
        id="a", number=1, provider=provider, model="m", credential=None, started=0, wall=0
    )
    tried.usage, tried.cost = Usage(input=3, output=5), Decimal("0.5")
    tried.first_event_s, tried.status = 0.2, "complete"
    for _ in range(requests):
        done = Outcome(attempts=[tried], http_status=200, label_model="m")
        metrics.finished(finished_call(done), 1.5)
    metrics.limited("rpm")
    metrics.usage_failures += 1
    metrics.active += 2
    metrics.sockets += 1


def sibling(folder, pid, **numbers):
    other = Metrics()
    worked(other, **numbers)
    other.breakers = {"openai": 1, "groq": 2}
    other.scores = {"openai": 20.0, "groq": 70.0}
    other.disabled = {"openai": 0, "groq": 1}
    other.models_off = {"openai": 3, "groq": 0}
    (folder / f"{pid}.1").write_bytes(encode_numbers(other.numbers()))


def test_the_one_that_is_asked_adds_the_others_to_its_own(tmp_path, dead):
    metrics = Metrics(Siblings(tmp_path))
    worked(metrics, requests=2)
    metrics.breakers = {"openai": 2, "groq": 0, "xai": 0}
    metrics.scores = {"openai": 90.0, "groq": 60.0}
    metrics.disabled = {"openai": 1, "groq": 0}
    metrics.models_off = {"openai": 2, "groq": 0}
    metrics.publish()
    sibling(tmp_path, os.getppid(), requests=3)
    sibling(tmp_path, dead, provider="mistral", requests=4)
    (tmp_path / "1.7").write_bytes(b"torn")
    for _ in range(2):
        text = metrics.text().decode()
        mine, theirs = 'model="m",provider="openai"', 'model="m",provider="mistral"'
        assert (
            f'dragoman_requests_total{{{END},{mine},status="200",streaming="false"}} 5.0' in text
        )
        assert (
            f'dragoman_requests_total{{{END},{theirs},status="200",streaming="false"}} 4.0' in text
        )
        assert f'dragoman_tokens_total{{{mine},type="output"}} 25.0' in text
        assert f"dragoman_cost_usd_total{{{mine}}} 2.5" in text
        assert f'dragoman_request_duration_seconds_bucket{{le="2.5",{mine}}} 5.0' in text
        assert f"dragoman_time_to_first_token_seconds_sum{{{mine}}} 1.0" in text
        assert 'dragoman_attempts_total{outcome="complete",provider="openai"} 5.0' in text
        assert 'dragoman_rate_limit_hits_total{limit="rpm"} 3.0' in text
        assert "dragoman_usage_write_failures_total 3.0" in text
        # Of the dead one nothing is under way. Open is worse than half-open.
        assert "dragoman_active_requests 4.0" in text
        assert "dragoman_websocket_connections 2.0" in text
        assert 'dragoman_circuit_breaker_state{provider="openai"} 1.0' in text
        assert 'dragoman_circuit_breaker_state{provider="groq"} 2.0' in text
        assert 'dragoman_circuit_breaker_state{provider="xai"} 0.0' in text
        # Of scores and of who is disabled the worst is shown.
        assert 'dragoman_provider_score{provider="openai"} 20.0' in text
        assert 'dragoman_provider_score{provider="groq"} 60.0' in text
        assert 'dragoman_provider_disabled{provider="openai"} 1.0' in text
        assert 'dragoman_provider_disabled{provider="groq"} 1.0' in text
        assert 'dragoman_disabled_models{provider="openai"} 3.0' in text
        assert "dragoman_shared_state_up" not in text
        assert f'process_start_time_seconds{{worker="{os.getpid()}"}}' in text
        assert f'worker="{dead}"' not in text
    assert list(metrics.numbers().served["openai", "m"].ends.values()) == [2]


def test_a_single_process_has_no_worker_label_and_publishes_nothing():
    metrics = Metrics()
    metrics.publish()
    assert "process_start_time_seconds " in metrics.text().decode()


def test_numbers_are_written_when_they_change_and_a_full_disk_is_no_failure(tmp_path):
    one, other = Siblings(tmp_path), Siblings(tmp_path)
    one.write(encode_numbers(Numbers(active=1)))
    (file,) = tmp_path.iterdir()
    written = file.stat().st_mtime_ns
    one.write(encode_numbers(Numbers(active=1)))
    assert file.stat().st_mtime_ns == written
    assert [(pid, alive, numbers.active) for pid, alive, numbers in other.read()] == [
        (os.getpid(), True, 1)
    ]
    file.unlink()
    tmp_path.rename(tmp_path.with_name("away"))
    one.write(encode_numbers(Numbers(active=2)))
    assert list(other.read()) == []
    tmp_path.with_name("away").rename(tmp_path)
    one.write(encode_numbers(Numbers(active=2)))
    assert [numbers.active for _, _, numbers in other.read()] == [2]


def test_a_process_of_another_user_lives(monkeypatch, tmp_path):
    def kill(pid, number):
        raise PermissionError

    sibling(tmp_path, 12345)
    monkeypatch.setattr(subject.os, "kill", kill)
    assert [alive for _, alive, _ in Siblings(tmp_path).read()] == [True]


def test_a_folder_ends_with_its_gateway_and_one_that_was_left_with_the_next_start(tmp_path):
    home = tmp_path / "home"
    code = (
        "import os, pathlib, sys; from dragoman.telemetry.siblings import workers_folder\n"
        "with workers_folder(pathlib.Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(home)], check=False)
    (left,) = home.iterdir()
    with workers_folder(home) as first, workers_folder(home) as second:
        assert set(home.iterdir()) == {first, second}
        assert left not in {first, second}
        (first / "1.1").write_bytes(b"")
    assert list(home.iterdir()) == []


def test_a_home_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(HouseError, match=r"file/home cannot be written to \(.+\): check"),
        workers_folder(tmp_path / "file" / "home"),
    ):
        pytest.fail("there is no folder")


def test_a_folder_that_another_start_has_removed_is_no_failure(tmp_path):
    assert subject._lock(tmp_path / "gone") is None
