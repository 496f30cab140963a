"""What other projects lack or get wrong. tests/tonearm/test_workarounds.py fails when one is no longer needed."""

import ctypes
import gc
import threading
from typing import Any, cast

import av.frame
import numpy as np
from av.filter import Graph
from numpy.typing import NDArray

from tonearm.constants import FRAME_LENGTH_SAMPLES, SPECTRUM_BINS
from tonearm.types import Floats

FRAMES_AT_ONCE = 64
"""This many frames, with their spectra, stay in a core's cache."""

_REAL_FLOAT32 = 6  # AV_TX_FLOAT_RDFT
_ALIGNMENT_BYTES = 64  # what code for the widest registers asks of addresses
_TRANSFORM = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_ssize_t)
_THREAD = threading.local()


def free_graph(graph: Graph) -> None:
    """Lets go of a filter graph's file and decoder at once.

    PyAV's graph and filters refer to each other (https://github.com/PyAV-Org/PyAV/pull/2380), so that they would stay
    until Python's garbage collector runs, which may be many recordings later.
    """
    for referent in gc.get_referents(graph):
        if isinstance(referent, dict):
            referent.clear()


class FrameTransform:
    """The Fourier transform of frames by FFmpeg's ``av_tx`` (libavutil/tx.h), or by NumPy where that is not found.

    NumPy's has no code for wide registers (https://github.com/numpy/numpy/issues/17839) and takes three times as long,
    a fifth of an answer's time. FFmpeg's comes with PyAV, which does not offer it to Python. It is called without
    Python's lock. An object is for one thread; :func:`frame_transform` gives each its own.
    """

    def __init__(self) -> None:
        self.frames: Floats = _aligned(FRAMES_AT_ONCE, FRAME_LENGTH_SAMPLES, np.float32)
        """Where the frames go, shape (64, 2048), float32."""
        self._spectra = _aligned(FRAMES_AT_ONCE, SPECTRUM_BINS, np.complex64)
        self._context, self._transform = ctypes.c_void_p(), ctypes.c_void_p()
        try:
            library = ctypes.CDLL(av.frame.__file__)  # finds what it is linked with, too
            begin, self._end = library.av_tx_init, library.av_tx_uninit
        except (AttributeError, OSError):
            self.by_ffmpeg = False
            return
        forward, scale, flags = ctypes.c_int(0), ctypes.c_float(1), ctypes.c_uint64(0)
        failed = begin(
            *(ctypes.byref(self._context), ctypes.byref(self._transform), ctypes.c_int(_REAL_FLOAT32)),
            *(forward, ctypes.c_int(FRAME_LENGTH_SAMPLES), ctypes.byref(scale), flags),
        )
        self.by_ffmpeg = not failed
        self._call = _TRANSFORM(self._transform.value or 0)

    def __del__(self) -> None:
        if self.by_ffmpeg:
            self._end(ctypes.byref(self._context))

    def spectra(self, n: int) -> NDArray[np.complex64]:
        """The spectra of the first ``n`` frames, as ``numpy.fft.rfft``.

        Returns:
            Shape (n, 1025), complex64; valid until the next call.
        """
        if not self.by_ffmpeg:
            return cast("NDArray[np.complex64]", np.fft.rfft(self.frames[:n], axis=1))
        from_address, to_address = self.frames.ctypes.data, self._spectra.ctypes.data
        from_step, to_step = self.frames.strides[0], self._spectra.strides[0]
        for row in range(n):
            self._call(self._context, to_address + row * to_step, from_address + row * from_step, 4)
        return self._spectra[:n, :SPECTRUM_BINS]


def frame_transform() -> FrameTransform:
    """The calling thread's own transform."""
    if not hasattr(_THREAD, "transform"):
        _THREAD.transform = FrameTransform()
    return cast("FrameTransform", _THREAD.transform)


def _aligned(rows: int, columns: int, kind: type[np.generic]) -> NDArray[Any]:
    """Zeros of shape (rows, columns or a few more), each row aligned."""
    item_bytes = np.dtype(kind).itemsize
    columns += -columns % (_ALIGNMENT_BYTES // item_bytes)
    size_bytes = rows * columns * item_bytes
    room = np.zeros(size_bytes + _ALIGNMENT_BYTES, np.uint8)
    start = -room.ctypes.data % _ALIGNMENT_BYTES
    return room[start : start + size_bytes].view(kind).reshape(rows, columns)
