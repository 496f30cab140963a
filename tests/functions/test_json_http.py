"""What protects every operation from web pages elsewhere: origin, media type of JSON, headers for browsers."""

import pytest

from functions.json_http import OPERATIONS, SECURITY_HEADERS
from functions.openapi import document
from tests.functions.client import JSON, ORIGIN, Answer, Client
from tests.functions.conftest import Configure

WRITING = [
    (operation["operationId"], path)
    for path, methods in document()["paths"].items()
    for method, operation in methods.items()
    if method != "get"
]
FOREIGN = [
    "http://evil.example",
    "null",
    "",
    "http://localhost",
    "http://localhost:8501",
    "http://127.0.0.1:7071",
    ORIGIN + ".evil.example",
    ORIGIN + "/",
    f"{ORIGIN}, {ORIGIN}",
]


def send(client: Client, name: str, path: str, **headers: str) -> Answer:
    """A body that no operation accepts, so that only its refusals differ."""
    names = {key.replace("_", "-"): text for key, text in headers.items()}
    method = "DELETE" if name.startswith("delete") else "POST"
    return client.call(name, path.strip("/"), method=method, body=b"{]", headers=names)


def test_all_writing_operations_are_looked_at() -> None:
    assert {name for name, _ in WRITING} == {"classify", "create_upload", "give_feedback", "delete_recording"}


@pytest.mark.parametrize("origin", FOREIGN)
@pytest.mark.parametrize(("name", "path"), WRITING)
def test_pages_of_other_origins_write_nothing(client: Client, name: str, path: str, origin: str) -> None:
    for media_type in ("text/plain", "application/json"):
        answer = send(client, name, path, origin=origin, content_type=media_type)
        assert (answer.status, answer.code) == (403, "foreign_origin")


@pytest.mark.parametrize("origin", [ORIGIN, ORIGIN.replace("http:", "https:"), "https://Music.example"])
@pytest.mark.parametrize(("name", "path"), WRITING)
def test_own_and_allowed_origins_pass(client: Client, configure: Configure, name: str, path: str, origin: str) -> None:
    configure(TONEARM_ALLOWED_ORIGINS="https://music.example")
    assert send(client, name, path, origin=origin, **{"content-type": "application/json"}).status in (400, 415)


def test_anybody_may_read(client: Client) -> None:
    assert client.call("limits", "limits", headers={"origin": "http://evil.example"}).status == 200


@pytest.mark.parametrize(("name", "path"), [each for each in WRITING if OPERATIONS[each[0]].takes_json])
class TestMediaType:
    @pytest.mark.parametrize(
        "media_type",
        [
            None,
            "",
            "text/plain",
            "text/plain; application/json",
            "text/json",
            "application/jsonp",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=application/json",
        ],
    )
    def test_what_a_form_can_send_is_refused(
        self, client: Client, name: str, path: str, media_type: str | None
    ) -> None:
        headers = {} if media_type is None else {"content-type": media_type}
        answer = client.call(name, path, method="POST", body=b"{}", headers=headers)
        assert (answer.status, answer.code) == (415, "unsupported_media_type")

    @pytest.mark.parametrize("media_type", ["application/json", "Application/JSON ; charset=utf-8"])
    def test_json_is_read(self, client: Client, name: str, path: str, media_type: str) -> None:
        assert send(client, name, path, content_type=media_type).code == "bad_request"


def test_every_answer_has_the_headers_for_browsers(client: Client) -> None:
    answers = [
        client.limits(),
        client.classify(b""),
        client.result("no such"),
        client.call("give_feedback", "feedback", method="POST", headers={"origin": "null"}),
        client.call("give_feedback", "feedback", method="POST", body=b'{"result_id":"a","genre":null}', headers=JSON),
    ]
    assert [answer.status for answer in answers] == [200, 400, 404, 403, 204]
    for answer in answers:
        assert {name: answer.headers[name.lower()] for name in SECURITY_HEADERS} == SECURITY_HEADERS


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_a_query_parameter_that_is_not_known_is_an_error(client: Client, name: str) -> None:
    answer = client.call(name, name, query={"moed": "fast", "code": "a function key", "clientId": "default"})
    assert (answer.status, answer.code) == (400, "bad_parameter")
    assert "'moed'" in answer.json["detail"]


def test_a_parameter_that_is_given_twice_is_an_error(client: Client) -> None:
    answer = client.call("list_results", "results?limit=5&limit=6", query={"limit": "6"})
    assert (answer.status, answer.code) == (400, "bad_parameter")
    assert answer.json["detail"] == "'limit' is given twice. Give it once."
