"""Drives Microsoft's Python worker library as the Functions host does: load an app, list its functions, invoke them.

The library (`azure-functions-runtime`) takes protobuf messages but looks only at their shape, so plain objects of that
shape are enough and no gRPC is needed. Decorators, bindings, converters and the thread pool are Microsoft's own.
"""

import json
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import azure_functions_runtime as runtime  # type: ignore[import-untyped]
from starlette.responses import PlainTextResponse, Response


class InvocationError(Exception):
    """A function raised, or its arguments or answer could not be converted. The text, with its trace, is for logs."""


class AppError(Exception):
    """The function app cannot be loaded; the message says why."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request as a function sees it. ``params`` are the route's parameters, ``query`` those after the ``?``."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Function:
    """One indexed function."""

    name: str
    function_id: str
    bindings: Sequence[dict[str, Any]]
    """As function.json would hold them: `type`, `direction`, `name`, `route`, `path`, …"""

    @property
    def trigger(self) -> dict[str, Any]:
        """The binding that starts the function; every function has exactly one."""
        return next(binding for binding in self.bindings if binding["type"].endswith("Trigger"))


@dataclass(frozen=True, slots=True)
class Worker:
    """A function app, loaded into this process, with its functions by name."""

    functions: dict[str, Function]

    @classmethod
    async def start(cls, app_dir: Path) -> Self:
        """Import ``app_dir/function_app.py`` and index its functions. Raises AppError.

        Once in a process only: the library keeps the app in module globals.
        """
        if not (app_dir / "function_app.py").is_file():
            raise AppError(f"there is no function_app.py in {app_dir}")
        sys.path.insert(0, str(app_dir))
        request = _request("worker_init_request", capabilities={}, function_app_directory=str(app_dir))
        answer = await runtime.worker_init_request(request)
        if answer.result.status != _Message.Success:
            failure = answer.result.exception
            raise AppError(f"the function app in {app_dir} cannot be loaded: {failure.message}\n{failure.stack_trace}")
        listing = await runtime.functions_metadata_request(_request("functions_metadata_request"))
        runtime.start_threadpool_executor()
        found = listing.function_metadata_results or ()
        return cls(
            {each.name: Function(each.name, each.function_id, [*map(json.loads, each.raw_bindings)]) for each in found}
        )

    async def invoke_http(self, name: str, request: HttpRequest) -> Response:
        """Run an HTTP function. Raises InvocationError."""
        http = _Message(**asdict(request) | {"body": _Message(bytes=request.body)})
        answer = await self._invoke(name, _Message(http=http), {})
        if not hasattr(answer, "http"):  # a function may return a plain string instead of an HttpResponse
            return PlainTextResponse(answer.string)
        headers = {name: value for name, value in answer.http.headers.items() if name.lower() != "content-length"}
        return Response(answer.http.body.bytes, int(answer.http.status_code), headers)

    async def invoke_blob(self, name: str, container: str, blob_name: str) -> None:
        """Run a blob function whose argument is a deferred binding, such as ``BlobClient`` of Microsoft's extension.

        The function gets a reference to the blob and reads what it needs. Raises InvocationError.
        """
        trigger = self.functions[name].trigger
        reference = {"Connection": trigger["connection"], "ContainerName": container, "BlobName": blob_name}
        content = {"content_type": "application/json", "content": json.dumps(reference).encode()}
        blob = _Message(model_binding_data=_Message(version="1.0", source="AzureStorageBlobs", **content))
        await self._invoke(name, blob, {"BlobTrigger": _Message(string=f"{container}/{blob_name}")})

    async def invoke_queue(self, name: str, body: str, *, message_id: str = "", dequeue_count: int = 1) -> None:
        """Run a queue function on a message's decoded text. Raises InvocationError."""
        metadata = {"Id": _Message(string=message_id), "DequeueCount": _Message(json=str(dequeue_count))}
        await self._invoke(name, _Message(string=body), metadata)

    async def _invoke(self, name: str, data: "_Message", trigger_metadata: dict[str, "_Message"]) -> Any:
        function = self.functions[name]
        request = _request(
            "invocation_request",
            invocation_id=str(uuid.uuid4()),
            function_id=function.function_id,
            input_data=[_Message(data=data, name=function.trigger["name"])],
            trigger_metadata=trigger_metadata,
            trace_context=_Message(trace_parent="", trace_state="", attributes={}),
            retry_context=_Message(retry_count=0, max_retry_count=0, exception=None),
        )
        answer = await runtime.invocation_request(request)
        if answer.result.status != _Message.Success:
            failure = answer.result.exception
            raise InvocationError(f"{name}: {failure.message}\n{failure.stack_trace}")
        return answer.return_value


class _Message(SimpleNamespace):
    """Any protobuf message, by shape: fields by keyword. Of a oneof, the field given first is the one that is set."""

    Failure, Success = 0, 1  # of StatusResult
    undefined, out, inout = 0, 1, 2  # of BindingInfo: no data type, and directions

    def WhichOneof(self, _group: str) -> str | None:  # noqa: N802 (protobuf's name)
        return next(iter(vars(self)), None)


class _Protos:
    def __getattr__(self, _name: str) -> type[_Message]:
        return _Message


def _request(kind: str, **fields: Any) -> _Message:
    """A host's message of ``kind`` with the context that the library expects around it."""
    properties = {"host": "127.0.0.1", "protos": _Protos()}
    return _Message(request=_Message(**{kind: _Message(**fields)}), properties=properties)
