"""The weights of EfficientAT's mn04 (MIT), fetched once and verified by checksum, and read without PyTorch."""

import collections
import hashlib
import io
import pickle
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

FILE = "mn04_as_mAP_432.pt"
SHA256 = "899a8c6217063f6941793102a2780b3dd788ab11fce468d9cf5f0577c453321c"
URL = f"https://github.com/fschmid56/EfficientAT/releases/download/v0.0.1/{FILE}"
CACHE = Path.home() / ".cache" / "tonearm"
_TIMEOUT_S = 60


def audioset_weights(cache: Path = CACHE) -> dict[str, np.ndarray]:
    """The arrays of the published state dict, by name, from the cache folder, or else from the authors' release.

    Raises:
        RuntimeError: if neither gives the file with the right SHA-256.
    """
    path = cache / FILE
    try:
        content = path.read_bytes() if path.exists() else _fetched(path)
    except OSError as error:
        raise RuntimeError(f"{URL} cannot be fetched ({error}). Put the file into {cache}.") from error
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise RuntimeError(f"{path} is another file than {URL}. Remove it.")
    return read_state_dict(content)


def _fetched(path: Path) -> bytes:
    with urllib.request.urlopen(URL, timeout=_TIMEOUT_S) as response:
        content: bytes = response.read()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return content


def read_state_dict(content: bytes) -> dict[str, np.ndarray]:
    """Reads a state dict of PyTorch's zip format: float32 and int64 arrays by name.

    Raises:
        pickle.UnpicklingError: if it names anything but arrays; nothing in it is run.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        (index,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        arrays: dict[str, np.ndarray] = _Unpickler(archive, index).load()
    return dict(arrays)


class _Unpickler(pickle.Unpickler):
    """Knows three names: ordered dictionaries, tensors and their two kinds of storage."""

    def __init__(self, archive: zipfile.ZipFile, index: str) -> None:
        super().__init__(io.BytesIO(archive.read(index)))
        self._archive, self._folder = archive, index.removesuffix("data.pkl")

    def find_class(self, module: str, name: str) -> Any:
        known = {
            ("collections", "OrderedDict"): collections.OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            ("torch", "FloatStorage"): np.float32,
            ("torch", "LongStorage"): np.int64,
        }
        try:
            return known[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of a state dict") from None

    def persistent_load(self, pid: Any) -> np.ndarray:
        _, kind, key, _, _ = pid
        return np.frombuffer(self._archive.read(f"{self._folder}data/{key}"), kind)


def _tensor(storage: np.ndarray, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> np.ndarray:
    strides = tuple(step * storage.itemsize for step in stride)
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, strides).copy()
