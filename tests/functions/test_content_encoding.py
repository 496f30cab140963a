"""Bodies and uploads in a content encoding."""

import gzip
import zlib
from uuid import uuid4

import pytest
from azure.storage.blob import ContainerClient, ContentSettings
from hypothesis import given
from hypothesis import strategies as st

from functions import content_encoding
from tests.functions.client import Client, wav
from tests.functions.conftest import Configure, Upload
from tests.functions.test_classify import FORM, form
from tonearm.errors import AudioError


def gzipped(content: bytes) -> bytes:
    """The same each time: its time is part of the content."""
    return gzip.compress(content, mtime=0)


ENCODERS = {"gzip": gzipped, "x-gzip": gzipped, "deflate": zlib.compress, "GZIP ": gzipped}


def decoded(content: bytes, encoding: str | None, max_bytes: int = 2**20, chunk_bytes: int = 7) -> bytes:
    chunks = [content[at : at + chunk_bytes] for at in range(0, len(content), chunk_bytes)]
    return b"".join(bytes(piece) for piece in content_encoding.decoded(chunks, encoding, max_bytes))


@given(content=st.binary(max_size=500), encoding=st.sampled_from([*ENCODERS, None, "identity"]))
def test_what_was_encoded_comes_back(content: bytes, encoding: str | None) -> None:
    encoded = ENCODERS[encoding](content) if encoding in ENCODERS else content
    assert decoded(encoded, encoding) == content
    assert decoded(encoded, encoding, chunk_bytes=1000) == content


def test_gzip_may_have_several_members() -> None:
    assert decoded(gzipped(b"a" * 100) + gzipped(b"b" * 100), "gzip") == b"a" * 100 + b"b" * 100


@pytest.mark.parametrize(
    ("content", "encoding", "code"),
    [
        (gzipped(b"abc")[:2] + b"x" * 100, "gzip", "corrupt"),
        (gzipped(b"abc") + b"more", "gzip", "corrupt"),
        (gzipped(b"abc")[:-1], "gzip", "corrupt"),
        (gzipped(b"\0" * (2**20 + 1)), "gzip", "too_large"),
    ],
)
def test_what_is_refused(content: bytes, encoding: str, code: str) -> None:
    with pytest.raises(AudioError) as error:
        decoded(content, encoding)
    assert error.value.code == code


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "gzip, gzip", ""])
def test_what_is_stated_and_not_there_is_ignored(encoding: str) -> None:
    for content in (b"RIFF and more", b"\x78\x00 and more", b"", b"\x1f"):
        assert decoded(content, encoding, chunk_bytes=100) == content


@given(content=st.binary(max_size=200), encoding=st.sampled_from(["gzip", "deflate"]))
def test_any_bytes_are_decoded_or_refused(content: bytes, encoding: str) -> None:
    try:
        decoded(content, encoding)
    except AudioError as error:
        assert error.code == "corrupt"


def test_requests(client: Client, configure: Configure) -> None:
    plain = client.classify(wav()).json
    body = gzipped(wav())
    assert client.classify(body, **{"content-encoding": "gzip"}).json["probabilities"] == plain["probabilities"]
    packed = gzipped(form(("a.wav", wav())))
    assert client.classify(packed, **{"content-encoding": "gzip"}, **FORM).status == 200
    assert client.classify(wav(), **{"content-encoding": "gzip"}).json["probabilities"] == plain["probabilities"]
    configure(TONEARM_MAX_REQUEST_BYTES=len(wav()) - 1)
    assert client.classify(body, **{"content-encoding": "gzip"}).code == "too_large"


@pytest.mark.parametrize("name", ["{}/a.wav", "{}//a.wav"])
def test_uploads(client: Client, uploads: ContainerClient, results: ContainerClient, name: str) -> None:
    upload = Upload(client, uploads, results, name.format(uuid4().hex))
    settings = ContentSettings(content_encoding="gzip")
    upload.blob.upload_blob(gzipped(wav()), content_settings=settings)
    upload.process()
    assert upload.stored()["probabilities"] == client.classify(wav()).json["probabilities"]
    upload.blob.upload_blob(gzipped(wav())[:-1], content_settings=settings, overwrite=True)
    upload.process()
    assert upload.stored()["problem"]["code"] == "corrupt"
