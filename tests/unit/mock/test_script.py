import pytest

from dragoman.mock.script import (
    Script,
    ScriptError,
    Scripts,
    from_headers,
    from_model,
    read_scripts,
)

pytestmark = pytest.mark.req("R-MOCK-003", "R-TEST-009")


def test_headers_are_a_script_with_numbers_and_flags_as_people_write_them():
    script = from_headers(
        {
            "x-mock-status": "429",
            "x-mock-retry-after": "7",
            "x-mock-usage": "off",
            "x-mock-text": "off",
            "content-type": "application/json",
        }
    )
    assert script == Script(status=429, retry_after="7", usage=False, text="off")


def test_headers_without_a_script_are_none():
    assert from_headers({"accept": "*/*"}) is None


def test_a_models_name_carries_several_members_and_the_longest_name_wins():
    assert from_model("gpt-4o--mock-cut-120--mock-cut-mode-reset--mock-hang") == Script(
        cut=120, cut_mode="reset", hang=True
    )
    assert from_model("gpt-4o--mock-ok") == Script()
    assert from_model("gpt-4o") is None


@pytest.mark.parametrize(
    "model", ["m--mock-nonsense-1", "m--mock-cut-many", "m--mock-status-99", "m--mock-cut-mode-up"]
)
def test_a_suffix_that_means_nothing_is_refused_with_what_is_known(model):
    with pytest.raises(ScriptError, match="error-after"):
        from_model(model)


def test_a_script_tells_only_what_is_unusual():
    assert Script(status=503, usage=False).told == {"status": 503, "usage": False}


@pytest.mark.parametrize(
    "body",
    [
        b'{"status": 503}',
        b'[{"status": 503}]',
        b'{"scripts": [{"status": 503}]}',
    ],
)
def test_scripts_are_posted_alone_in_a_list_or_under_a_name(body):
    assert read_scripts(body) == [Script(status=503)]


@pytest.mark.parametrize("body", [b"nonsense", b"7", b'{"statuss": 1}', b'[{"status": "503"}]'])
def test_a_posted_script_that_cannot_be_followed_is_refused(body):
    with pytest.raises(ScriptError):
        read_scripts(body)


def test_the_queue_serves_in_order_as_often_as_told():
    scripts = Scripts()
    scripts.add([Script(status=503, times=2), Script(status=429)])
    served = [scripts.choose({}, "m", "/p") for _ in range(4)]
    assert [script and script.status for script in served] == [503, 503, 429, None]


def test_a_queued_script_waits_for_its_model_and_path():
    scripts = Scripts()
    scripts.add([Script(status=500, model="gpt", path="/embeddings")])
    assert scripts.choose({}, "gpt-4o", "/v1/chat/completions") is None
    assert scripts.choose({}, "claude", "/v1/embeddings") is None
    assert scripts.waiting == [{"status": 500, "model": "gpt", "path": "/embeddings", "times": 1}]
    assert scripts.choose({}, "gpt-4o", "/v1/embeddings") == Script(
        status=500, model="gpt", path="/embeddings"
    )
    assert scripts.waiting == []


def test_headers_come_before_the_model_and_the_model_before_the_queue():
    scripts = Scripts()
    scripts.add([Script(status=400)])
    model = "m--mock-status-503"
    assert scripts.choose({"x-mock-status": "500"}, model, "/").status == 500
    assert scripts.choose({}, model, "/").status == 503
    assert scripts.choose({}, "m", "/").status == 400


def test_a_suffix_with_times_fails_so_often_and_then_answers():
    scripts = Scripts()
    model = "m--mock-status-503--mock-times-2"
    assert [scripts.choose({}, model, "/").status for _ in range(3)] == [503, 503, None]
    scripts.clear()
    assert scripts.choose({}, model, "/").status == 503
