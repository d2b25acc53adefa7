"""Tools of one answer run beside each other; each result finds its call (R-FILE-008)."""

import asyncio
import json
import threading

import pytest

from dragoman.library.parallel import parallel

pytestmark = pytest.mark.req("R-FILE-008")


def call(name, number, **arguments):
    return {
        "id": f"call_{number}",
        "type": "function",
        "function": {"name": name, "arguments": json.dumps(arguments)},
    }


def test_all_run_at_once_and_results_stand_in_the_order_of_their_calls():
    together = threading.Barrier(3, timeout=10)

    def weather(location):
        together.wait()
        return {"location": location}

    found = parallel(
        [call("weather", n, location=f"L{n}") for n in range(3)], {"weather": weather}
    )
    assert [each["tool_call_id"] for each in found] == ["call_0", "call_1", "call_2"]
    assert [json.loads(each["content"])["location"] for each in found] == ["L0", "L1", "L2"]
    assert {each["role"] for each in found} == {"tool"}


def test_coroutines_text_and_odd_values():
    async def later(text):
        await asyncio.sleep(0)
        return text

    functions = {"later": later, "strange": lambda: {1, 2}, "thing": object}
    first, second, third = parallel(
        [call("later", 1, text="as it is"), call("strange", 2), call("thing", 3)], functions
    )
    assert first["content"] == "as it is"
    assert sorted(json.loads(second["content"])) == [1, 2]
    assert "object" in third["content"]


def test_what_one_tool_raises_is_its_own_result():
    def bad():
        raise ValueError("no such city")

    broken = {"id": "call_2", "function": {"name": "good", "arguments": "{"}}
    found = parallel(
        [call("bad", 0), call("absent", 1), broken, call("good", 3)],
        {"bad": bad, "good": lambda: "fine"},
    )
    errors = [json.loads(each["content"])["error"] for each in found[:3]]
    assert errors[0] == "ValueError: no such city"
    assert "no tool 'absent'" in errors[1]
    assert errors[2].startswith("DecodeError")
    assert found[3]["content"] == "fine"


def test_no_calls_no_results():
    assert parallel([], {}) == []
