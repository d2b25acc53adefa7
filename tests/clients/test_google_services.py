"""Google's real client library against a local Drive and Calendar, with connections that break off (R-CRED-006 … 008)."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

import dragoman
from dragoman.core.errors import HouseError
from dragoman.core.secret import Secret
from dragoman.credentials.token import Token
from fake_google import google_at
from lacking import lacking

WORKERS = 20
CALLS = 6
at_once = partial(dragoman.api_call_with_retry, sleep=lambda seconds: None)


@pytest.fixture(autouse=True)
def installed():
    try:
        import google_auth_httplib2  # noqa: F401
        import googleapiclient  # noqa: F401
    except ModuleNotFoundError:
        lacking("google-api-python-client is not installed: the extra [google]")


class Tokens:
    """A login whose token may have been replaced behind our back."""

    def __init__(self, *values):
        self.values = list(values)
        self.renewals = 0
        self.lock = threading.Lock()

    def current(self):
        return Token(access=Secret(self.values[0]))

    def renewed(self, refused):
        with self.lock:
            if self.values[0] == refused:
                self.renewals += 1
                self.values.pop(0)
            return self.current()


def service(google, name="drive", version="v3", **said):
    said.setdefault("token", Tokens("token-1"))
    return dragoman.get_google_service(
        name, version, discovery_url=google.discovery_url, ca_file=google.authority, **said
    )


@pytest.mark.req("R-CRED-006", "R-CRED-007", "R-CRED-008", "R-ADD-012")
def test_twenty_threads_get_all_their_answers_though_connections_break(tmp_path):
    with google_at(tmp_path, break_every=7) as google:
        drive = dragoman.get_drive_service(
            thread_safe=True,
            token=Tokens("token-1"),
            discovery_url=google.discovery_url,
            ca_file=google.authority,
        )
        calendar = service(google, "calendar", thread_safe=True)
        start = threading.Barrier(WORKERS)

        def work(number):
            start.wait(30)
            found = []
            for call in range(CALLS):
                file = f"f{number}-{call}"
                # Sequences of failures are short here, and there may be one behind the other.
                found.append(at_once(drive.files().get(fileId=file), 8)["id"] == file)
                events = at_once(calendar.events().list(calendarId="primary"), 8)
                found.append(events["items"][0]["summary"] == "Lunch")
            return found

        with ThreadPoolExecutor(WORKERS) as pool:
            results = list(pool.map(work, range(WORKERS)))
        drive.close()
        calendar.close()
    assert all(all(each) for each in results)
    assert sum(map(len, results)) == WORKERS * CALLS * 2
    assert google.counts["broken"] > 20, "the storm did not blow"
    assert len(google.peers) >= 2 * WORKERS, "threads shared connections"


@pytest.mark.req("R-CRED-007")
def test_a_403_raises_at_once(tmp_path):
    from googleapiclient.errors import HttpError

    with google_at(tmp_path) as google:
        drive = service(google)
        with pytest.raises(HttpError) as refused:
            dragoman.api_call_with_retry(drive.files().get(fileId="secret"))
        drive.close()
    assert refused.value.resp.status == 403
    assert google.counts["/drive/v3/files/secret"] == 1


@pytest.mark.req("R-CRED-005", "R-CRED-008")
@pytest.mark.parametrize("thread_safe", [False, True])
def test_a_token_that_is_refused_is_renewed_once(tmp_path, thread_safe):
    tokens = Tokens("token-old", "token-1")
    with google_at(tmp_path) as google:
        drive = service(google, token=tokens, thread_safe=thread_safe)
        assert drive.files().list(pageSize="1").execute()["files"][0]["name"] == "Notes"
        assert drive.files().list().execute()["files"]
        drive.close()
    assert tokens.renewals == 1
    assert google.shown == ["token-old", "token-1", "token-1"]


@pytest.mark.req("R-CRED-008")
def test_each_thread_has_a_connection_of_its_own_and_keeps_it(tmp_path):
    with google_at(tmp_path) as google:
        drive = service(google, thread_safe=True)
        built = len(google.peers)
        both = threading.Barrier(2)

        def work(_):
            both.wait(10)
            for _ in range(3):
                drive.files().list().execute()

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(work, range(2)))
        assert len(google.peers) - built == 2
        drive.close()


@pytest.mark.req("R-CRED-006")
def test_an_endpoint_of_ones_own_goes_before_what_the_description_says(tmp_path):
    with google_at(tmp_path) as google:
        drive = dragoman.get_drive_service(
            token=Tokens("token-1"), endpoint=f"{google.url}/drive/v3/", ca_file=google.authority
        )
        # The description is the one that the library brings along: nothing was asked for it.
        assert at_once(drive.files().list())["files"]
        drive.close()
    assert google.counts["answers"] == 1


@pytest.mark.req("R-ADD-011")
def test_who_has_not_logged_in_is_told_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv("DRAGOMAN_SECRETS", str(tmp_path / "secrets"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HouseError, match="dragoman reauth google"):
        dragoman.get_drive_service()


@pytest.mark.req("R-ADD-011", "R-CRED-006")
def test_without_the_extra_the_error_names_it_and_imports_go_on():
    code = (
        "import sys\n"
        "sys.modules['googleapiclient'] = sys.modules['googleapiclient.discovery'] = None\n"
        "import dragoman, dragoman.clients.google\n"
        "try:\n    dragoman.get_drive_service(token=object())\n"
        "except Exception as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert "pip install 'dragoman[google]'" in done.stdout


@pytest.mark.req("R-CRED-001", "R-CRED-005", "R-ADD-012")
def test_the_login_of_the_secrets_folder_is_what_a_service_shows(tmp_path, monkeypatch):
    secrets = tmp_path / "secrets"
    secrets.mkdir(mode=0o700)
    file = secrets / "google_creds.json"
    ends = datetime.now(UTC) + timedelta(hours=1)
    token = {
        "token": "token-1",
        "refresh_token": "r",
        "expiry": ends.isoformat(),
        "client_id": "us",
    }
    file.write_text(json.dumps({"type": "authorized_user", **token}))
    file.chmod(0o600)
    monkeypatch.setenv("DRAGOMAN_SECRETS", str(secrets))
    monkeypatch.chdir(tmp_path)
    with google_at(tmp_path) as google:
        drive = dragoman.get_drive_service(
            thread_safe=True, discovery_url=google.discovery_url, ca_file=google.authority
        )
        assert drive.files().list().execute()["files"]
        drive.close()
    assert google.shown == ["token-1"]
