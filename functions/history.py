"""``GET /api/results``: the stored results, a page at a time, all of them or those that match a filter.

One call looks through up to 4,000 results. To search 100,000 takes 25 calls: beyond that an index is needed.
"""

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
from functions.json_http import json_answer, operation
from functions.problems import ProblemError
from functions.result_store import ResultSummary
from tonearm.classification import Genre

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
Status = Literal["done", "failed"]

_MAX_CURSOR_CHARS = 16_384
_LIST_SIZE = 1_000
_MAX_LISTED = 4_000
"""With a filter, one call lists no more than this, so that it ends within seconds; the next call goes on from there."""
# A shorter search is not looked for in the random part of an id, where it would match by accident.
_MIN_ID_SEARCH_CHARS = 8

blueprint = func.Blueprint()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultPage:
    """One page of the history, in the order of the ids."""

    results: list[ResultSummary]
    """At most ``limit``; a page may be shorter, or empty, before the last page."""
    next_cursor: str | None
    """The next page's ``cursor``; null on the last page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFilter:
    """Which results to list; None or empty: any."""

    prefix: str = ""
    search: str = ""
    genre: Genre | None = None
    uncertain: bool | None = None
    status: Status | None = None

    def only_prefix(self) -> bool:
        """Whether every result that storage lists for ``prefix`` matches."""
        return self == ResultFilter(prefix=self.prefix)

    def matches(self, summary: ResultSummary) -> bool:
        """Whether a result that storage listed for ``prefix`` matches the other conditions too."""
        searched = _folded(self.search)
        name = summary.id if len(searched) >= _MIN_ID_SEARCH_CHARS else upload_urls.own_name(summary.id)
        return (
            self.genre in (None, summary.genre)
            and self.status in (None, summary.status)
            and (self.uncertain is None or self.uncertain == summary.uncertain)
            and searched in _folded(name)
        )


def _query(name: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """Which page of the history to answer with."""

    limit: int
    filter: ResultFilter
    after: str = ""
    """Name of the last blob that was listed for the pages before; empty for the first page."""


@blueprint.function_name("list_results")
@blueprint.route("results", methods=["GET"])
@operation(
    answers={200: ResultPage},
    problems=("bad_parameter", "storage_unavailable"),
    query=[
        _query("limit", "Most results on a page.", type="integer", minimum=1, maximum=MAX_LIMIT, default=DEFAULT_LIMIT),
        _query("cursor", "The next_cursor of the page before.", type="string"),
        _query("prefix", "Only results whose id begins with this.", type="string"),
        _query("search", "Only results with this in their file's name or path, in either case.", type="string"),
        _query("genre", "Only results of this genre.", type="string", enum=list(get_args(Genre))),
        _query("uncertain", "Only results that are uncertain, or are not. Failed ones are neither.", type="boolean"),
        _query("status", "Only results of this status.", type="string", enum=list(get_args(Status))),
    ],
)
def list_results(req: func.HttpRequest) -> func.HttpResponse:
    """List the results, all or those that match a filter, in the order of their ids.

    A page may be shorter than limit, or empty, before the last, which has no next_cursor.
    """
    return json_answer(json.dumps(asdict(page(page_request(req.params)))))


def page_request(params: Mapping[str, str]) -> PageRequest:
    """Check the query parameters.

    Raises:
        ProblemError: ``bad_parameter``.
    """
    limit = params.get("limit", str(DEFAULT_LIMIT))
    # At most three digits: int() itself refuses very long numbers.
    if not (limit.isascii() and limit.isdigit() and len(limit) <= 3 and 1 <= int(limit) <= MAX_LIMIT):
        raise ProblemError("bad_parameter", f"limit must be a whole number between 1 and {MAX_LIMIT}.")
    chosen = ResultFilter(
        prefix=_text(params, "prefix", "the beginning"),
        search=_text(params, "search", "a part"),
        genre=_choice(params, "genre", {genre: genre for genre in get_args(Genre)}),
        uncertain=_choice(params, "uncertain", {"true": True, "false": False}),
        status=_choice(params, "status", {status: status for status in get_args(Status)}),
    )
    cursor = params.get("cursor", "")
    return PageRequest(limit=int(limit), filter=chosen, after=after_of(cursor, chosen) if cursor else "")


def page(request: PageRequest) -> ResultPage:
    """List a page.

    Raises:
        ProblemError: ``bad_parameter``, storage refuses the cursor.
        azure.core.exceptions.AzureError: Storage cannot be reached.
    """
    found: list[ResultSummary] = []
    n_listed = 0
    after = request.after
    for blobs, more in _listed(request):
        for blob in blobs:
            if len(found) == request.limit:
                return ResultPage(results=found, next_cursor=cursor_of(after, request.filter))
            after = blob.name
            n_listed += 1
            summary = result_store.summary(blob.name, blob.metadata)
            if summary is not None and request.filter.matches(summary):
                found.append(summary)
        if more and (len(found) == request.limit or n_listed >= _MAX_LISTED):
            return ResultPage(results=found, next_cursor=cursor_of(after, request.filter))
    return ResultPage(results=found, next_cursor=None)


def _listed(request: PageRequest) -> Iterator[tuple[list[BlobProperties], bool]]:
    """Storage's pages of blobs after ``request.after``, each with whether more follow.

    Going on from a name, not from storage's own continuation token, stays right when blobs are written or deleted.
    """
    # Without a filter: one more to see whether others follow, and one that the page before ended with.
    list_size = request.limit + 2 if request.filter.only_prefix() else _LIST_SIZE
    pages: Any = (
        storage.container(storage.RESULTS)
        .list_blobs(
            name_starts_with=request.filter.prefix or None,
            include=["metadata"],
            results_per_page=list_size,
            start_from=request.after or None,
        )
        .by_page()
    )
    try:
        for blobs in pages:
            # Storage begins with the blob of this name, if it still exists.
            yield [blob for blob in blobs if blob.name != request.after], bool(pages.continuation_token)
    except HttpResponseError as error:
        if request.after and error.status_code == 400:
            raise _bad_cursor() from None
        raise


def cursor_of(after: str, chosen: ResultFilter) -> str:
    """An opaque, URL-safe cursor for the page that follows the blob named ``after``."""
    text = json.dumps([after, _fingerprint(chosen)], ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode("utf-8", "surrogatepass")).decode().rstrip("=")


def after_of(cursor: str, chosen: ResultFilter) -> str:
    """The name in a cursor.

    Raises:
        ProblemError: ``bad_parameter``, the cursor was not made here, or was made for another filter.
    """
    try:
        if len(cursor) > _MAX_CURSOR_CHARS:
            raise _bad_cursor()
        match json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)):
            case [str(after), str(fingerprint)] if (
                after and fingerprint == _fingerprint(chosen) and not result_store.NOT_IN_NAMES.search(after)
            ):
                return after
    except (ValueError, binascii.Error, RecursionError):
        pass
    raise _bad_cursor()


def _fingerprint(chosen: ResultFilter) -> str:
    return hashlib.sha256(json.dumps(asdict(chosen)).encode()).hexdigest()[:16]


def _text(params: Mapping[str, str], name: str, which_part: str) -> str:
    text = params.get(name, "")
    if len(text) > result_store.MAX_ID_CHARS or result_store.NOT_IN_NAMES.search(text):
        raise ProblemError("bad_parameter", f"{name} must be {which_part} of an id, without control characters.")
    return text


def _choice[Choice](params: Mapping[str, str], name: str, choices: dict[str, Choice]) -> Choice | None:
    """The choice that a parameter names; None if it is missing or empty."""
    text = params.get(name, "")
    if text and text not in choices:
        raise ProblemError("bad_parameter", f"{name} must be {' or '.join(choices)}.")
    return choices.get(text)


def _folded(text: str) -> str:
    """Text to compare without regard to case or to how accents are encoded."""
    return unicodedata.normalize("NFC", text).casefold()


def _bad_cursor() -> ProblemError:
    return ProblemError("bad_parameter", "cursor must be the next_cursor of an answer to the same query.")
