"""The blob trigger's argument: only the upload's name, so that the host reads nothing of the blob.

An argument of such a type is a "deferred binding". Microsoft's own types (`azurefunctions-extensions-bindings-blob`)
create a client for each blob, and import `azure.identity` at the start; `functions.storage` has a client already.
"""

import json
from typing import Any

from azurefunctions.extensions.base import Datum, InConverter, SdkType  # type: ignore[import-untyped]


class BlobReference(SdkType):  # type: ignore[misc]
    """Which blob the function is called for. ``name`` is its path in the container."""

    def __init__(self, name: str) -> None:
        self.name = name


class _BlobReferenceConverter(InConverter, binding="blob", trigger="blobTrigger"):  # type: ignore[call-arg,misc]
    """Makes the argument from the host's message. The extension registers it by this class statement."""

    @classmethod
    def check_input_type_annotation(cls, pytype: type) -> bool:
        return issubclass(pytype, BlobReference)

    @classmethod
    def decode(cls, data: Datum, **_: Any) -> BlobReference:
        if data.type != "model_binding_data":
            raise ValueError(f"The host sent the blob trigger {data.type!r} instead of a reference.")
        return BlobReference(json.loads(data.value.content)["BlobName"])
