"""``GET /api/results``: the history, a page at a time, all of it or what is looked for."""

import base64
import binascii
import hashlib
import json
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import azure.functions as func
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobProperties

from functions import result_store, storage, upload_urls
from functions.json_http import json_answer
from functions.problems import ProblemError, guarded
from functions.result_store import ResultSummary
from tonearm.classification import Genre

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
Status = Literal["done", "failed"]

_MAX_CURSOR_CHARS = 16_384
# A page that is looked for is found by reading on. One call reads no more than this, so that it ends within seconds,
# and the next one goes on from there.
_LISTED_AT_ONCE = 1_000
_MAX_LOOKED_AT = 4_000
# From this length on, a search that fits into the part of an id made of time and chance is meant, and no accident.
_MIN_ID_SEARCH_CHARS = 8

blueprint = func.Blueprint()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultPage:
    """One page of the history, in the order of the ids."""

    results: list[ResultSummary]
    """At most ``limit`` of them, and possibly fewer than that, or none, before the last page."""
    next_cursor: str | None
    """What to ask the next page with; None on the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which results are looked for; None or empty: any."""

    prefix: str = ""
    search: str = ""
    genre: Genre | None = None
    uncertain: bool | None = None
    status: Status | None = None

    def everything(self) -> bool:
        """Whether all that the listing of ``prefix`` gives is wanted."""
        return self == Wanted(prefix=self.prefix)

    def includes(self, summary: ResultSummary) -> bool:
        """Whether ``summary``, which the listing of ``prefix`` gave, is one of them."""
        return (
            self.genre in (None, summary.genre)
            and self.status in (None, summary.status)
            and (self.uncertain is None or self.uncertain == summary.uncertain)
            and self._is_named(summary.id)
        )

    def _is_named(self, result_id: str) -> bool:
        searched = _folded(self.search)
        # One id in eight has "b7" somewhere in its random part, and all of one month begin with the same digits.
        name = result_id if len(searched) >= _MIN_ID_SEARCH_CHARS else upload_urls.own_name(result_id)
        return searched in _folded(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """Which page of the history is wanted."""

    limit: int
    wanted: Wanted
    after: str = ""
    """Name of the last blob that was looked at for the pages before; empty for the first page."""


@blueprint.function_name("list_results")
@blueprint.route("results", methods=["GET"])
@guarded
def list_results(req: func.HttpRequest) -> func.HttpResponse:
    """Answer with a page of the history."""
    return json_answer(json.dumps(asdict(page(page_request(req.params)))))


def page_request(params: Mapping[str, str]) -> PageRequest:
    """The query parameters, checked. Raises ProblemError ``bad_parameter``."""
    limit = params.get("limit", str(DEFAULT_LIMIT))
    # Three digits at most: int() itself refuses very long numbers.
    if not (limit.isascii() and limit.isdigit() and len(limit) <= 3 and 1 <= int(limit) <= MAX_LIMIT):
        raise ProblemError("bad_parameter", f"limit must be a whole number between 1 and {MAX_LIMIT}.")
    wanted = Wanted(
        prefix=_text(params, "prefix", "the beginning"),
        search=_text(params, "search", "a part"),
        genre=_choice(params, "genre", {genre: genre for genre in get_args(Genre)}),
        uncertain=_choice(params, "uncertain", {"true": True, "false": False}),
        status=_choice(params, "status", {status: status for status in get_args(Status)}),
    )
    cursor = params.get("cursor", "")
    return PageRequest(limit=int(limit), wanted=wanted, after=after_of(cursor, wanted) if cursor else "")


def page(request: PageRequest) -> ResultPage:
    """A page of history. Raises ProblemError ``bad_parameter`` for a cursor that storage refuses."""
    found: list[ResultSummary] = []
    looked_at = 0
    after = request.after
    for blobs, more in _listed(request):
        for blob in blobs:
            if len(found) == request.limit:
                return ResultPage(results=found, next_cursor=cursor_of(after, request.wanted))
            after = blob.name
            looked_at += 1
            summary = result_store.summary(blob.name, blob.metadata)
            if summary is not None and request.wanted.includes(summary):
                found.append(summary)
        if more and (len(found) == request.limit or looked_at >= _MAX_LOOKED_AT):
            return ResultPage(results=found, next_cursor=cursor_of(after, request.wanted))
    return ResultPage(results=found, next_cursor=None)


def _listed(request: PageRequest) -> Iterator[tuple[list[BlobProperties], bool]]:
    """The blobs that come after ``request.after``, as storage lists them, and whether there are more.

    To go on from a name, and not from storage's own bookmark, is right whatever was written or deleted meanwhile.
    """
    # Where everything is wanted: one to see whether more follow, and one that was on the page before.
    at_once = request.limit + 2 if request.wanted.everything() else _LISTED_AT_ONCE
    pages: Any = (
        storage.container(storage.RESULTS)
        .list_blobs(
            name_starts_with=request.wanted.prefix or None,
            include=["metadata"],
            results_per_page=at_once,
            start_from=request.after or None,
        )
        .by_page()
    )
    try:
        for blobs in pages:
            # Storage begins with the name itself, if it is still there.
            yield [blob for blob in blobs if blob.name != request.after], bool(pages.continuation_token)
    except HttpResponseError as error:
        if request.after and error.status_code == 400:
            raise _bad_cursor() from None
        raise


def cursor_of(after: str, wanted: Wanted) -> str:
    """An opaque, URL-safe cursor for the page behind the blob named ``after``, of what is ``wanted``."""
    text = json.dumps([after, _fingerprint(wanted)], ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode("utf-8", "surrogatepass")).decode().rstrip("=")


def after_of(cursor: str, wanted: Wanted) -> str:
    """The name in ``cursor``. Raises ProblemError ``bad_parameter`` when it was not made here for ``wanted``."""
    try:
        if len(cursor) > _MAX_CURSOR_CHARS:
            raise _bad_cursor()
        match json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)):
            case [str(after), str(made_for)] if (
                after and made_for == _fingerprint(wanted) and not result_store.UNSENDABLE.search(after)
            ):
                return after
    except (ValueError, binascii.Error, RecursionError):
        pass
    raise _bad_cursor()


def _fingerprint(wanted: Wanted) -> str:
    """Tells what is looked for from all else, in a few characters."""
    return hashlib.sha256(json.dumps(asdict(wanted)).encode()).hexdigest()[:16]


def _text(params: Mapping[str, str], name: str, which_part: str) -> str:
    text = params.get(name, "")
    if len(text) > result_store.MAX_ID_CHARS or result_store.UNSENDABLE.search(text):
        raise ProblemError("bad_parameter", f"{name} must be {which_part} of an id, without control characters.")
    return text


def _choice[Choice](params: Mapping[str, str], name: str, choices: dict[str, Choice]) -> Choice | None:
    """What the parameter says; None when it is left out or empty."""
    text = params.get(name, "")
    if text and text not in choices:
        raise ProblemError("bad_parameter", f"{name} must be {' or '.join(choices)}.")
    return choices.get(text)


def _folded(text: str) -> str:
    """``text`` without its case, and in one of the ways in which accents can be written."""
    return unicodedata.normalize("NFC", text).casefold()


def _bad_cursor() -> ProblemError:
    return ProblemError("bad_parameter", "cursor must be the next_cursor of an answer to the same question.")
