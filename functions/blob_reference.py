"""The blob trigger's argument: a reference to an upload, without a client.

With a type of this kind in its signature (a deferred binding) a function is told which blob it is for, and the host
reads nothing of it. Microsoft's own such types come with a client for each blob and import at the start what managed
identities need; functions.storage has a client, and imports that where there is an identity.
"""

import json
from typing import Any

from azurefunctions.extensions.base import Datum, InConverter, SdkType  # type: ignore[import-untyped]


class BlobReference(SdkType):  # type: ignore[misc]
    """Which blob. ``name``: its path in the container."""

    def __init__(self, name: str) -> None:
        self.name = name


class _FromHost(InConverter, binding="blob", trigger="blobTrigger"):  # type: ignore[call-arg,misc]
    """What the host sends, to the argument."""

    @classmethod
    def check_input_type_annotation(cls, pytype: type) -> bool:
        return issubclass(pytype, BlobReference)

    @classmethod
    def decode(cls, data: Datum, **_: Any) -> BlobReference:
        if data.type != "model_binding_data":
            raise ValueError(f"The host sent the blob trigger {data.type!r} instead of a reference.")
        return BlobReference(json.loads(data.value.content)["BlobName"])
