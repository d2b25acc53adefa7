"""A call of Responses, who may answer it, and a keeper with a store in memory."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

from dragoman.core.ask import read_ask
from dragoman.core.call import Answer, Attempt, Call, Head
from dragoman.core.clock import ManualClock
from dragoman.core.provider import Candidate, Credential, Plan, Provider
from dragoman.core.secret import Secret
from dragoman.keeping.keep import keep
from dragoman.keeping.keeper import Keeper, KeepingPolicy
from dragoman.keeping.recall import recall
from memory_responses import MemoryResponses

CALL_ID = "01990000-0000-7000-8000-00000000000"


def candidate(name, family="chat", key="key-1"):
    provider = Provider(
        name=name, family=family, base_url=f"http://{name}.test", paths={"chat": "/x"}
    )
    credential = Credential(id=key, secret=Secret("s" * 9), origin=f"http://{name}.test")
    return Candidate(provider, "m", credential)


GROQ = candidate("groq")
OPENAI = candidate("openai", "responses")
OPENAI_TOO = candidate("openai", "responses", "key-2")
XAI = candidate("xai", "responses")


class Desk:
    """Makes calls one after the other, as the pipeline does."""

    def __init__(self, **policy):
        self.store = MemoryResponses()
        self.clock = ManualClock()
        self.reported = []
        self.keeper = Keeper(
            self.store,
            self.clock,
            KeepingPolicy(**policy),
            lambda error, call: self.reported.append(error),
            {"openai": "http://openai.test", "xai": "http://xai.test"}.get,
        )
        self.number = 0

    def call(self, operation="chat", *, strict=False):
        self.number += 1
        return Call(
            id=f"{CALL_ID}{self.number}",
            request_id="r",
            trace_id="t",
            dialect="responses",
            operation=operation,
            route="/v1/responses",
            proof=None,
            headers={},
            read_body=None,
            received=0,
            wall=0,
            strict=strict,
        )

    def recall(self, *candidates, tenant="ours", call=None, **members):
        """What is sent on, to whom, and what will be kept."""
        body = json.dumps({"model": "m", **members}).encode()
        plan = Plan("m", candidates or (GROQ,))
        call = call or self.call()
        found = asyncio.run(recall(read_ask(body), plan, call, tenant, self.keeper))
        return SimpleNamespace(
            ask=found[0],
            body=json.loads(found[0].body),
            candidates=found[1].candidates,
            keeping=found[2],
            call=call,
        )

    def answer(self, recalled, reply, by=None):
        """The whole reply as it goes out; ``by`` has served."""
        served = by or recalled.candidates[0]
        recalled.call.outcome.attempts.append(attempt_of(served))
        answer = Answer(Head(200, "application/json", json.dumps(reply).encode()))
        if recalled.keeping is not None:
            answer = asyncio.run(keep(answer, recalled.keeping, recalled.call, self.keeper))
        return json.loads(answer.head.body)

    def turn(self, text="hi", by=None, tenant="ours", reply=None, **members):
        """A whole turn; the reply as its caller got it."""
        found = self.recall(*([by] if by else []), tenant=tenant, input=text, **members)
        said = reply or response(f"resp_{self.number}", f"You said {text}")
        return self.answer(found, said)


def attempt_of(served):
    return Attempt(
        id="a",
        number=1,
        provider=served.provider.name,
        model="m",
        credential=served.credential.id,
        started=0,
        wall=0,
    )


def response(name, text="Hello", **members):
    message = {
        "id": f"msg_{name}",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    }
    return {
        "id": name,
        "object": "response",
        "status": "completed",
        "store": False,
        "previous_response_id": None,
        "output": [message],
        **members,
    }


def texts(items):
    """Who said what."""
    return [(item["role"], item["content"][0]["text"]) for item in items]
