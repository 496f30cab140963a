"""``GET /api/results``: the stored results, a page at a time, all of them or those that match a filter.

One call looks through up to 4,000 results, whoever's they are. To search 100,000 takes 25 calls: beyond that an index
is needed.
"""

import base64
import hashlib
import hmac
import json
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import azure.functions as func
from azure.core.exceptions import HttpResponseError

from functions import direct_ids, owners, result_store, storage, upload_urls
from functions.json_http import json_answer, operation
from functions.problems import ProblemError
from functions.result_store import ResultSummary
from tonearm.classification import Genre

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
Status = Literal["done", "failed"]
_BAD_CURSOR = "cursor must be the next_cursor of an answer to the same query."
# With a filter, one call lists at most 4,000 results, so that it ends within seconds.
_LIST_SIZE = 1_000
_MAX_LISTED = 4_000
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
    owner: str | None = None

    def matches(self, summary: ResultSummary) -> bool:
        """Whether a result that storage listed for ``prefix``, of this owner, matches the other conditions too."""
        searched = _folded(self.search)
        name = summary.id if len(searched) >= _MIN_ID_SEARCH_CHARS else upload_urls.own_name(summary.id)
        return (
            self.genre in (None, summary.genre)
            and self.status in (None, summary.status)
            and (self.uncertain is None or self.uncertain == summary.uncertain)
            and searched in _folded(name)
        )


@blueprint.function_name("list_results")
@blueprint.route("results", methods=["GET"])
@operation(
    answers={200: ResultPage},
    problems=("bad_parameter", "storage_unavailable"),
    owned=True,
    query={
        "limit": (
            "Most results on a page.",
            {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
        ),
        "cursor": ("The next_cursor of the page before.", {"type": "string"}),
        "prefix": ("Only results whose id begins with this.", {"type": "string"}),
        "search": ("Only results with this in the file's name or path; case is ignored.", {"type": "string"}),
        "genre": ("Only results of this genre.", {"type": "string", "enum": list(get_args(Genre))}),
        "uncertain": ("Only results that are uncertain, or are not; failed ones are neither.", {"type": "boolean"}),
        "status": ("Only results of this status.", {"type": "string", "enum": list(get_args(Status))}),
    },
)
def list_results(req: func.HttpRequest) -> func.HttpResponse:
    """List the results, all or those that match a filter, in the order of their ids.

    A page may be shorter than limit, or empty, before the last, which has no next_cursor.
    """
    limit = req.params.get("limit", str(DEFAULT_LIMIT))
    # At most three digits: int() itself refuses very long numbers.
    if not (limit.isascii() and limit.isdigit() and len(limit) <= 3 and 1 <= int(limit) <= MAX_LIMIT):
        raise ProblemError("bad_parameter", f"limit must be a whole number between 1 and {MAX_LIMIT}.")
    chosen = ResultFilter(
        prefix=_text(req.params, "prefix", "the beginning"),
        search=_text(req.params, "search", "a part"),
        genre=_choice(req.params, "genre", {genre: genre for genre in get_args(Genre)}),
        uncertain=_choice(req.params, "uncertain", {"true": True, "false": False}),
        status=_choice(req.params, "status", {status: status for status in get_args(Status)}),
        owner=owners.asking(req),
    )
    cursor = req.params.get("cursor")
    return json_answer(page(int(limit), chosen, after_of(cursor, chosen) if cursor else ""))


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


def page(limit: int, chosen: ResultFilter, after: str = "") -> ResultPage:
    """The page of results that follow the blob named ``after``.

    Going on from a name, not from storage's own continuation token, stays right when blobs are written or deleted.

    Raises:
        ProblemError: ``bad_parameter``, storage refuses the name.
    """
    listed = storage.container(storage.RESULTS).list_blobs(
        name_starts_with=chosen.prefix or None,
        include=["metadata"],
        # Without a filter: one more to see whether others follow, and one that the page before ended with.
        results_per_page=limit + 2 if chosen == ResultFilter(prefix=chosen.prefix) else _LIST_SIZE,
        start_from=after or None,
    )
    blobs_by_page: Any = listed.by_page()
    found: list[ResultSummary] = []
    n_listed = 0
    try:
        for blobs in blobs_by_page:
            for blob in blobs:
                # Storage begins with the blob of this name, if it still exists. A cursor holds no name that is no id.
                if blob.name == after or result_store.NOT_IN_NAMES.search(blob.name):
                    continue
                if len(found) == limit:
                    return ResultPage(results=found, next_cursor=cursor_of(after, chosen))
                after, n_listed = blob.name, n_listed + 1
                if chosen.owner not in (None, owners.owner_of(blob.metadata)):
                    continue
                summary = result_store.summary(blob.name, blob.metadata)
                if summary is not None and chosen.matches(summary):
                    found.append(summary)
            if blobs_by_page.continuation_token and (len(found) == limit or n_listed >= _MAX_LISTED):
                return ResultPage(results=found, next_cursor=cursor_of(after, chosen))
    except HttpResponseError as error:
        if after and error.status_code == 400:
            raise ProblemError("bad_parameter", _BAD_CURSOR) from None
        raise
    return ResultPage(results=found, next_cursor=None)


def cursor_of(after: str, chosen: ResultFilter) -> str:
    """An opaque, URL-safe cursor for the page that follows the blob named ``after``, valid for this filter.

    An owner's is encrypted: ``after`` may be somebody else's. Raises AzureError if that takes the key in storage.
    """
    content = json.dumps([after, _fingerprint(chosen)], ensure_ascii=False).encode("utf-8", "surrogatepass")
    encoded = base64.urlsafe_b64encode(content) if chosen.owner is None else _cipher().encrypt(content)
    return encoded.decode().rstrip("=")


def after_of(cursor: str, chosen: ResultFilter) -> str:
    """The name in a cursor. Raises ProblemError ``bad_parameter`` if the cursor was not made here for this filter."""
    padded = cursor + "=" * (-len(cursor) % 4)
    with suppress(ValueError, TypeError, RecursionError):
        content = base64.urlsafe_b64decode(padded) if chosen.owner is None else _decrypted(padded)
        after, fingerprint = json.loads(content)
        if after and not result_store.NOT_IN_NAMES.search(after) and fingerprint == _fingerprint(chosen):
            return str(after)
    raise ProblemError("bad_parameter", _BAD_CURSOR)


def _fingerprint(chosen: ResultFilter) -> str:
    return hashlib.sha256(json.dumps(asdict(chosen)).encode()).hexdigest()[:16]


def _decrypted(cursor: str) -> bytes:
    """Raises ValueError if the cursor was not made here."""
    from cryptography.fernet import InvalidToken

    try:
        return _cipher().decrypt(cursor)
    except InvalidToken:
        raise ValueError from None


def _cipher() -> "Fernet":
    from cryptography.fernet import Fernet  # Azure's storage client brings it; its import takes 30 ms

    return Fernet(base64.urlsafe_b64encode(hmac.digest(direct_ids.installation_key(), b"cursor", "sha256")))


def _folded(text: str) -> str:
    """Text to compare without regard to case or to how accents are encoded."""
    return unicodedata.normalize("NFC", text).casefold()
