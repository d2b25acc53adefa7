"""Usage as real providers report it, priced by hand: equal to the last digit.

The counts are those of real replies, the prices those of the providers' lists at the time, in USD a million tokens;
each amount was reckoned by hand, as the comment beside it shows, and stands here as a number.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from dragoman.accounting.price import settle
from dragoman.core.money import from_pico, to_pico
from dragoman.core.provider import Price
from dragoman.dialects.anthropic.usage import read_usage as read_anthropic
from dragoman.dialects.anthropic.wire import WireUsage as Anthropic
from dragoman.dialects.chat.reply_wire import UsageWire as Chat
from dragoman.dialects.chat.reply_wire import loosely
from dragoman.dialects.chat.usage import read_usage as read_chat
from dragoman.dialects.gemini.usage import read_usage as read_gemini
from dragoman.dialects.responses.usage import WireUsage as Responses
from dragoman.dialects.responses.usage import read_usage as read_responses

D = Decimal


def rates(**said: str) -> Price:
    return msgspec.structs.replace(Price(source="by hand"), **{k: D(v) for k, v in said.items()})


GPT_5 = rates(input="1.25", cache_read="0.125", output="10")
GPT_5_NANO = rates(input="0.05", cache_read="0.005", output="0.4")
GPT_56 = rates(input="5", cache_read="0.5", cache_write="6.25", output="30")
GPT_4O = rates(input="2.5", cache_read="1.25", output="10")
GPT_4O_AUDIO = rates(input="2.5", output="10", audio_input="40", audio_output="80")
EMBEDDING = rates(input="0.02")
INSTRUCT = rates(input="1.5", output="2")
SONNET = rates(
    input="3",
    cache_read="0.3",
    cache_write="3.75",
    cache_write_1h="6",
    output="15",
    per_search="0.01",
)
HAIKU = rates(input="1", cache_read="0.1", cache_write="1.25", cache_write_1h="2", output="5")
FLASH = rates(input="0.3", cache_read="0.03", output="2.5")
FLASH_2 = rates(input="0.1", cache_read="0.025", output="0.4")
PRO_3 = msgspec.structs.replace(
    rates(input="2", cache_read="0.2", output="12"),
    above=((200_000, rates(input="4", cache_read="0.4", output="18")),),
)
FLASH_15 = msgspec.structs.replace(
    rates(input="0.075", cache_read="0.01875", output="0.3"),
    above=((128_000, rates(input="0.15", cache_read="0.0375", output="0.6")),),
)
DEEPSEEK = rates(input="0.28", cache_read="0.028", output="0.42")
GPT_OSS = rates(input="0.15", cache_read="0.075", output="0.6")
LLAMA_33 = rates(input="0.59", output="0.79")
GROK_4 = rates(input="3", cache_read="0.75", output="15")
GROK_3_MINI = rates(input="0.3", cache_read="0.075", output="0.5")
GROK_43 = rates(input="1.25", cache_read="0.2", output="2.5")
MAGISTRAL = rates(input="2", output="5")
VOXTRAL = rates(input="0.1", output="0.3", per_audio_second="0.00005")
SONAR = rates(input="1", output="1")

CASES: list[tuple[str, str, dict[str, Any], Price | None, str, str]] = [
    # --- OpenAI
    ("openai cached and thought", "responses",
     {"input_tokens": 6047, "input_tokens_details": {"cached_tokens": 2944}, "output_tokens": 1623,
      "output_tokens_details": {"reasoning_tokens": 1408}, "total_tokens": 7670},
     GPT_5_NANO, "0.00081907", "3103*0.05 + 2944*0.005 + 1623*0.4 = 155.15 + 14.72 + 649.2"),
    ("openai thought alone", "responses",
     {"input_tokens": 110, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 411,
      "output_tokens_details": {"reasoning_tokens": 384}, "total_tokens": 521},
     GPT_5, "0.0042475", "110*1.25 + 411*10 = 137.5 + 4110"),
    ("openai nearly all cached", "responses",
     {"input_tokens": 1515, "input_tokens_details": {"cached_tokens": 1390}, "output_tokens": 8,
      "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 1523},
     GPT_4O, "0.00213", "125*2.5 + 1390*1.25 + 8*10 = 312.5 + 1737.5 + 80"),
    ("openai written to its cache", "responses",
     {"input_tokens": 4020, "input_tokens_details": {"cache_write_tokens": 4012, "cached_tokens": 0},
      "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 4025},
     GPT_56, "0.025265", "8*5 + 4012*6.25 + 5*30 = 40 + 25075 + 150"),
    ("openai written, all thought", "chat",
     {"prompt_tokens": 1220, "completion_tokens": 100, "total_tokens": 1320,
      "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 1217, "audio_tokens": 0},
      "completion_tokens_details": {"reasoning_tokens": 100, "audio_tokens": 0}},
     GPT_56, "0.01062125", "3*5 + 1217*6.25 + 100*30 = 15 + 7606.25 + 3000"),
    ("openai heard", "chat",
     {"prompt_tokens": 21, "completion_tokens": 1, "total_tokens": 22,
      "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 2, "text_tokens": 19, "image_tokens": 0},
      "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0, "text_tokens": 1}},
     GPT_4O_AUDIO, "0.0001375", "19*2.5 + 2*40 + 1*10 = 47.5 + 80 + 10"),
    ("openai cached chat", "chat",
     {"prompt_tokens": 1420, "completion_tokens": 100, "total_tokens": 1520,
      "prompt_tokens_details": {"cached_tokens": 1280, "audio_tokens": 0},
      "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0}},
     GPT_4O, "0.00295", "140*2.5 + 1280*1.25 + 100*10 = 350 + 1600 + 1000"),
    ("openai embedding", "chat", {"prompt_tokens": 6, "total_tokens": 6},
     EMBEDDING, "0.00000012", "6*0.02"),
    ("openai completion", "chat",
     {"prompt_tokens": 14, "completion_tokens": 16, "total_tokens": 30},
     INSTRUCT, "0.000053", "14*1.5 + 16*2 = 21 + 32"),
    ("openai a very long answer", "responses",
     {"input_tokens": 50, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 16384,
      "output_tokens_details": {"reasoning_tokens": 16000}},
     GPT_5, "0.1639025", "50*1.25 + 16384*10 = 62.5 + 163840"),
    # --- Anthropic
    ("anthropic cached, searched", "anthropic",
     {"input_tokens": 10, "cache_creation_input_tokens": 12174, "cache_read_input_tokens": 39695,
      "cache_creation": {"ephemeral_5m_input_tokens": 291, "ephemeral_1h_input_tokens": 0},
      "output_tokens": 437, "service_tier": "standard", "server_tool_use": {"web_search_requests": 1}},
     SONNET, "0.074146", "10*3 + 12174*3.75 + 39695*0.3 + 437*15 = 30 + 45652.5 + 11908.5 + 6555, + 0.01"),
    ("anthropic searched thrice", "anthropic",
     {"input_tokens": 2081, "cache_creation_input_tokens": 10345, "cache_read_input_tokens": 28203,
      "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
      "output_tokens": 504, "server_tool_use": {"web_search_requests": 3}},
     SONNET, "0.09105765", "2081*3 + 10345*3.75 + 28203*0.3 + 504*15 = 6243 + 38793.75 + 8460.9 + 7560, + 0.03"),
    ("anthropic a cache of two lengths", "anthropic",
     {"cache_creation": {"ephemeral_1h_input_tokens": 1603, "ephemeral_5m_input_tokens": 67},
      "cache_creation_input_tokens": 1670, "cache_read_input_tokens": 0, "input_tokens": 10,
      "output_tokens": 13, "output_tokens_details": {"thinking_tokens": 7}},
     SONNET, "0.01009425", "10*3 + 67*3.75 + 1603*6 + 13*15 = 30 + 251.25 + 9618 + 195"),
    ("anthropic mostly for an hour", "anthropic",
     {"cache_creation": {"ephemeral_1h_input_tokens": 4542, "ephemeral_5m_input_tokens": 20},
      "cache_creation_input_tokens": 4562, "cache_read_input_tokens": 0, "input_tokens": 3,
      "output_tokens": 1},
     SONNET, "0.027351", "3*3 + 20*3.75 + 4542*6 + 1*15 = 9 + 75 + 27252 + 15"),
    ("anthropic read and written", "anthropic",
     {"cache_creation": {"ephemeral_1h_input_tokens": 0, "ephemeral_5m_input_tokens": 7049},
      "cache_creation_input_tokens": 7049, "cache_read_input_tokens": 13637, "input_tokens": 16,
      "output_tokens": 344, "output_tokens_details": {"thinking_tokens": 33},
      "server_tool_use": {"web_fetch_requests": 0, "web_search_requests": 0}},
     SONNET, "0.03573285", "16*3 + 7049*3.75 + 13637*0.3 + 344*15 = 48 + 26433.75 + 4091.1 + 5160"),
    ("anthropic haiku", "anthropic",
     {"input_tokens": 3, "cache_creation_input_tokens": 37, "cache_read_input_tokens": 17269,
      "cache_creation": {"ephemeral_5m_input_tokens": 37, "ephemeral_1h_input_tokens": 0},
      "output_tokens": 1},
     HAIKU, "0.00178115", "3*1 + 37*1.25 + 17269*0.1 + 1*5 = 3 + 46.25 + 1726.9 + 5"),
    # --- Google
    ("google tools, thoughts, a cache", "gemini",
     {"cachedContentTokenCount": 1081, "candidatesTokenCount": 21, "promptTokenCount": 1107,
      "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 1107}], "thoughtsTokenCount": 41,
      "toolUsePromptTokenCount": 1171, "totalTokenCount": 2340},
     FLASH, "0.00054653", "(1107+1171-1081)*0.3 + 1081*0.03 + 62*2.5 = 359.1 + 32.43 + 155"),
    ("google thought most of it", "gemini",
     {"promptTokenCount": 9, "candidatesTokenCount": 13, "totalTokenCount": 324, "thoughtsTokenCount": 302},
     PRO_3, "0.003798", "9*2 + 315*12 = 18 + 3780"),
    ("google a picture seen", "gemini",
     {"promptTokenCount": 1321, "candidatesTokenCount": 20, "totalTokenCount": 1341,
      "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 31}, {"modality": "IMAGE", "tokenCount": 1290}]},
     FLASH_2, "0.0001401", "1321*0.1 + 20*0.4 = 132.1 + 8"),
    ("google a long cache, below the step", "gemini",
     {"promptTokenCount": 88830, "candidatesTokenCount": 38, "totalTokenCount": 88868,
      "cachedContentTokenCount": 88759},
     FLASH_15, "0.00168095625", "71*0.075 + 88759*0.01875 + 38*0.3 = 5.325 + 1664.23125 + 11.4"),
    ("google a document from the cache", "gemini",
     {"cachedContentTokenCount": 230, "candidatesTokenCount": 37, "promptTokenCount": 345, "totalTokenCount": 382},
     FLASH, "0.0001339", "115*0.3 + 230*0.03 + 37*2.5 = 34.5 + 6.9 + 92.5"),
    # --- OpenRouter says itself what it costs
    ("openrouter with a search", "chat",
     {"completion_tokens": 40, "cost": 0.007637029, "is_byok": False, "prompt_tokens": 2315, "total_tokens": 2355,
      "cost_details": {"upstream_inference_cost": 0.000637029},
      "server_tool_use_details": {"web_search_requests": 1}},
     None, "0.007637029", "as it says: 0.000637029 of tokens and 0.007 of a search"),
    ("openrouter by seventeen digits", "chat",
     {"completion_tokens": 100, "cost": 0.0004970133333333333, "prompt_tokens": 2168, "total_tokens": 2268},
     None, "0.000497013333", "half to even at 10⁻¹²"),
    ("openrouter with the operator's own key behind it", "chat",
     {"prompt_tokens": 14, "completion_tokens": 164, "total_tokens": 178, "cost": 0, "is_byok": True,
      "cost_details": {"upstream_inference_cost": 0.00417, "upstream_inference_prompt_cost": 7e-05}},
     None, "0.00417", "nothing to OpenRouter, 14*5 + 164*25 a million to the provider"),
    ("openrouter responses", "responses",
     {"cost": 0.002196, "cost_details": {"upstream_inference_cost": 0.002196}, "input_tokens": 4020,
      "input_tokens_details": {"cached_tokens": 4012}, "is_byok": False, "output_tokens": 5, "total_tokens": 4025},
     None, "0.002196", "8*5 + 4012*0.5 + 5*30 = 40 + 2006 + 150"),
    ("openrouter an embedding", "chat",
     {"cost": 1.8e-07, "is_byok": False, "prompt_tokens": 9, "total_tokens": 9},
     None, "0.00000018", "9*0.02"),
    # --- DeepSeek
    ("deepseek hits of its cache", "chat",
     {"prompt_tokens": 339, "completion_tokens": 83, "total_tokens": 422,
      "prompt_tokens_details": {"cached_tokens": 320}, "completion_tokens_details": {"reasoning_tokens": 39},
      "prompt_cache_hit_tokens": 320, "prompt_cache_miss_tokens": 19},
     DEEPSEEK, "0.00004914", "19*0.28 + 320*0.028 + 83*0.42 = 5.32 + 8.96 + 34.86"),
    ("deepseek hits alone", "chat",
     {"prompt_tokens": 287, "completion_tokens": 37, "total_tokens": 324,
      "prompt_cache_hit_tokens": 256, "prompt_cache_miss_tokens": 31},
     DEEPSEEK, "0.000031388", "31*0.28 + 256*0.028 + 37*0.42 = 8.68 + 7.168 + 15.54"),
    # --- Groq
    ("groq cached", "chat",
     {"completion_time": 0.574329735, "completion_tokens": 96, "prompt_tokens": 336, "total_tokens": 432,
      "completion_tokens_details": {"reasoning_tokens": 59}, "prompt_tokens_details": {"cached_tokens": 256}},
     GPT_OSS, "0.0000888", "80*0.15 + 256*0.075 + 96*0.6 = 12 + 19.2 + 57.6"),
    ("groq plain", "chat",
     {"queue_time": 0.041905864, "prompt_tokens": 45, "completion_tokens": 662, "total_tokens": 707},
     LLAMA_33, "0.00054953", "45*0.59 + 662*0.79 = 26.55 + 522.98"),
    # --- xAI bills reasoning beside the completion, and says what it takes
    ("xai says it in ticks", "chat",
     {"prompt_tokens": 12, "completion_tokens": 1, "total_tokens": 303,
      "prompt_tokens_details": {"cached_tokens": 11, "image_tokens": 0},
      "completion_tokens_details": {"reasoning_tokens": 290}, "cost_in_usd_ticks": 1466250},
     GROK_3_MINI, "0.000146625", "1*0.3 + 11*0.075 + 291*0.5 = 0.3 + 0.825 + 145.5"),
    ("xai without them", "chat",
     {"prompt_tokens": 49, "completion_tokens": 32, "total_tokens": 264,
      "prompt_tokens_details": {"cached_tokens": 7, "image_tokens": 0},
      "completion_tokens_details": {"reasoning_tokens": 183}, "num_sources_used": 0},
     GROK_4, "0.00335625", "42*3 + 7*0.75 + 215*15 = 126 + 5.25 + 3225"),
    ("xai with two searches", "responses",
     {"input_tokens": 5689, "input_tokens_details": {"cached_tokens": 2048}, "output_tokens": 444,
      "output_tokens_details": {"reasoning_tokens": 245}, "total_tokens": 6133,
      "cost_in_usd_ticks": 160708500, "server_side_tool_usage_details": {"web_search_calls": 2}},
     GROK_43, "0.01607085", "3641*1.25 + 2048*0.2 + 444*2.5 = 4551.25 + 409.6 + 1110, + 2*0.005"),
    # --- Mistral
    ("mistral plain", "chat",
     {"prompt_tokens": 10, "total_tokens": 56, "completion_tokens": 46},
     MAGISTRAL, "0.00025", "10*2 + 46*5 = 20 + 230"),
    ("mistral listened for four seconds", "chat",
     {"prompt_audio_seconds": 4, "prompt_tokens": 9, "total_tokens": 585, "completion_tokens": 201,
      "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 375}},
     VOXTRAL, "0.0002612", "9*0.1 + 201*0.3 = 0.9 + 60.3, + 4*0.00005"),
    # --- Perplexity says it in an object
    ("perplexity", "chat",
     {"completion_tokens": 52, "prompt_tokens": 24, "search_context_size": "low", "total_tokens": 76,
      "cost": {"input_tokens_cost": 2e-05, "output_tokens_cost": 5e-05, "request_cost": 0.005,
               "total_cost": 0.00508}},
     SONAR, "0.00508", "as it says: 0.005 for the request, and 24 + 52 tokens at 1"),
]  # fmt: skip


def read(dialect: str, block: dict[str, Any]):
    raw = json.dumps(block).encode()
    match dialect:
        case "chat":
            wire = loosely(Chat, Raw(raw))
            assert wire is not None
            return read_chat(wire)
        case "responses":
            return read_responses(msgspec.json.decode(raw, type=Responses))
        case "anthropic":
            return read_anthropic(msgspec.json.decode(raw, type=Anthropic))
        case _:
            return read_gemini(Raw(raw))


@pytest.mark.req("R-USE-001", "R-USE-009", "M12", "D24")
@pytest.mark.parametrize(
    ("dialect", "block", "price", "cost"), [case[1:5] for case in CASES], ids=[c[0] for c in CASES]
)
def test_real_usage_costs_what_a_person_reckons(dialect, block, price, cost):
    amount, source = settle(read(dialect, block), price)
    assert amount is not None
    assert from_pico(to_pico(amount)) == D(cost)
    said = {"cost", "cost_in_usd_ticks"} & block.keys()
    assert source == ("provider" if said else "priced")


@pytest.mark.parametrize(
    "case", [c for c in CASES if "cost_in_usd_ticks" in c[2]], ids=lambda c: c[0]
)
def test_where_a_provider_says_the_cost_the_tokens_come_to_the_same(case):
    """What it charges for searches stands beside them."""
    block = {name: value for name, value in case[2].items() if name != "cost_in_usd_ticks"}
    amount, source = settle(read(case[1], block), case[3])
    assert source == "priced"
    searches = block.get("server_side_tool_usage_details", {}).get("web_search_calls", 0)
    assert amount == D(case[4]) - searches * D("0.005")


def test_there_are_thirty_of_five_providers():
    assert len(CASES) >= 30
    assert len({case[0].split()[0] for case in CASES}) >= 5


@pytest.mark.req("M11")
@pytest.mark.parametrize(
    "block",
    [
        {"cost": -1},
        {"cost": "free"},
        {"cost": {"total_cost": -2}},
        {"cost": [1]},
        {"cost_in_usd_ticks": -5},
        {"cost_in_usd_ticks": "12"},
        {"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": "?"}},
    ],
)
def test_a_cost_that_is_none_is_unknown(block):
    assert read("chat", block).cost is None
