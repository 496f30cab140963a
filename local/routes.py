"""Which function answers which URL, from the routes in the http bindings."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from local.worker import AppError, Binding, Function

ALL_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Segment:
    """One part of a route between slashes: ``text`` is a literal's text or a parameter's name."""

    kind: int
    text: str


# in the order in which they win over each other
LITERAL, PARAMETER, CATCH_ALL = range(3)


@dataclass(frozen=True, slots=True)
class Route:
    """Where one function is found."""

    function: str
    segments: tuple[Segment, ...]
    methods: frozenset[str]
    anonymous: bool
    """Whether it answers without a function key."""

    def match(self, parts: list[str]) -> dict[str, str] | None:
        """The parameters' values if this route fits a path split at its slashes, otherwise None."""
        params: dict[str, str] = {}
        for index, segment in enumerate(self.segments):
            rest = parts[index:]
            if segment.kind == CATCH_ALL:
                return params | ({segment.text: "/".join(rest)} if rest else {})
            if not rest or (segment.kind == LITERAL and rest[0].casefold() != segment.text.casefold()):
                return None
            if segment.kind == PARAMETER:
                params[segment.text] = rest[0]
        return params if len(parts) == len(self.segments) else None


@dataclass(frozen=True, slots=True)
class Match:
    """What was found for a URL: ``route`` is None where the path is known and the method is not."""

    route: Route | None
    params: dict[str, str]
    allowed: frozenset[str]
    """All methods that the path takes; empty if the path itself is unknown."""


class Routes:
    """All routes of an app."""

    def __init__(self, functions: Iterable[Function], prefix: str) -> None:
        """Raises AppError on a route that this host does not understand."""
        http = [function for function in functions if function.trigger["type"] == "httpTrigger"]
        self._routes = sorted(
            (_route(function.name, function.trigger, prefix) for function in http),
            key=lambda route: [segment.kind for segment in route.segments],
        )

    def find(self, method: str, raw_path: str) -> Match:
        """The route for a path as it stands in the request, percent signs and all.

        Decoding comes after splitting, so that ``%2F`` is a slash in a parameter and never one between segments.
        A slash at the end changes nothing. HEAD is answered wherever GET is.
        """
        parts = [unquote(part) for part in raw_path.removesuffix("/").split("/")[1:]]
        found = [(route, params) for route in self._routes if (params := route.match(parts)) is not None]
        allowed = frozenset[str]().union(*(route.methods for route, _ in found))
        for route, params in found:
            if method in route.methods:
                return Match(route, params, allowed)
        return Match(None, {}, allowed)


def _route(function: str, trigger: Binding, prefix: str) -> Route:
    path = "/".join(part for part in (prefix, trigger.get("route", function).strip("/")) if part)
    methods = frozenset(method.upper() for method in trigger.get("methods", ())) or ALL_METHODS
    return Route(
        function=function,
        segments=tuple(_segment(text, function) for text in path.split("/")),
        methods=methods | {"HEAD"} if "GET" in methods else methods,
        anonymous=trigger.get("authLevel", "FUNCTION").upper() == "ANONYMOUS",
    )


def _segment(text: str, function: str) -> Segment:
    if found := re.fullmatch(r"\{(\**)(\w+)\}", text):
        return Segment(CATCH_ALL if found[1] else PARAMETER, found[2])
    if "{" in text:
        raise AppError(
            f"function {function}: the route segment {text!r} is of a kind that the local host does not know"
        )
    return Segment(LITERAL, text)
