"""A function app that does what its input says, so that the host around it can be watched.

A background function leaves a blob ``began/<what it ran on>/<random>`` in the container ``runs`` as it begins, and
``ended/…`` as it ends well.
"""

import asyncio
import contextlib
import json
import os
import time
import uuid

import azure.functions as func
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobServiceClient
from azurefunctions.extensions.bindings.blob import BlobClient

STORAGE = "AzureWebJobsStorage"
GENRES = ["blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock"]

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


def storage() -> BlobServiceClient:
    # few and quick retries: the host tries again too, and the tests should not wait for both
    return BlobServiceClient.from_connection_string(os.environ[STORAGE], retry_total=0)


def note(moment: str, what: str) -> None:
    runs = storage().get_container_client("runs")
    with contextlib.suppress(ResourceExistsError):
        runs.create_container()
    runs.upload_blob(f"{moment}/{what}/{uuid.uuid4()}", b"")


def write_result(name: str, result: dict[str, object]) -> None:
    storage().get_blob_client("results", f"{name}.json").upload_blob(json.dumps(result), overwrite=True)


def seen(req: func.HttpRequest, function: str) -> func.HttpResponse:
    """What arrived, for the test to compare."""
    arrived = {
        "function": function,
        "method": req.method,
        "url": req.url,
        "params": dict(req.route_params),
        "query": dict(req.params),
        "headers": dict(req.headers),
        "body": req.get_body().decode("latin-1"),
    }
    return func.HttpResponse(json.dumps(arrived), mimetype="application/json")


@app.route("things", methods=["GET"])
def things_list(req: func.HttpRequest) -> func.HttpResponse:
    return seen(req, "things_list")


@app.route("things", methods=["POST"])
def things_add(req: func.HttpRequest) -> func.HttpResponse:
    return seen(req, "things_add")


@app.route("things/{id}", methods=["GET"])
def thing(req: func.HttpRequest) -> func.HttpResponse:
    return seen(req, "thing")


@app.route("things/special", methods=["GET"])
def thing_special(req: func.HttpRequest) -> func.HttpResponse:
    return seen(req, "thing_special")


@app.route("paths/{*path}", methods=["GET"])
def paths(req: func.HttpRequest) -> func.HttpResponse:
    return seen(req, "paths")


@app.route("open", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def open_to_all(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("welcome", status_code=203, headers={"x-extra": "1"})


@app.route("plain")
def plain(req: func.HttpRequest) -> str:
    return "just text"


@app.route("crash")
def crash(req: func.HttpRequest) -> func.HttpResponse:
    raise RuntimeError("a secret in a message")


@app.route("bad-header")
def bad_header(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("x", headers={"x-name": "日本"})


@app.route("slow")
async def slow(req: func.HttpRequest) -> func.HttpResponse:
    await asyncio.sleep(60)
    return func.HttpResponse("too late")


@app.blob_trigger("blob", path="uploads/{name}", connection=STORAGE)
def on_upload(blob: BlobClient) -> None:
    content = blob.download_blob().readall()
    note("began", blob.blob_name)
    if content == b"fail":
        raise RuntimeError("failure on request")
    if content == b"slow":
        time.sleep(1.5)
    if content == b"deadly":
        time.sleep(1)
        os._exit(1)
    tenths = dict.fromkeys(GENRES, 0.1)
    write_result(blob.blob_name, {"status": "done", "genre": "rock", "confidence": 0.1, "probabilities": tenths})
    note("ended", blob.blob_name)


@app.queue_trigger("message", queue_name="webjobs-blobtrigger-poison", connection=STORAGE)
def on_poison(message: func.QueueMessage) -> None:
    upload = json.loads(message.get_body())
    name = upload["BlobName"]
    write_result(name, {"status": "failed", "message": upload})
    note("ended", f"poison/{name}")


@app.queue_trigger("message", queue_name="jobs", connection=STORAGE)
async def on_job(message: func.QueueMessage) -> None:
    body = message.get_body().decode()
    note("began", f"job/{body}")
    if body == "fail":
        raise RuntimeError("failure on request")
    note("ended", f"job/{body}")
