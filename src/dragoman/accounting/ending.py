"""The end of a call's account: with a whole answer or a failure; a stream ends its own, with its last piece."""

from __future__ import annotations

from collections.abc import Awaitable

from dragoman.accounting.account import Tab
from dragoman.core.call import Answer, Call
from dragoman.core.errors import GatewayError, code_of
from dragoman.dialects.registry import DIALECTS


async def accounted(answering: Awaitable[Answer], call: Call, tab: Tab) -> Answer:
    """The answer, or the failure, with the account of the call brought to its end."""
    answer: Answer | None = None
    try:
        answer = await answering
    except Exception as error:
        tell_failure(error, call)
        raise
    finally:
        end_account(answer, call, tab)
    return answer


def tell_failure(error: Exception, call: Call) -> None:
    """What the ledger will say of a call that got no answer."""
    if call.gone and not call.outcome.attempts:
        return  # before anybody was asked, and nobody is told of it: ``end_account`` says the rest
    if isinstance(error, GatewayError):
        # The status in the caller's own dialect: Anthropic's have one of their own for who is overloaded.
        _note(call, DIALECTS[call.dialect].error_status(error), code_of(error))
        return
    _note(call, 500, "internal_error")
    call.outcome.status = "house_error"


def end_account(answer: Answer | None, call: Call, tab: Tab) -> None:
    """Ends the account of a call; a stream ends it itself, with its last piece."""
    outcome = call.outcome
    if (answer is None or answer.pieces is None) and not outcome.accounted:
        if outcome.status == "unknown" and not outcome.attempts:
            outcome.status = "client_cut"
        tab.finish()


def _note(call: Call, status: int, code: str) -> None:
    call.outcome.http_status, call.outcome.error_code = status, code
    if not call.outcome.attempts:
        call.outcome.status = "refused"
