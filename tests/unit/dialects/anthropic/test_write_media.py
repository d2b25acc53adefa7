"""Images and documents on their way to Anthropic."""

from __future__ import annotations

import base64
import json

import pytest

from dragoman.core.capability import Capability
from dragoman.core.errors import CallerError
from dragoman.core.parts import (
    FileRef,
    Inline,
    Media,
    Message,
    PartsDoc,
    Refusal,
    Text,
    TextDoc,
    Url,
)
from dragoman.core.request import Request
from dragoman.dialects.anthropic import ANTHROPIC
from dragoman.dialects.base import Target


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


PNG = b64(b"\x89PNG\r\n\x1a\n" + b"0" * 20)
JPEG = b64(b"\xff\xd8\xff\xe0" + b"0" * 20)
GIF = b64(b"GIF89a" + b"0" * 20)
WEBP = b64(b"RIFF0000WEBPVP8 " + b"0" * 20)
PDF = b64(b"%PDF-1.7" + b"0" * 20)


def write(part, capability=None):
    request = Request("m", (Message("user", (part,)),), max_tokens=1)
    target = Target("anthropic", "m", capability=capability or Capability())
    return ANTHROPIC.write_request(request, target)


def block(part):
    return json.loads(write(part).body)["messages"][0]["content"][0]


def refused(part, capability=None) -> CallerError:
    with pytest.raises(CallerError) as caught:
        write(part, capability)
    assert caught.value.param == "messages[0].content[0]"
    return caught.value


@pytest.mark.req("R-XLATE-011", "R-TOOL-003")
@pytest.mark.pitfall(78, 80, 81)
@pytest.mark.parametrize(
    ("kind", "data", "mime", "sent"),
    [
        ("image", PNG, "image/png", ("image", "image/png")),
        ("image", JPEG, "image/jpg", ("image", "image/jpeg")),
        ("image", JPEG, "image/png", ("image", "image/jpeg")),
        ("image", GIF, "", ("image", "image/gif")),
        ("image", WEBP, "image/webp", ("image", "image/webp")),
        ("image", b64(b"?"), "image/jpg", ("image", "image/jpeg")),
        ("image", "?", "image/png", ("image", "image/png")),
        ("image", "A", "image/png", ("image", "image/png")),
        ("image", PDF, "image/png", ("document", "application/pdf")),
        ("document", PDF, "application/pdf", ("document", "application/pdf")),
        ("document", PNG, "application/octet-stream", ("image", "image/png")),
    ],
)
def test_the_bytes_decide_what_they_are(kind, data, mime, sent):
    found = block(Media(kind, Inline(data, mime)))
    assert (found["type"], found["source"]["media_type"]) == sent
    assert found["source"]["data"] == data


@pytest.mark.pitfall(80, 83)
@pytest.mark.parametrize(
    "part",
    [
        Media("image", Inline(b64(b"BM0000"), "image/bmp")),
        Media("document", Inline(b64(b"PK"), "application/zip")),
        Media("audio", Inline("", "audio/mpeg")),
        Media("video", Url("https://x/y.mp4")),
        Media("document", FileRef("file-1", "chat")),
        Media("document", PartsDoc((Refusal("x"),))),
    ],
)
def test_what_anthropic_does_not_take_is_refused(part):
    with pytest.raises(CallerError) as caught:
        write(part)
    assert caught.value.code == "unsupported_feature"


@pytest.mark.parametrize("url", ["ftp://x/y.png", "gs://bucket/x", "file:///etc/passwd"])
def test_addresses_are_http(url):
    assert refused(Media("image", Url(url))).code == "invalid_request"


@pytest.mark.pitfall(82)
def test_files_uploaded_to_anthropic_stay_references():
    found = block(Media("image", FileRef("file_1", "anthropic")))
    assert found["source"] == {"type": "file", "file_id": "file_1"}


def test_addresses_are_left_for_anthropic_to_fetch():
    found = block(Media("image", Url("https://x/y.png")))
    assert found == {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}
    found = block(Media("image", Url("https://x/y", "application/pdf")))
    assert found["type"] == "document"


def test_documents_keep_title_context_and_the_wish_to_be_cited():
    found = block(
        Media(
            "document",
            TextDoc("words"),
            title="T",
            filename="t.txt",
            context="C",
            citations_enabled=True,
        )
    )
    assert found == {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": "words"},
        "title": "T",
        "context": "C",
        "citations": {"enabled": True},
    }
    inner = PartsDoc((Text("a"), Media("image", Inline(PNG, "image/png"))))
    found = block(Media("document", inner, filename="x"))
    assert [b["type"] for b in found["source"]["content"]] == ["text", "image"]
    assert found["title"] == "x"


def test_plain_text_in_base64_is_sent_as_text():
    found = block(Media("document", Inline(b64("é".encode()), "text/markdown")))
    assert found["source"] == {"type": "text", "media_type": "text/plain", "data": "é"}
    assert refused(Media("document", Inline(b64(b"\xff"), "text/plain"))).code == "invalid_request"
    assert refused(Media("document", Inline("?", "application/json"))).code == "invalid_request"


def test_a_wish_for_detail_is_told_as_lost():
    assert write(Media("image", Inline(PNG, "image/png"), detail="auto")).losses == ()
    lost = write(Media("image", Inline(PNG, "image/png"), detail="high")).losses
    assert [loss.path for loss in lost] == ["messages[0].content[0].detail"]


@pytest.mark.parametrize(
    ("capability", "data"),
    [(Capability(images=False), PNG), (Capability(documents=False), PDF)],
)
def test_a_model_that_cannot_see_is_not_shown_anything(capability, data):
    error = refused(Media("image", Inline(data, "image/png")), capability)
    assert error.code == "model_capability_mismatch"
