import pytest

from local.routes import Match, Routes
from local.worker import AppError, Function


def function(name: str, route: str | None, methods: list[str] | None = None, level: str = "FUNCTION") -> Function:
    trigger = {"type": "httpTrigger", "name": "req", "authLevel": level}
    trigger |= {"route": route} if route is not None else {}
    return Function(name, name, ((trigger | ({"methods": methods} if methods else {})),))


ROUTES = Routes(
    [
        function("catch", "things/{*rest}", ["GET"]),
        function("one", "things/{id}", ["GET", "DELETE"]),
        function("special", "things/special", ["GET"]),
        function("sub", "things/{id}/sub/{other}", ["GET"]),
        function("list", "things", ["GET"]),
        function("add", "things", ["POST"]),
        function("bare", None),
        function("open", "open", ["GET"], "ANONYMOUS"),
    ],
    prefix="api",
)


def found(method: str, path: str) -> tuple[str | None, dict[str, str]]:
    match = ROUTES.find(method, path)
    return match.route.function if match.route else None, match.params


@pytest.mark.parametrize(
    ("path", "name", "params"),
    [
        ("/api/things", "list", {}),
        ("/api/things/", "list", {}),
        ("/API/Things", "list", {}),
        ("/api/things/special", "special", {}),
        ("/api/things/7", "one", {"id": "7"}),
        ("/api/things/7/sub/8", "sub", {"id": "7", "other": "8"}),
        ("/api/things/7/8", "catch", {"rest": "7/8"}),
        ("/api/things/a//b", "catch", {"rest": "a//b"}),
        ("/api/bare", "bare", {}),
    ],
)
def test_the_most_literal_route_wins(path: str, name: str, params: dict[str, str]) -> None:
    assert found("GET", path) == (name, params)


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/api/things/a%2Fb", {"id": "a/b"}),
        ("/api/things/%E6%97%A5%20%25", {"id": "日 %"}),
        ("/api/things/a%2fb/c%23", {"rest": "a/b/c#"}),
        ("/api/things/..%2Fx", {"id": "../x"}),
    ],
)
def test_parameters_are_decoded_after_the_path_is_split(path: str, params: dict[str, str]) -> None:
    assert found("GET", path)[1] == params


def test_methods_are_those_of_all_functions_at_the_path() -> None:
    assert found("POST", "/api/things") == ("add", {})
    assert found("DELETE", "/api/things/special") == ("one", {"id": "special"})
    assert ROUTES.find("PUT", "/api/things") == Match(None, {}, frozenset({"GET", "HEAD", "POST"}))
    assert found("HEAD", "/api/things") == ("list", {})
    assert found("PATCH", "/api/bare") == ("bare", {})


@pytest.mark.parametrize("path", ["/", "/api", "/things", "/api/nothing", "/api/open/x", "/apis/things"])
def test_other_paths_are_unknown(path: str) -> None:
    assert ROUTES.find("GET", path) == Match(None, {}, frozenset())


def test_only_anonymous_functions_need_no_key() -> None:
    routes = {name: ROUTES.find("GET", f"/api/{name}").route for name in ("open", "bare")}
    assert {name: route and route.anonymous for name, route in routes.items()} == {"open": True, "bare": False}


def test_an_empty_prefix_leaves_the_route_as_it_is() -> None:
    match = Routes([function("one", "things/{id}")], prefix="").find("GET", "/things/7")
    assert match.params == {"id": "7"}


@pytest.mark.parametrize("route", ["{id:int}", "a{id}", "{id?}"])
def test_routes_that_would_mean_something_else_are_refused(route: str) -> None:
    with pytest.raises(AppError, match="function f"):
        Routes([function("f", route)], prefix="api")
