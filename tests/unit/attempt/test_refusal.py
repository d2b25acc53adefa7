"""A provider's refusal says whose credential it was, and never the credential."""

import pytest

from dragoman.attempt.refusal import read_refusal, unquote
from dragoman.core.errors import UpstreamError
from dragoman.core.provider import Credential
from dragoman.core.secret import LiveSecret, Secret
from dragoman.dialects.registry import DIALECTS

SECRET = "sk-canary-0123456789abcdef"


@pytest.mark.req("R-AUTH-009", "R-PROV-011")
@pytest.mark.parametrize("family", ["chat", "responses", "anthropic", "gemini", "ollama"])
@pytest.mark.parametrize("status", [401, 402, 403])
def test_whose_credential_was_refused_is_told(family, status) -> None:
    body = b'{"error":{"message":"Incorrect API key provided: %b"}}' % SECRET.encode()
    told = {}
    for name in ("key-1", "own_1"):
        credential = Credential(name, Secret(SECRET))
        error = read_refusal(DIALECTS[family], credential, status, {}, body)
        assert SECRET[3:] not in error.message
        assert error.status == 502
        told[name] = error.message
    assert "the gateway's" in told["key-1"]
    assert "your own" in told["own_1"]
    assert "gateway" not in told["own_1"]


def test_a_token_that_was_renewed_meanwhile_is_hidden_as_well_and_without_what_stands_behind_it() -> (
    None
):
    tokens = iter(["the-first-token:org", "the-second-token:org"])
    credential = Credential("live", LiveSecret(lambda: next(tokens)))
    for _ in range(2):
        credential.secret.reveal()
    said = "the-first-token and the-second-token:org"
    error = UpstreamError("server", said, body=said.encode(), details={"seen": [{"by": said}]})
    unquote(error, credential)
    hidden = "[redacted] and [redacted]"
    assert (error.message, error.body) == (hidden, hidden.encode())
    assert error.details == {"seen": [{"by": hidden}]}
