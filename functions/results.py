"""``GET /api/results/{id}`` and the history, ``GET /api/results``."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import azure.functions as func
from azure.core.exceptions import HttpResponseError

from functions import records, storage
from functions.http import json_answer
from functions.problems import ProblemError, guarded
from functions.records import ResultSummary

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
_MAX_CURSOR_CHARS = 16_384
_PENDING_RETRY_AFTER_S = 1

blueprint = func.Blueprint()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """The upload is there, and its answer is being worked out: ask again after the seconds in ``Retry-After``."""

    id: str
    status: Literal["pending"] = "pending"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultPage:
    """One page of the history, in the order of the ids."""

    results: list[ResultSummary]
    """At most ``limit`` of them, and possibly fewer than that before the last page."""
    next_cursor: str | None
    """What to ask the next page with; None on the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """Which page of the history is wanted."""

    limit: int
    prefix: str
    marker: str | None
    """Storage's own bookmark."""


@blueprint.function_name("get_result")
@blueprint.route("results/{*id}", methods=["GET"])
@guarded
def get_result(req: func.HttpRequest) -> func.HttpResponse:
    """Answer with the result of an upload."""
    result_id = records.checked_id(req.route_params.get("id") or "")
    found = records.current(result_id)
    if found is None:
        raise ProblemError("not_found", "There is neither a result nor an upload of this id.")
    if found == "pending":
        return json_answer(
            json.dumps(asdict(Pending(id=result_id))),
            status=202,
            headers={"Retry-After": str(_PENDING_RETRY_AFTER_S)},
        )
    return json_answer(found.body)


@blueprint.function_name("list_results")
@blueprint.route("results", methods=["GET"])
@guarded
def list_results(req: func.HttpRequest) -> func.HttpResponse:
    """Answer with a page of the history."""
    return json_answer(json.dumps(asdict(page(page_request(req.params)))))


def page_request(params: Mapping[str, str]) -> PageRequest:
    """The query parameters, checked. Raises ProblemError ``bad_parameter``."""
    limit = params.get("limit", str(DEFAULT_LIMIT))
    if not (limit.isascii() and limit.isdigit() and len(limit) <= len(str(MAX_LIMIT)) and 1 <= int(limit) <= MAX_LIMIT):
        raise ProblemError("bad_parameter", f"limit must be a whole number from 1 to {MAX_LIMIT}.")
    prefix = params.get("prefix", "")
    if len(prefix) > records.MAX_ID_CHARS or records.UNSENDABLE.search(prefix):
        raise ProblemError("bad_parameter", "prefix must be the beginning of an id, without control characters.")
    cursor = params.get("cursor", "")
    return PageRequest(limit=int(limit), prefix=prefix, marker=marker_of(cursor, prefix) if cursor else None)


def page(request: PageRequest) -> ResultPage:
    """One listing call's worth of history. Raises ProblemError ``bad_parameter`` for a bookmark storage refuses."""
    pages: Any = (
        storage.container(storage.RESULTS)
        .list_blobs(name_starts_with=request.prefix or None, include=["metadata"], results_per_page=request.limit)
        .by_page(request.marker)
    )
    try:
        blobs = list(next(pages))
    except HttpResponseError as error:
        if request.marker is not None and error.status_code == 400:
            raise _bad_cursor() from None
        raise
    summaries = (records.summary(blob.name, blob.metadata) for blob in blobs)
    marker = pages.continuation_token
    return ResultPage(
        results=[summary for summary in summaries if summary is not None],
        next_cursor=cursor_of(marker, request.prefix) if marker else None,
    )


def cursor_of(marker: str, prefix: str) -> str:
    """An opaque, URL-safe cursor for storage's bookmark in the listing of ``prefix``."""
    return base64.urlsafe_b64encode(json.dumps([marker, prefix]).encode()).decode().rstrip("=")


def marker_of(cursor: str, prefix: str) -> str:
    """The bookmark in ``cursor``. Raises ProblemError ``bad_parameter`` when it was not made here for ``prefix``."""
    try:
        if len(cursor) > _MAX_CURSOR_CHARS:
            raise _bad_cursor()
        match json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)):
            case [str(marker), str(made_for)] if (
                marker and made_for == prefix and not records.UNSENDABLE.search(marker)
            ):
                return marker
    except (ValueError, binascii.Error, RecursionError):
        pass
    raise _bad_cursor()


def _bad_cursor() -> ProblemError:
    return ProblemError("bad_parameter", "cursor must be the next_cursor of an answer to the same prefix.")
