"""A question to a provider about what it keeps for us: nothing is generated, and nothing billed.

It goes to one provider with one credential, is not retried, and stands in no ledger.
"""

from __future__ import annotations

from dragoman.attempt.means import Means
from dragoman.attempt.ports import UpstreamReply, UpstreamRequest
from dragoman.attempt.refusal import read_refusal
from dragoman.core.call import Call
from dragoman.core.errors import UpstreamError
from dragoman.core.provider import Credential, Provider
from dragoman.core.trace import span_of, write_traceparent
from dragoman.credentials.static import header_of
from dragoman.dialects.registry import DIALECTS

ERRAND_S = 60.0
"""Until the head of the reply."""


async def run_errand(
    provider: Provider,
    credential: Credential | None,
    method: str,
    path: str,
    call: Call,
    means: Means,
) -> UpstreamReply:
    """The provider's reply, whose body is the caller's to read and to close.

    Raises:
        UpstreamError: it refused, or could not be reached.
    """
    headers = {
        "accept": "application/json, text/event-stream",
        "accept-encoding": "identity",
        "user-agent": means.user_agent,
        "traceparent": write_traceparent(
            call.trace_id, span_of(call.id), sampled=call.told_sampled
        ),
        **provider.headers,
        **header_of(provider, credential),
    }
    if call.tracestate:
        headers["tracestate"] = call.tracestate
    if "openai-beta" in call.headers:
        headers["openai-beta"] = call.headers["openai-beta"]
    request = UpstreamRequest(
        method, provider.base_url + path, headers, None, means.policy.connect_s, ERRAND_S
    )
    try:
        reply = await means.transport.send(request)
    except UpstreamError as error:
        error.provider = provider.name
        raise
    if 200 <= reply.status < 300:
        return reply
    try:
        body = await reply.read(means.policy.error_limit)
    except UpstreamError:
        body = b""  # too long, or broken off: the status alone says enough
    finally:
        await reply.close()
    dialect = DIALECTS[provider.family]
    refusal = read_refusal(dialect, credential, reply.status, reply.headers, body)
    refusal.provider = provider.name
    if 500 <= reply.status < 600:
        refusal.status = reply.status
    raise refusal
