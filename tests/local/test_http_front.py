import http.client
import json
import socket
from typing import Any

import pytest

from tests.local.conftest import KEY, MAX_REQUEST_BYTES, Sample


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.body)
        return content

    def is_problem(self, status: int, code: str) -> bool:
        problem = self.json
        return (
            (self.status, problem["status"], problem["code"]) == (status, status, code)
            and self.headers["content-type"] == "application/problem+json"
            and bool(problem["title"])
            and bool(problem["detail"])
        )


def ask(
    sample: Sample, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> Answer:
    connection = http.client.HTTPConnection(sample.address, timeout=30)
    connection.request(method, path, body, {"x-functions-key": KEY, **(headers or {})})
    answer = Answer(connection.getresponse())
    connection.close()
    return answer


def test_a_function_sees_the_request_as_it_was_sent(sample: Sample) -> None:
    arrived = ask(
        sample, "POST", "/api/things?a=1&a=2&b=%20x", b"\x00\xff", {"Content-Type": "audio/wav", "X-Mine": "yes"}
    ).json
    assert arrived["function"] == "things_add"
    assert arrived["method"] == "POST"
    assert arrived["url"] == f"http://{sample.address}/api/things?a=1&a=2&b=%20x"
    assert arrived["query"] == {"a": "1,2", "b": " x"}
    assert (arrived["headers"]["content-type"], arrived["headers"]["x-mine"]) == ("audio/wav", "yes")
    assert arrived["body"] == "\x00\xff"


def test_route_parameters_arrive_decoded(sample: Sample) -> None:
    path = "/api/paths/a%20b/..%2F%E6%97%A5%23.wav"
    arrived = ask(sample, "GET", path).json
    assert arrived["params"] == {"path": "a b/../日#.wav"}
    assert arrived["url"] == f"http://{sample.address}{path}"
    assert ask(sample, "GET", "/api/things/special").json["function"] == "thing_special"


def test_the_functions_own_status_and_headers_are_kept(sample: Sample) -> None:
    answer = ask(sample, "GET", "/api/open")
    assert (answer.status, answer.body, answer.headers["x-extra"]) == (203, b"welcome", "1")
    assert answer.headers["content-length"] == "7"


def test_unknown_paths_and_methods(sample: Sample) -> None:
    assert ask(sample, "GET", "/api/nothing").is_problem(404, "not_found")
    answer = ask(sample, "PUT", "/api/things", b"x")
    assert answer.is_problem(405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS, POST"


def test_head_and_options(sample: Sample) -> None:
    head, get = ask(sample, "HEAD", "/api/open"), ask(sample, "GET", "/api/open")
    assert (head.status, head.body) == (203, b"")
    assert head.headers["content-length"] == get.headers["content-length"]
    options = ask(sample, "OPTIONS", "/api/things")
    assert (options.status, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")
    assert ask(sample, "OPTIONS", "/api/nothing").status == 404


@pytest.mark.parametrize("key", ["", "opensesam", "opensesame2", "ÖPEN"])
def test_a_wrong_key_is_refused(sample: Sample, key: str) -> None:
    assert ask(sample, "GET", "/api/things", headers={"x-functions-key": key}).is_problem(401, "unauthorized")


def test_a_key_may_stand_in_the_query_and_is_not_logged(sample: Sample) -> None:
    assert ask(sample, "GET", f"/api/things?code={KEY}", headers={"x-functions-key": ""}).status == 200
    assert ask(sample, "GET", "/api/open", headers={"x-functions-key": ""}).status == 203
    log = sample.log_path.read_text()
    assert "GET /api/things" in log
    assert KEY not in log


def test_a_body_of_just_the_limit_passes(sample: Sample) -> None:
    body = b"x" * MAX_REQUEST_BYTES
    assert ask(sample, "POST", "/api/things", body).json["body"] == body.decode()


def test_a_body_over_the_limit_is_refused_and_the_answer_can_be_read(sample: Sample) -> None:
    # far more than the buffers between the two hold: this client reads nothing before it has sent all
    answer = ask(sample, "POST", "/api/things", b"x" * 20_000_000)
    assert answer.is_problem(413, "too_large")
    assert str(MAX_REQUEST_BYTES) in answer.json["detail"]


def test_an_announced_body_over_the_limit_is_refused_before_it_is_sent(sample: Sample) -> None:
    answer = raw(sample, [f"content-length: {MAX_REQUEST_BYTES + 1}"], b"")
    assert answer.is_problem(413, "too_large")


def test_a_chunked_body_over_the_limit_is_refused_while_it_is_sent(sample: Sample) -> None:
    chunk = b"%x\r\n%s\r\n" % (MAX_REQUEST_BYTES, b"x" * MAX_REQUEST_BYTES)
    unfinished = raw(sample, ["transfer-encoding: chunked"], chunk + b"1\r\nx\r\n")
    assert unfinished.is_problem(413, "too_large")
    assert unfinished.headers["connection"] == "close"
    within = raw(sample, ["transfer-encoding: chunked"], chunk + b"0\r\n\r\n")
    assert within.json["body"] == "x" * MAX_REQUEST_BYTES


def raw(sample: Sample, headers: list[str], body: bytes) -> Answer:
    """POST a body that does not keep to what its headers say."""
    host, _, port = sample.address.partition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        lines = ["POST /api/things HTTP/1.1", f"host: {sample.address}", f"x-functions-key: {KEY}", *headers, "", ""]
        connection.sendall("\r\n".join(lines).encode() + body)
        response = http.client.HTTPResponse(connection)
        response.begin()
        return Answer(response)


def test_a_crash_leaks_nothing_and_is_logged(sample: Sample) -> None:
    answer = ask(sample, "GET", "/api/crash")
    assert answer.is_problem(500, "internal")
    assert b"secret" not in answer.body
    assert "RuntimeError: a secret in a message" in sample.log_path.read_text()
    assert ask(sample, "GET", "/api/things").status == 200


def test_an_answer_that_http_cannot_carry_is_the_functions_fault(sample: Sample) -> None:
    assert ask(sample, "GET", "/api/bad-header").is_problem(500, "internal")


def test_a_function_that_overruns_its_time_is_cut_off(sample: Sample) -> None:
    assert ask(sample, "GET", "/api/slow").is_problem(504, "timeout")
