"""Bicep's functions, as far as these files use them, on the values of `evaluate`.

What Azure computes from the subscription (``uniqueString``, ``guid``) is computed alike, not the same: of the right
length and form, the same for the same arguments, different for others.
"""

import base64
import hashlib
import json
import uuid
from collections.abc import Callable, Mapping
from functools import reduce as fold
from typing import Any

from infra.checks.values import is_runtime, runtime

SUBSCRIPTION = "/subscriptions/00000000-0000-0000-0000-000000000000"
GROUP = f"{SUBSCRIPTION}/resourceGroups/rg-sample"
LOCATION = "westeurope"
UNIQUE_CHARS = 13


def _on_text(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """``function``, but of what only Azure knows the answer is as little known."""

    def applied(*arguments: Any) -> Any:
        if any(map(is_runtime, arguments)):
            return runtime(f"{name}({', '.join(map(str, arguments))})")
        return function(*arguments)

    return applied


def _unique_string(*parts: Any) -> str:
    digest = hashlib.sha256("\n".join(map(str, parts)).encode()).digest()
    return base64.b32encode(digest).decode().lower()[:UNIQUE_CHARS]


def _resource_id(*parts: str) -> str:
    """``resourceId([subscription], [group], type, name…)``."""
    place = next(place for place, part in enumerate(parts) if "/" in part)
    provider, *types = parts[place].split("/")
    pairs = "/".join(f"{each}/{name}" for each, name in zip(types, parts[place + 1 :], strict=True))
    return f"{GROUP}/providers/{provider}/{pairs}"


def _subscription_resource_id(*parts: str) -> str:
    return SUBSCRIPTION + _resource_id(*parts).removeprefix(GROUP)


def _extension_resource_id(over: str, *parts: str) -> str:
    return over + _resource_id(*parts).removeprefix(GROUP)


def _union(*parts: Any) -> Any:
    if all(isinstance(part, Mapping) for part in parts):
        return fold(_merged, parts)
    return list(dict.fromkeys(item for part in parts for item in part))


def _merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Objects in both are merged in their turn; else the later wins."""
    both = {
        key: _merged(one[key], other[key])
        for key in one.keys() & other.keys()
        if isinstance(one[key], Mapping) and isinstance(other[key], Mapping)
    }
    return {**one, **other, **both}


def _concat(*parts: Any) -> Any:
    return [item for part in parts for item in part] if isinstance(parts[0], list) else "".join(map(str, parts))


def _contains(container: Any, item: Any) -> bool:
    return item in container


def _format(text: str, *arguments: Any) -> str:
    return text.format(*arguments)


def _to_object(items: list[Any], key: Callable[[Any], str], value: Callable[[Any], Any] = lambda item: item) -> Any:
    return {key(item): value(item) for item in items}


def _sorted(items: list[Any], comes_first: Callable[[Any, Any], bool]) -> list[Any]:
    found: list[Any] = []
    for item in items:
        place = next((at for at, other in enumerate(found) if comes_first(item, other)), len(found))
        found.insert(place, item)
    return found


def _string(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    # texts
    "toLower": _on_text("toLower", str.lower),
    "toUpper": _on_text("toUpper", str.upper),
    "trim": _on_text("trim", str.strip),
    "substring": _on_text("substring", lambda text, start, length=None: text[start:][:length]),
    "replace": _on_text("replace", str.replace),
    "split": _on_text("split", str.split),
    "startsWith": _on_text("startsWith", str.startswith),
    "endsWith": _on_text("endsWith", str.endswith),
    "indexOf": _on_text("indexOf", str.find),
    "padLeft": _on_text("padLeft", lambda value, width, sign=" ": str(value).rjust(width, sign)),
    "uriComponent": _on_text("uriComponent", lambda text: text),
    "base64": _on_text("base64", lambda text: base64.b64encode(text.encode()).decode()),
    "format": _format,
    "string": _string,
    "join": lambda items, between: between.join(map(str, items)),
    "uniqueString": _unique_string,
    "guid": lambda *parts: str(uuid.uuid5(uuid.NAMESPACE_URL, "\n".join(map(str, parts)))),
    # arrays and objects
    "array": lambda value: value if isinstance(value, list) else [value],
    "concat": _concat,
    "contains": _contains,
    "createArray": lambda *items: list(items),
    "empty": lambda value: not value,
    "first": lambda value: value[0],
    "last": lambda value: value[-1],
    "flatten": lambda lists: [item for each in lists for item in each],
    "intersection": lambda one, *others: [item for item in one if all(item in other for other in others)],
    "items": lambda value: [{"key": key, "value": value[key]} for key in sorted(value)],
    "length": len,
    "max": lambda *values: max(values[0] if isinstance(values[0], list) else values),
    "min": lambda *values: min(values[0] if isinstance(values[0], list) else values),
    "objectKeys": sorted,
    "range": lambda start, count: list(range(start, start + count)),
    "shallowMerge": lambda parts: {key: value for part in parts for key, value in part.items()},
    "skip": lambda value, count: value[count:],
    "take": lambda value, count: value[:count],
    "union": _union,
    "filter": lambda items, wanted: [item for item in items if wanted(item)],
    "map": lambda items, made: [made(item) for item in items],
    "reduce": lambda items, start, add: fold(add, items, start),
    "sort": _sorted,
    "toObject": _to_object,
    # other values
    "any": lambda value: value,
    "bool": lambda value: str(value).lower() == "true",
    "coalesce": lambda *values: next((value for value in values if value is not None), None),
    "int": _on_text("int", int),
    "json": _on_text("json", json.loads),
    # Azure
    "deployment": lambda: {"name": "main", "location": LOCATION},
    "deployer": lambda: {"objectId": runtime("deployer"), "tenantId": runtime("tenant")},
    "environment": lambda: {
        "name": "AzureCloud",
        "suffixes": {"storage": "core.windows.net", "keyvaultDns": ".vault.azure.net"},
        "resourceManager": "https://management.azure.com/",
    },
    "extensionResourceId": _extension_resource_id,
    "reference": lambda of, *_: runtime(f"reference({of})"),
    "resourceGroup": lambda: {"id": GROUP, "name": GROUP.rpartition("/")[2], "location": LOCATION, "tags": {}},
    "resourceId": _resource_id,
    "subscription": lambda: {
        "id": SUBSCRIPTION,
        "subscriptionId": SUBSCRIPTION.rpartition("/")[2],
        "tenantId": runtime("tenant"),
        "displayName": "sample",
    },
    "subscriptionResourceId": _subscription_resource_id,
    "tenant": lambda: {"tenantId": runtime("tenant")},
    "utcNow": lambda _form="": runtime("utcNow"),
    "newGuid": lambda: runtime("newGuid"),
}
