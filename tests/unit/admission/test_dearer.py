"""By which price money is set aside, where a request asks for a service tier."""

from decimal import Decimal

import msgspec
import pytest
from msgspec import Raw

from dragoman.admission.dearer import SAY_TIERS, priced_for
from dragoman.core.provider import Price

FAST = Price(input=Decimal(2), output=Decimal(20))
FLEX = Price(input=Decimal("0.5"), output=Decimal(5))
AT_HOME = Price(input=Decimal("1.1"), output=Decimal(11))
FAST_AT_HOME = Price(input=Decimal("2.2"), output=Decimal(22))
USUAL = Price(
    input=Decimal(1),
    output=Decimal(10),
    tiers={"priority": FAST, "fast": FAST, "flex": FLEX, "us": AT_HOME, "fast us": FAST_AT_HOME},
)
OWN = Price(input=Decimal(1), output=Decimal(10))


def of(price, **members):
    said = {name: Raw(msgspec.json.encode(value)) for name, value in members.items()}
    return priced_for(said, lambda _candidate: price)(None)


@pytest.mark.req("M3")
@pytest.mark.parametrize(
    ("members", "price"),
    [
        ({"service_tier": "priority"}, FAST),
        ({"service_tier": "Fast"}, FAST),
        ({"speed": "fast", "service_tier": "auto"}, FAST),
        ({"serviceTier": "SERVICE_TIER_PRIORITY"}, FAST),
        ({"service_tier": "flex"}, USUAL),
        ({"service_tier": "scale"}, USUAL),
        ({"service_tier": 7}, USUAL),
        ({"service_tier": None}, USUAL),
        ({"model": "priority"}, USUAL),
        ({"inference_geo": "us"}, AT_HOME),
        ({"inference_geo": "us", "speed": "fast"}, FAST_AT_HOME),
        ({"inference_geo": "global", "speed": "fast"}, FAST),
    ],
)
def test_the_dearer_of_what_is_asked_for_and_the_usual(members, price):
    assert of(USUAL, **members) is price
    assert of(OWN, **members) is OWN
    assert of(None, **members) is None


def test_an_ordinary_request_says_none_of_it():
    assert SAY_TIERS.isdisjoint({"model", "messages", "stream"})
