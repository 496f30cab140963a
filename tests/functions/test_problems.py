"""Error handling: each error has its status and code, and nothing internal is shown."""

import asyncio
import json
import logging
import threading
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any, cast

import azure.functions as func
import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseError,
)

from functions import json_http
from functions.json_http import AsyncHandler, operation
from functions.problems import PROBLEMS, ProblemError, is_storage_unavailable
from functions.settings import SettingsError
from tests.functions.conftest import Events
from tonearm.errors import AUDIO_ERROR_CODES, AudioError, ModelError


@pytest.fixture(autouse=True)
def operations_of_these_tests_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_http, "OPERATIONS", {})


SECRET = "/home/secret/path sig=abc"


def request() -> func.HttpRequest:
    return func.HttpRequest("GET", "http://localhost/api/x", body=b"")


def answered(handler: AsyncHandler) -> func.HttpResponse:
    context = SimpleNamespace(invocation_id="1", thread_local_storage=threading.local())
    return asyncio.run(cast("Coroutine[Any, Any, func.HttpResponse]", handler(request(), context)))


def answer_to(error: BaseException) -> func.HttpResponse:
    @operation(answers={})
    def fails(req: func.HttpRequest) -> func.HttpResponse:
        raise error

    return answered(fails)


def storage_error(status: int) -> HttpResponseError:
    error = HttpResponseError(SECRET)
    error.status_code = status
    return error


def test_a_good_answer_passes() -> None:
    response = func.HttpResponse("fine")
    assert answered(operation(answers={})(lambda req: response)) is response


@pytest.mark.parametrize("code", AUDIO_ERROR_CODES)
def test_audio_errors(code: Any) -> None:
    response = answer_to(AudioError(code, "what to do"))
    assert response.status_code == PROBLEMS[code][0]
    assert response.mimetype == "application/problem+json"
    assert response.headers["Cache-Control"] == "no-store"
    assert json.loads(response.get_body()) == {
        "type": f"urn:tonearm:problem:{code}",
        "title": PROBLEMS[code][1],
        "status": PROBLEMS[code][0],
        "detail": "what to do",
        "code": code,
    }


def test_problem_errors() -> None:
    response = answer_to(ProblemError("not_done", "later"))
    assert response.status_code == 409
    assert json.loads(response.get_body())["code"] == "not_done"


def test_models_that_do_not_load() -> None:
    response = answer_to(ModelError(SECRET))
    assert (response.status_code, json.loads(response.get_body())["code"]) == (503, "model_unavailable")
    assert "secret" not in response.get_body().decode()


@pytest.mark.parametrize(
    "error",
    [
        ServiceRequestError(SECRET),
        ServiceResponseError(SECRET),
        ClientAuthenticationError(SECRET),
        storage_error(503),
        storage_error(500),
        storage_error(429),
        storage_error(403),
    ],
)
def test_storage_unavailable(error: Exception, events: Events) -> None:
    assert is_storage_unavailable(error)
    response = answer_to(error)
    assert (response.status_code, json.loads(response.get_body())["code"]) == (503, "storage_unavailable")
    assert int(response.headers["Retry-After"]) > 0
    assert "secret" not in response.get_body().decode()
    assert events()[0]["event"] == "storage_unavailable"
    assert "sig=abc" not in events()[0]["reason"]


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(SECRET),
        KeyError(SECRET),
        MemoryError(SECRET),
        SettingsError(SECRET),
        storage_error(400),
        storage_error(409),
        storage_error(412),
    ],
)
def test_anything_else_is_internal(error: Exception, events: Events, caplog: pytest.LogCaptureFixture) -> None:
    assert not is_storage_unavailable(error)
    response = answer_to(error)
    document = json.loads(response.get_body())
    assert (response.status_code, document["code"]) == (500, "internal")
    assert "secret" not in response.get_body().decode()
    logged = events()[0]
    assert logged["reference"] in document["detail"]
    assert "secret" in logged["trace"]
    assert "sig=abc" not in logged["trace"]
    assert caplog.records[0].levelno == logging.ERROR


def test_an_unexpected_missing_blob_is_internal() -> None:
    error = ResourceNotFoundError("x")
    error.status_code = 404
    assert not is_storage_unavailable(error)


def test_the_host_sees_the_functions_name_and_parameters() -> None:
    @operation(answers={})
    def health(req: func.HttpRequest) -> func.HttpResponse:
        return func.HttpResponse()

    assert health.__name__ == "health"
    assert health.__annotations__["req"] is func.HttpRequest
