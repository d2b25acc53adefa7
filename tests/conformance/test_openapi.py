"""The whole OpenAPI document against the gateway, by Schemathesis (I11).

No failure of the server, no status and no body that the document does not tell, no way past the key. A short run at each
change; the long one is in ``make gate``.
"""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from administrators import admin_key, made_key
from ob1_service import environment, ob1_service
from servers import gateway_server

pytestmark = [pytest.mark.req("R-ADM-005", "R-SURF-033"), pytest.mark.timeout(1500)]

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,ignored_auth"
ENDS_KEYS = r"(revoke|rotate|update$|v1/api-keys/)"
"""What may end the very key that asks: these are asked in a run of their own, which may end in 401s."""


@contextmanager
def fuzzed(folder, *, local=True, **said):
    """A gateway from which nothing that the document allows goes out to the real OB-1."""
    with (
        ob1_service() as (logins, _),
        gateway_server(
            folder,
            local=local,
            ADMIN_KEYS_RATE_LIMIT_RPS="0",
            ADMIN_KEYS_RATE_LIMIT_RPM="0",
            **environment(logins, folder / "accounts.json"),
            **said,
        ) as server,
    ):
        yield server


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A gateway that may be left in any state."""
    with fuzzed(tmp_path_factory.mktemp("fuzzed")) as server:
        yield server


def run(server, tmp_path, examples, *options, phases="examples,fuzzing", key=None):
    program = Path(sys.executable).with_name("st")
    done = subprocess.run(
        [program, "run", f"{server.url}/openapi.json", "--header", f"Authorization: Bearer {key or admin_key(server)}",
         "--max-examples", str(examples), "--phases", phases, "--checks", CHECKS,
         "--continue-on-failure", "--generation-database", "none", "--seed", "1",
         "--generation-with-security-parameters", "false", "--warnings", "off", *options],
        cwd=tmp_path, capture_output=True, text=True, timeout=1400, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-1000:]
    return int(re.search(r"(\d+) generated", done.stdout)[1])


def test_nothing_that_the_document_allows_or_forbids_is_answered_otherwise(own, tmp_path):
    assert run(own, tmp_path, 1, "--exclude-path-regex", ENDS_KEYS) > 500
    assert "internal error" not in own.log.read_text(errors="replace")


def test_what_ends_keys_keeps_to_the_document_too(own, tmp_path):
    assert run(own, tmp_path, 3, "--include-path-regex", ENDS_KEYS) > 50


@pytest.mark.gate
@pytest.mark.parametrize(
    ("option", "examples", "least"),
    [("--exclude-path-regex", 100, 10_000), ("--include-path-regex", 100, 1_400)],
)
def test_the_long_run(tmp_path, option, examples, least):
    with fuzzed(tmp_path) as server:
        phases = "examples,coverage,fuzzing"
        assert run(server, tmp_path, examples, option, ENDS_KEYS, phases=phases) > least
        assert "internal error" not in server.log.read_text(errors="replace")


ADMIN = "an-admin-key-of-ones-own"


@pytest.fixture(scope="module")
def production(mock, tmp_path_factory):
    """A gateway as one serves others with."""
    folder = tmp_path_factory.mktemp("production")
    (folder / "home").mkdir()
    said = {
        "OPENAI_API_KEY": "sk-mock-0123456789abcdef0123456789abcdef",
        "OPENAI_BASE_URL": f"{mock.url}/openai/v1",
        "MODE": "prod",
        "DATABASE_URL": f"sqlite:///{folder}/home/prod.db",
        "FERNET_KEY": Fernet.generate_key().decode(),
        "CORS_ALLOW_ORIGINS": "https://app.example",
        "DEFAULT_ADMIN_USER_ID": "root",
        "DEFAULT_ADMIN_API_KEY": ADMIN,
    }
    with fuzzed(folder, local=False, **said) as server:
        yield server


def checked_as(role, server, tmp_path, examples, phases):
    """A run with a key of that role, but for what may end the key itself."""
    key = made_key(server, ADMIN, role, tenant=role, role=role)["key"]
    options = ("--exclude-path-regex", ENDS_KEYS)
    number = run(server, tmp_path, examples, *options, phases=phases, key=key)
    assert "internal error" not in server.log.read_text(errors="replace")
    assert server.ask("GET", "/v1/keys/me", key=key).status == 200, "it has not ended meanwhile"
    return number


@pytest.mark.gate
@pytest.mark.parametrize("role", ["user", "tenant_admin"])
def test_the_document_holds_for_every_role_in_production(production, tmp_path, role):
    assert checked_as(role, production, tmp_path, 5, "examples,coverage,fuzzing") > 2000
