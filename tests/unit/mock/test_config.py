import msgspec
import pytest

from dragoman.mock.config import MockConfig, MockConfigError, changed, from_environment

pytestmark = pytest.mark.req("R-MOCK-001", "R-MOCK-002", "R-ENV-005")


def test_defaults_are_those_of_the_documented_variables():
    assert msgspec.to_builtins(from_environment({})) == {
        "baseDelay": 200,
        "delayVariance": 100,
        "errorRate": 0.15,
        "timeoutRate": 0.05,
        "tokenSpeed": 25,
        "enableLogs": True,
        "generationDelay": 300,
        "generationFactor": 1,
        "seed": None,
        "prices": {},
    }


def test_every_variable_sets_its_value_and_empty_ones_set_nothing():
    config = from_environment(
        {
            "MOCK_BASE_DELAY": "10",
            "MOCK_DELAY_VARIANCE": "0",
            "MOCK_ERROR_RATE": "0.5",
            "MOCK_TIMEOUT_RATE": " ",
            "MOCK_TOKEN_SPEED": "0",
            "MOCK_ENABLE_LOGS": "false",
            "MOCK_SEED": "7",
        }
    )
    assert config == MockConfig(10, 0, 0.5, 0.05, 0, enable_logs=False, seed=7)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("MOCK_ERROR_RATE", "2"), ("MOCK_BASE_DELAY", "soon"), ("MOCK_ENABLE_LOGS", "perhaps")],
)
def test_a_bad_variable_is_named(variable, value):
    with pytest.raises(MockConfigError, match=variable):
        from_environment({variable: value})


def test_a_patch_changes_what_it_names_and_nothing_else():
    assert changed(MockConfig(), b'{"errorRate": 0.3}') == MockConfig(error_rate=0.3)


@pytest.mark.parametrize("body", [b"[1]", b"{", b'{"errorrate": 1}', b'{"errorRate": "1"}'])
def test_a_bad_patch_is_refused_in_words(body):
    with pytest.raises(MockConfigError, match=r"\."):
        changed(MockConfig(), body)
