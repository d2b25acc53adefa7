"""URLs that somebody else has written: one reading, and no way around it."""
# ruff: noqa: RUF001 - letters that pass for others are the subject

import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.transport.direct_request import place_of
from dragoman.transport.fetch_address import may_connect
from dragoman.transport.fetch_url import (
    Refused,
    Rules,
    host_of,
    is_named,
    read_url,
    redirected,
)
from sampling import examples
from ssrf_urls import CONFUSING, FOREIGN, INTERNAL_NAMES, LOOPBACK_NAMES

pytestmark = pytest.mark.req("R-IMG-004")

RULES = Rules()


def addresses_of(place):
    """What this machine's resolver says of a host; nothing is asked of a server for numbers."""
    host = place.host.strip("[]")
    if not (place.host.startswith("[") or host.replace(".", "").isdecimal()):
        # These are in every machine's table, or in nobody's.
        host = "127.0.0.1"
    return [entry[4][0] for entry in socket.getaddrinfo(host, place.port)]


@pytest.mark.parametrize("host", [*LOOPBACK_NAMES, *INTERNAL_NAMES])
def test_every_spelling_of_an_inner_host_is_refused_or_leads_to_a_denied_address(host):
    try:
        place = read_url(f"http://{host}/x.png", RULES)
    except Refused:
        return
    assert not any(may_connect(address) for address in addresses_of(place)), place


@pytest.mark.parametrize("url", [*CONFUSING, *FOREIGN])
def test_urls_whose_host_is_not_where_it_seems(url):
    try:
        place = read_url(url, RULES)
    except Refused:
        return
    assert not any(may_connect(address) for address in addresses_of(place)), place


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("https://example.com", "https://example.com/"),
        ("HTTPS://Example.COM./A.png?b=%20c#frag", "https://example.com/A.png?b=%20c"),
        ("http://example.com:80/a", "http://example.com/a"),
        ("https://example.com:443?x=1", "https://example.com/?x=1"),
        (
            "https://bücher.example/ü ber.png".replace(" ", ""),
            "https://xn--bcher-kva.example/%C3%BCber.png",
        ),
        ("https://8.8.8.8/a", "https://8.8.8.8/a"),
        ("https://[2001:4860:4860:0::8888]/a", "https://[2001:4860:4860::8888]/a"),
        ("https://my_bucket.example.com/a@b:c", "https://my_bucket.example.com/a@b:c"),
    ],
)
def test_a_url_has_one_form_which_the_client_reads_alike(url, canonical):
    place = read_url(url, RULES)
    assert place.url == canonical
    assert read_url(place.url, RULES) == place
    there = place_of(place.url)
    assert there is not None
    assert there.origin == (place.host.strip("[]"), place.port, place.scheme == "https")
    assert there.target == place.target


@given(st.text(max_size=40), st.sampled_from(["", "http://", "https://", "http://127.0.0.1"]))
@settings(max_examples=examples(300))
def test_any_text_is_refused_or_read_as_the_client_reads_it(text, start):
    try:
        place = read_url(start + text, RULES)
    except Refused:
        return
    there = place_of(place.url)
    assert there is not None
    assert there.origin == (place.host.strip("[]"), place.port, place.scheme == "https")
    assert read_url(place.url, RULES) == place


NUMBERS = st.integers(0, 2**32 - 1)


@given(NUMBERS, st.sampled_from(["{:d}", "0x{:x}", "0X{:08X}", "0{:o}", "0{:d}"]))
@settings(max_examples=examples(200))
def test_an_address_as_one_number_is_refused(number, form):
    with pytest.raises(Refused):
        read_url(f"http://{form.format(number)}/", RULES)


@given(NUMBERS, st.sampled_from(["０", "⓪", "𝟎", "𝟘"]), st.sampled_from([".", "。", "．", "｡"]))
@settings(max_examples=examples(200))
def test_digits_and_dots_of_any_script_are_the_ascii_ones(number, zero, dot):
    plain = socket.inet_ntoa(number.to_bytes(4, "big"))
    row = "".join(chr(ord(zero) + i) for i in range(10))
    digits = "⓪①②③④⑤⑥⑦⑧⑨" if zero == "⓪" else row
    odd = plain.translate(str.maketrans("0123456789", digits)).replace(".", dot)
    assert read_url(f"http://{odd}/", RULES).host == plain


@pytest.mark.parametrize(
    ("hosts", "url", "open_"),
    [
        (("example.com",), "https://example.com/a", True),
        (("example.com",), "https://EXAMPLE.com./a", True),
        (("example.com",), "https://a.example.com/a", False),
        (("example.com",), "https://example.com.evil.org/a", False),
        (("example.com",), "https://notexample.com/a", False),
        (("example.com",), "https://example.com:8443/a", False),
        (("example.com:8443",), "https://example.com:8443/a", True),
        (("example.com:8443",), "https://example.com/a", False),
        ((".example.com",), "https://a.b.example.com/a", True),
        (("*.example.com",), "https://a.example.com/a", True),
        ((".example.com",), "https://example.com/a", False),
        ((".example.com",), "https://aexample.com/a", False),
        (("[2001:4860::1]",), "https://[2001:4860::1]/a", True),
        (("[2001:4860::1]:8443",), "https://[2001:4860::1]:8443/a", True),
        (("a.org", ".b.org"), "https://x.b.org/a", True),
    ],
)
@pytest.mark.req("R-IMG-002")
def test_a_list_of_hosts_opens_those_alone(hosts, url, open_):
    assert is_named(read_url(url, Rules(any_port=True)), hosts) == open_
    if open_:
        assert read_url(url, Rules(hosts=hosts))
    else:
        with pytest.raises(Refused, match="not on the gateway's list"):
            read_url(url, Rules(hosts=hosts))


@pytest.mark.parametrize("port", [1, 21, 22, 25, 81, 2375, 5432, 6379, 8080, 65535])
def test_other_ports_than_the_usual_ones_are_closed(port):
    with pytest.raises(Refused, match=f"port {port} is not open"):
        read_url(f"http://example.com:{port}/", RULES)
    assert read_url(f"http://example.com:{port}/", Rules(any_port=True)).port == port


@pytest.mark.req("R-IMG-002")
def test_schemes_can_be_narrowed():
    with pytest.raises(Refused, match="https:// alone"):
        read_url("http://example.com/", Rules(protocols=("https",)))


@pytest.mark.parametrize(
    ("location", "there"),
    [
        ("/b.png", "https://a.example/b.png"),
        ("b.png", "https://a.example/x/b.png"),
        ("?q=1", "https://a.example/x/y?q=1"),
        ("//b.example/c", "https://b.example/c"),
        ("https://b.example/c", "https://b.example/c"),
        ("/\xc3\xbc.png", "https://a.example/%C3%BC.png"),
    ],
)
def test_redirects_are_read_like_first_urls(location, there):
    assert redirected(read_url("https://a.example/x/y", RULES), location, RULES).url == there


@pytest.mark.parametrize(
    "location",
    [
        "",
        "http://a.example/x",  # out of TLS
        "file:///etc/passwd",
        "gopher://b.example/",
        "javascript:1",
        "https://u@b.example/",
        "https://b.example:22/",
        "https://0x7f.1/",
        "//2130706433/",
        "https:///127.0.0.1/x.png",
        "https:/127.0.0.1/x.png",
        "https:127.0.0.1",
        "\\\\127.0.0.1\\",
        "https://b.example/ x",
        "https://[::1",
        "https://b.example/\x85",
    ],
)
def test_redirects_to_where_no_url_may_lead_are_refused(location):
    with pytest.raises(Refused) as refused:
        redirected(read_url("https://a.example/x/y", RULES), location, RULES)
    assert refused.value.code == "image_fetch_blocked"


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://a.example:8443/secret?sig=1", "a.example:8443"),
        ("https://user:pass@a.example/secret", "a.example"),
        ("nonsense/secret", "an unknown host"),
        ("", "an unknown host"),
    ],
)
def test_of_a_url_the_host_alone_is_told(url, host):
    assert host_of(url) == host


def test_a_url_without_end_is_refused_at_once():
    with pytest.raises(Refused, match="longer"):
        read_url("https://a.example/" + "a" * 10_000, RULES)
