"""``POST /api/classify``: every way to send audio, and the answer to every bad input."""

import http.client
import json
import re
import socket
import subprocess
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import azure.functions as func
import httpx
import numpy as np
import pytest
import requests
from azure.storage.blob import BlobServiceClient
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from functions import classify
from functions.problems import ProblemError
from tests.audio_samples import encode, music, png, video
from tests.functions.client import Client, wav
from tests.functions.conftest import Configure, Events
from tonearm.constants import GENRES


def form(*files: tuple[str, bytes], boundary: str = "B", field: str = "file") -> bytes:
    """A multipart/form-data body."""
    parts = b"".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n'
        f"Content-Type: audio/wav\r\n\r\n".encode()
        + content
        + b"\r\n"
        for name, content in files
    )
    return parts + f"--{boundary}--\r\n".encode()


FORM = {"content-type": "multipart/form-data; boundary=B"}


FILE_HEADER = b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\n'
BEGIN = b"--B\r\n" + FILE_HEADER
N = 2**22
HOSTILE_FORMS = {
    "headers": BEGIN + b"A: b\r\n" * N,
    "a header": BEGIN + b"A: " + b"b" * N,
    "a folded header": BEGIN + b"A: b" + b"\r\n b" * N,
    "parameters": BEGIN[:-2] + b"; a=b" * N,
    "parts": (BEGIN + b"\r\nx\r\n") * (N // 16),
    "boundaries": b"--B\r\n" * N,
    "boundaries in a content": BEGIN + b"\r\n" + b"\r\n--B" * N,
    "half boundaries": BEGIN + b"\r\n" + b"\r\n--" * N,
    "a preamble": b"x" * N + b"\r\n" + form(("a.wav", b"x")),
    "boundaries in a preamble": b"\r\n--B " * N + b"\r\n" + form(("a.wav", b"x")),
    "line breaks": b"--B" + b"\r\n" * N,
    "no end": BEGIN + b"\r\n" + bytes(N),
}
"""Forms of up to 24 MiB that are not well formed, and costly to read as if they were."""


def post(body: bytes, **headers: str) -> func.HttpRequest:
    return func.HttpRequest("POST", "http://localhost/api/classify", headers=headers, body=body)


def test_a_raw_body(client: Client) -> None:
    answer = client.classify(wav())
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    result = answer.json
    assert result["status"] == "done"
    assert result["genre"] in GENRES
    assert set(result["probabilities"]) == set(GENRES)
    assert sum(result["probabilities"].values()) == pytest.approx(1)
    assert re.fullmatch(r"direct-[0-9a-f]{32}", result["id"])


def test_a_form_is_the_same_audio(client: Client) -> None:
    raw, sent = client.classify(wav()).json, client.classify(form(("ü.wav", wav())), **FORM).json
    assert sent["probabilities"] == raw["probabilities"]
    assert sent["id"] != raw["id"]


@pytest.mark.parametrize(
    "content_type",
    ["audio/mpeg", "image/png", "application/json", "text/plain", "application/x-www-form-urlencoded", "no;;/type", ""],
)
def test_the_content_type_of_raw_audio_is_ignored(client: Client, content_type: str) -> None:
    assert client.classify(wav(), **{"content-type": content_type}).status == 200


def test_nothing_is_stored(client: Client, blob_service: BlobServiceClient) -> None:
    def stored() -> list[str]:
        return [b.name for name in ("uploads", "results") for b in blob_service.get_container_client(name).list_blobs()]

    before = stored()
    client.classify(wav())
    assert stored() == before


def test_the_log_has_the_id_and_no_audio(client: Client, events: Events) -> None:
    result = client.classify(wav()).json
    logged = next(event for event in events() if event["event"] == "classified")
    assert logged["result_id"] == result["id"]
    assert logged["size_bytes"] == len(wav())
    assert set(logged) == {"event", "result_id", "size_bytes", "duration_ms", "audio_s", "model_version"}


NOT_NUMBERS = np.full(2 * 22_050, np.nan, np.float32)

BAD_INPUTS: dict[str, tuple[bytes, int, str]] = {
    "nothing": (b"", 400, "empty"),
    "text": (b"This is not music.\n" * 100, 415, "unsupported_format"),
    "an image": (png(), 415, "unsupported_format"),
    "a video without sound": (video(), 422, "no_audio_stream"),
    "0.3 s": (wav(0.3), 422, "too_short"),
    "silence": (encode("wav", np.zeros(2 * 22_050, np.float32)), 422, "silent"),
    "no numbers": (encode("wav", NOT_NUMBERS, codec="pcm_f32le"), 422, "silent"),
    "a torn header": (encode("flac", music(2.0))[:30], 422, "corrupt"),
}


@pytest.mark.parametrize("name", BAD_INPUTS)
def test_bad_input_is_answered_and_the_service_goes_on(client: Client, name: str) -> None:
    body, status, code = BAD_INPUTS[name]
    for answer in (client.classify(body), client.classify(form(("song.mp3", body)), **FORM)):
        assert (answer.status, answer.code) == (status, code)
        assert answer.json["detail"]
    assert client.classify(wav()).status == 200


def test_a_refusal_is_logged_with_its_code(client: Client, events: Events) -> None:
    client.classify(wav(0.3))
    assert events()[-1]["event"] == "classify_refused"
    assert events()[-1]["code"] == "too_short"


def test_too_large(client: Client, configure: Configure) -> None:
    size = len(wav())
    configure(TONEARM_MAX_REQUEST_BYTES=size)
    assert client.classify(wav()).status == 200
    configure(TONEARM_MAX_REQUEST_BYTES=size - 1)
    answer = client.classify(wav())
    assert (answer.status, answer.code) == (413, "too_large")
    assert str(size - 1) in answer.json["detail"]


def test_too_long(client: Client, configure: Configure) -> None:
    configure(TONEARM_MAX_REQUEST_DURATION_S=2)
    assert client.classify(wav(1.9)).status == 200
    answer = client.classify(wav(2.5))
    assert (answer.status, answer.code) == (422, "too_long")


def test_concurrent_answers_equal_single_ones(client: Client) -> None:
    sounds = [wav(seed=seed) for seed in range(6)]
    alone = [client.classify(sound).json["probabilities"] for sound in sounds]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda sound: client.classify(sound).json["probabilities"], sounds))
    assert together == alone


MALFORMED = {
    "no file": form(),
    "a field and no file": b'--B\r\nContent-Disposition: form-data; name="text"\r\n\r\ntext\r\n--B--\r\n',
    "two files": form(("a.wav", b"a"), ("b.wav", b"b")),
    "another boundary": form(("a.wav", b"a"), boundary="C"),
    "no end": form(("a.wav", b"a"))[:-8],
    "no disposition": b"--B\r\nContent-Type: audio/wav\r\n\r\na\r\n--B--\r\n",
    "headers in no encoding": b"--B\r\nContent-Disposition: \xff\r\n\r\na\r\n--B--\r\n",
    "raw audio": b"RIFF....WAVE",
    "nothing": b"",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_bad_form_is_a_bad_request(client: Client, name: str) -> None:
    answer = client.classify(MALFORMED[name], **FORM)
    assert (answer.status, answer.code) == (400, "bad_request")
    assert "curl" in answer.json["detail"]


@pytest.mark.parametrize("name", HOSTILE_FORMS)
@pytest.mark.usefixtures("worker")
def test_a_hostile_form_costs_little(name: str) -> None:
    request = post(HOSTILE_FORMS[name], **FORM)
    # This thread's time: Werkzeug's parser needs seconds to minutes, and hundreds of MiB.
    tracemalloc.start()
    started_s = time.thread_time()
    try:
        with pytest.raises(ProblemError, match=r"^bad_request: .+ not well formed or has more than 8 parts"):
            classify.read_audio(request)
        assert time.thread_time() - started_s < 2
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def by_requests(fields: dict[str, bytes], file_name: str, content: bytes) -> tuple[str, bytes]:
    sent = requests.Request(
        "POST", "http://a", data=fields, files={"file": (file_name, content, "audio/wav")}
    ).prepare()
    assert isinstance(sent.body, bytes)
    return sent.headers["Content-Type"], sent.body


def by_httpx(fields: dict[str, bytes], file_name: str, content: bytes) -> tuple[str, bytes]:
    sent = httpx.Request("POST", "http://a", data=fields, files={"file": (file_name, content)})
    return sent.headers["Content-Type"], sent.read()


def by_a_browser(fields: dict[str, bytes], file_name: str, content: bytes) -> tuple[str, bytes]:
    """As the HTML standard writes forms, with the boundary of Chromium."""
    boundary = "----WebKitFormBoundary7MA4YWxkTrZu0gW"
    escaped = file_name.replace('"', "%22")
    parts = [f'name="{name}"\r\n\r\n'.encode() + value for name, value in fields.items()]
    parts.append(f'name="file"; filename="{escaped}"\r\nContent-Type: audio/wav\r\n\r\n'.encode() + content)
    start = f"--{boundary}\r\nContent-Disposition: form-data; ".encode()
    body = b"".join(start + part + b"\r\n" for part in parts) + f"--{boundary}--\r\n".encode()
    return f"multipart/form-data; boundary={boundary}", body


@pytest.mark.parametrize("client_writes", [by_requests, by_httpx, by_a_browser])
@given(
    fields=st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.binary(max_size=300), max_size=3),
    file_name=st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=40),
    content=st.binary(max_size=3000) | st.text("-\r\n", max_size=50).map(str.encode),
)
@pytest.mark.usefixtures("worker")
def test_the_forms_of_clients_are_read(
    client_writes: Callable[[dict[str, bytes], str, bytes], tuple[str, bytes]],
    fields: dict[str, bytes],
    file_name: str,
    content: bytes,
) -> None:
    content_type, body = client_writes(fields, file_name, content)
    assert classify.read_audio(post(body, **{"content-type": content_type})) == content


def test_the_form_of_curl_is_read(tmp_path: Path) -> None:
    """With a header of the part, and quotes in the file's name."""
    file = tmp_path / 'a "b" ü.wav'
    file.write_bytes(b"\r\n--\0")
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as pool:
        options = ["-sF", "x=y", "-F", f'file=@"{str(file).replace(chr(34), chr(92) + chr(34))}";headers="A: b"']
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        curl = pool.submit(subprocess.run, ["curl", "-m", "20", *options, address], check=False)
        connection, _ = listening.accept()
        with connection, connection.makefile("rb") as sent:
            sent.readline()
            headers = http.client.parse_headers(sent)
            body = sent.read(int(headers["Content-Length"]))
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        curl.result()
    assert classify.read_audio(post(body, **{"content-type": headers["Content-Type"]})) == b"\r\n--\0"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\r\n", b"\n"),
        (b"--B\r\n", b"--B  \r\n"),
        (b"--B\r\n", b"a preamble\r\n--B\r\n"),
        (b"--B--\r\n", b"--B--"),
        (b"--B--\r\n", b"--B--\r\nan epilogue"),
        (b'; filename="a.wav"', b';\r\n\tfilename="a.wav"'),
        (b'filename="a.wav"', b"filename=a.wav"),
        (b'filename="a.wav"', b"filename*=UTF-8''%C3%BC.wav"),
        (b'a.wav"', b'\xfc\x81.wav"'),
        (b'; filename="a.wav"', b""),
        (b"--B--", b'--B\r\nContent-Disposition: form-data; name="other"; filename=""\r\n\r\n\r\n--B--'),
        (b"--B--", b'--B\r\nContent-Disposition: form-data; name="title"\r\n\r\ntext\r\n--B--'),
        (b"Content-Disposition", b"content-disposition "),
        (b"Content-Disposition", b"A: b\r\nContent-Disposition"),
    ],
)
@pytest.mark.usefixtures("worker")
def test_unusual_forms_are_read(old: bytes, new: bytes) -> None:
    body = form(("a.wav", b"x")).replace(old, new)
    assert classify.read_audio(post(body, **FORM)) == b"x"


def test_a_form_with_many_parts(client: Client) -> None:
    answer = client.classify(form(*[("a.wav", b"")] * 100_000), **FORM)
    assert (answer.status, answer.code) == (400, "bad_request")
    assert "more than 8 parts" in answer.json["detail"]


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary=ü"])
def test_a_form_without_a_boundary_is_a_bad_request(client: Client, content_type: str) -> None:
    answer = client.classify(form(("a.wav", b"a")), **{"content-type": content_type})
    assert (answer.status, answer.code) == (400, "bad_request")


def test_an_empty_file_in_a_form_is_empty(client: Client) -> None:
    assert client.classify(form(("a.wav", b"")), **FORM).code == "empty"


@budget(max_examples=100)
@given(st.binary(max_size=200), st.sampled_from(["B", "", '"', "=?", "B; charset=x"]))
@pytest.mark.usefixtures("worker")
def test_any_form_is_read_or_refused(body: bytes, boundary: str) -> None:
    for sent in (body, b"--B\r\n" + body, form(("a", body)), form(("a", b"x"), field=repr(body)[2:50])):
        try:
            audio = classify.read_audio(post(sent, **{"content-type": f"multipart/form-data; boundary={boundary}"}))
        except ProblemError as error:
            assert error.code == "bad_request"
        else:
            assert isinstance(audio, bytes)


@given(st.binary(max_size=2000))
@pytest.mark.usefixtures("worker")
def test_a_file_in_a_form_is_unchanged(content: bytes) -> None:
    boundary = "no-such-text-in-there"
    sent = post(
        form(("a.wav", content), boundary=boundary), **{"content-type": f"Multipart/Form-Data; boundary={boundary}"}
    )
    assert classify.read_audio(sent) == content


@budget(max_examples=30)
@given(st.binary(max_size=300), st.sampled_from([b"", b"RIFF", b"ID3\x04", b"fLaC", b"OggS"]))
def test_any_bytes_get_an_answer(client: Client, body: bytes, magic: bytes) -> None:
    answer = client.classify(magic + body)
    assert answer.status in {400, 415, 422}
    assert answer.code != "internal"


def test_problems_are_json_whatever_is_sent(client: Client) -> None:
    answer = client.classify(b"\xff\xfe\x00", **{"content-type": "\xff"})
    assert json.loads(answer.body)["code"] == "unsupported_format"
