"""The OpenAPI document: well formed, complete, and real answers match it."""

import json
import subprocess
from collections.abc import Iterator
from functools import cache
from typing import Any
from uuid import uuid4

import pytest
from azure.storage.blob import ContainerClient
from hypothesis import given
from hypothesis import strategies as st
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from functions import result_store
from functions.feedback import FeedbackRequest
from functions.json_http import OPERATIONS, read_json
from functions.openapi import document
from functions.problems import PROBLEMS, ProblemError
from tests.conftest import SyncWorker
from tests.functions.client import Answer, Client, wav
from tonearm.constants import GENRES


@cache
def draft() -> Any:
    """The class of validators, imported by the test that needs it first: that takes seconds, in each process."""
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

    return Draft202012Validator


METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def validator(schema: dict[str, Any]) -> Any:
    """A validator of ``schema``, whose references point into the document."""
    resource = Resource.from_contents(document(), default_specification=DRAFT202012)
    rooted = json.loads(json.dumps(schema).replace('"#/', '"urn:document#/'))
    return draft()(rooted, registry=Registry().with_resource("urn:document", resource))


def assert_described(path: str, method: str, answer: Answer) -> None:
    """The answer's status, content type and body are as the document says."""
    response = document()["paths"][path][method]["responses"][str(answer.status)]
    if "content" not in response:
        assert answer.body == b""
        return
    schema = response["content"][answer.headers["content-type"]]["schema"]
    assert list(validator(schema).iter_errors(answer.json)) == []


class TestStructure:
    def test_top_level(self) -> None:
        assert document()["openapi"] == "3.1.0"
        assert set(document()) == {"openapi", "info", "servers", "security", "paths", "components"}
        assert {"title", "version"} <= set(document()["info"])

    def test_it_is_json(self, client: Client) -> None:
        assert client.call("openapi", "openapi.json").json == document()

    def test_operations(self) -> None:
        ids = [operation["operationId"] for _, _, operation in operations()]
        assert len(ids) == len(set(ids)) == len(OPERATIONS)
        for path, method, operation in operations():
            assert path.startswith("/")
            assert method in METHODS
            assert operation["summary"]
            assert operation["responses"]
            for status, response in operation["responses"].items():
                assert 200 <= int(status) <= 599
                assert response["description"]
            named = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
            assert named == {part[1:-1] for part in path.split("/") if part.startswith("{")}

    def test_every_reference_exists(self) -> None:
        found = list(references(document()))
        assert found
        for reference in found:
            node: Any = document()
            for part in reference.removeprefix("#/").split("/"):
                node = node[part]
            assert node

    def test_every_schema_is_valid(self) -> None:
        schemas = document()["components"]["schemas"]
        assert {"Classification", "Failure", "UploadTicket", "Picture", "Feedback", "ProblemDocument"} <= set(schemas)
        for schema in schemas.values():
            draft().check_schema(schema)
            assert "$defs" not in json.dumps(schema)

    def test_genres_are_listed(self) -> None:
        genre = document()["components"]["schemas"]["Classification"]["properties"]["genre"]
        assert genre["enum"] == list(GENRES)

    def test_every_problem_code_is_used_somewhere(self) -> None:
        text = json.dumps(document())
        assert [code for code in PROBLEMS if code not in text] == []

    def test_two_operations_need_no_key(self) -> None:
        open_paths = {path for path, _, operation in operations() if operation.get("security") == []}
        assert open_paths == {"/health", "/openapi.json"}


class TestRoutes:
    def test_every_route_is_described_and_every_description_is_a_route(self, worker: SyncWorker) -> None:
        registered = {
            (f"/{function.trigger['route']}".replace("{*id}", "{id}"), method.lower(), name)
            for name, function in worker.functions.items()
            if function.trigger["type"] == "httpTrigger"
            for method in function.trigger["methods"]
        }
        described = {(path, method, operation["operationId"]) for path, method, operation in operations()}
        assert registered == described
        assert len(described) == 13

    def test_keys_are_asked_for_where_described(self, worker: SyncWorker) -> None:
        for _, _, operation in operations():
            level = worker.functions[operation["operationId"]].trigger["authLevel"]
            assert str(level).upper() == ("ANONYMOUS" if operation.get("security") == [] else "FUNCTION")


# Spaces and line ends of scripts beyond ASCII, which expressions treat differently in each language.
ID_SIGNS = st.sampled_from("./\\a \n\x00\x1f\x7f\x85\x9f\xa0\u2028\ufffe\uffff\ufeff\U0001f3b5")
IDS = ("a", "...", "a..b", "a/.b", "\u2028", "a\u2028/b", "\U0001f3b5.mp3", "x" * 1019)
NO_IDS = ("", ".", "..", "a/..", "a\\.", "./a", "\u2028/..", "a\n", "a\n/..", "\uffff", "a\x9f", "x" * 1020)


class TestIds:
    """They are described exactly as they are accepted."""

    def test_everywhere(self) -> None:
        components = document()["components"]["schemas"]
        found = [
            *(schema["properties"][name] for name in ("id", "result_id") for schema in with_property(components, name)),
            *(each["schema"] for _, _, of in operations() for each in of["parameters"] if each["in"] == "path"),
        ]
        assert len(found) == 14
        assert all(result_store.ID_SCHEMA.items() <= each.items() for each in found)

    @given(st.text(ID_SIGNS, max_size=12) | st.text(st.characters(exclude_categories=["Cs"])))
    def test_what_is_described_is_accepted_and_nothing_else(self, text: str) -> None:
        assert described_id().is_valid(text) is (result_store.id_fault(text) is None)

    @given(st.from_regex(str(result_store.ID_SCHEMA["pattern"])).filter(lambda text: len(text) <= 1019))
    def test_what_matches_the_pattern_is_accepted(self, text: str) -> None:
        assert result_store.id_fault(text) is None or any("\ud800" <= sign <= "\udfff" for sign in text)

    def test_examples(self) -> None:
        assert [text for text in IDS if not described_id().is_valid(text) or result_store.id_fault(text)] == []
        assert [text for text in NO_IDS if described_id().is_valid(text) or not result_store.id_fault(text)] == []

    def test_the_pattern_is_the_same_to_clients_in_javascript(self) -> None:
        program = "const [pattern, ids] = JSON.parse(process.argv[1]); console.log(JSON.stringify("
        program += 'ids.map(id => new RegExp(pattern, "u").test(id))))'
        ids = [text for text in (*IDS, *NO_IDS) if len(text) < 1000]
        arguments = json.dumps([result_store.ID_SCHEMA["pattern"], ids])
        printed = subprocess.run(["node", "-e", program, arguments], capture_output=True, check=True).stdout
        assert json.loads(printed) == [text in IDS for text in ids]


def described_id() -> Any:
    return draft()(result_store.ID_SCHEMA)


def with_property(components: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [schema for schema in components.values() if name in schema.get("properties", {})]


class TestAnswers:
    def test_classify(self, client: Client) -> None:
        for body in (wav(), wav(0.3), b"", b"text" * 100):
            assert_described("/classify", "post", client.classify(body))
        form = {"content-type": "multipart/form-data; boundary=B"}
        assert_described("/classify", "post", client.classify(b"no form", **form))

    def test_uploads_and_results(self, client: Client, uploads: ContainerClient) -> None:
        upload = client.create_upload(b'{"filename": "a.wav"}')
        assert_described("/uploads", "post", upload)
        assert_described("/uploads", "post", client.create_upload(b"{"))
        result_id = upload.json["id"]
        result = "/results/{id}"
        assert_described(result, "get", client.result(result_id))
        assert_described(result, "get", client.result(""))
        for content in (wav(), wav(0.3)):
            uploads.upload_blob(result_id, content, overwrite=True)
            assert_described(result, "get", client.result(result_id))
            client.uploaded(result_id)
            assert_described(result, "get", client.result(result_id))
            assert_described("/pictures/{id}", "get", client.preview(result_id))
            assert_described("/recordings/{id}", "get", client.recording(result_id))
        assert_described("/recordings/{id}", "get", client.recording("no/such"))
        assert_described("/results", "get", client.history())
        assert_described("/results", "get", client.history(limit=1))
        assert_described("/results", "get", client.history(limit=0))
        assert_described("/results", "get", client.history(search="A.W", status="failed"))
        assert_described("/results", "get", client.history(genre="polka"))

    def test_feedback(self, client: Client, uploads: ContainerClient) -> None:
        name = f"{uuid4().hex}.wav"
        uploads.upload_blob(name, wav())
        assert_described("/feedback", "post", client.give_feedback(result_id=name, genre="jazz"))
        client.uploaded(name)
        for genre in ("jazz", None):
            assert_described("/feedback", "post", client.give_feedback(result_id=name, genre=genre))
            assert_described("/feedback/{id}", "get", client.feedback(name))
        assert_described("/feedback", "post", client.give_feedback(result_id="no/such", genre="jazz"))
        assert_described("/feedback", "post", client.give_feedback(result_id=name, genre="polka"))

    def test_the_rest(self, client: Client) -> None:
        assert_described("/model", "get", client.model())
        assert_described("/model", "get", client.model(version="no such"))
        assert_described("/limits", "get", client.limits())
        assert_described("/health", "get", client.call("health", "health"))
        assert_described("/openapi.json", "get", client.call("openapi", "openapi.json"))

    def test_a_wrong_answer_is_found(self, client: Client) -> None:
        answer = client.classify(wav())
        for wrong in (
            {**answer.json, "genre": "polka"},
            {**answer.json, "confidence": "high"},
            {name: value for name, value in answer.json.items() if name != "audio"},
        ):
            with pytest.raises(AssertionError):
                assert_described("/classify", "post", Answer(answer.status, answer.headers, json.dumps(wrong).encode()))


@pytest.mark.parametrize(
    ("body", "good"),
    [
        ({"result_id": "a", "genre": "jazz"}, True),
        ({"result_id": "a", "genre": None}, True),
        ({"result_id": "a"}, False),
        ({"result_id": "a", "genre": "polka"}, False),
        ({"result_id": "a", "genre": "jazz", "x": 1}, False),
    ],
)
def test_requests_are_described_as_they_are_read(body: dict[str, object], good: bool) -> None:
    described = document()["paths"]["/feedback"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert validator(described).is_valid(body) is good
    if good:
        read_json(json.dumps(body).encode(), FeedbackRequest)
    else:
        with pytest.raises(ProblemError, match=r"^bad_request: (genre|x): .+\.$") as refused:
            read_json(json.dumps(body).encode(), FeedbackRequest)
        assert ("There is no such field" in refused.value.detail) is ("x" in body)
