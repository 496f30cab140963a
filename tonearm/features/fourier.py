"""The Fourier transform of many frames: FFmpeg's, which PyAV brings along to decode, or NumPy's where it is not found.

FFmpeg's (``av_tx`` of libavutil, as its tx.h describes it) has code for each kind of processor and takes a third of
NumPy's time, which was a fifth of an answer's. It is asked frame by frame, without Python's lock, so that other threads
go on meanwhile.
"""

import ctypes
import threading
import weakref
from typing import Any, cast

import av.frame
import numpy as np
from numpy.typing import NDArray

from tonearm.constants import FRAME_LENGTH_SAMPLES, SPECTRUM_BINS

FRAMES_AT_ONCE = 64
"""So many, with what comes of them on the way, stay in a core's cache."""
_REAL_FLOAT32 = 6  # AV_TX_FLOAT_RDFT
_ALIGNMENT_BYTES = 64  # what code for the widest registers asks of addresses
_FLOAT32_BYTES = 4

_TRANSFORM = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_ssize_t)
_THREAD = threading.local()


class FrameTransform:
    """Room for frames and for what becomes of them, for one thread; :func:`frame_transform` gives each its own."""

    def __init__(self) -> None:
        self.frames = _aligned(FRAMES_AT_ONCE, FRAME_LENGTH_SAMPLES, np.float32)
        """Where the frames go, shape (64, 2048), float32."""
        spectra = _aligned(FRAMES_AT_ONCE, SPECTRUM_BINS, np.complex64)
        self._spectra = spectra[:, :SPECTRUM_BINS]
        self._addresses = [
            (spectra.ctypes.data + row * spectra.strides[0], self.frames.ctypes.data + row * self.frames.strides[0])
            for row in range(FRAMES_AT_ONCE)
        ]
        self._ffmpeg = _ffmpeg()
        if self._ffmpeg is not None:
            _, context, end = self._ffmpeg
            weakref.finalize(self, end, ctypes.byref(context)).atexit = False

    @property
    def by_ffmpeg(self) -> bool:
        """Whether it is FFmpeg's."""
        return self._ffmpeg is not None

    def spectra(self, n: int) -> NDArray[np.complex64]:
        """Of the first ``n`` frames: shape (n, 1025), complex64, as ``numpy.fft.rfft``; good until the next call."""
        if self._ffmpeg is None:
            return cast("NDArray[np.complex64]", np.fft.rfft(self.frames[:n], axis=1))
        transform, context, _ = self._ffmpeg
        for spectrum, frame in self._addresses[:n]:
            transform(context, spectrum, frame, _FLOAT32_BYTES)
        return self._spectra[:n]


def frame_transform() -> FrameTransform:
    """That of the calling thread."""
    if not hasattr(_THREAD, "transform"):
        _THREAD.transform = FrameTransform()
    return cast("FrameTransform", _THREAD.transform)


def _ffmpeg() -> tuple[Any, ctypes.c_void_p, Any] | None:
    """FFmpeg's transform of a frame, its context, and what ends that; None where there is none."""
    try:
        library = ctypes.CDLL(av.frame.__file__)  # in which what it is linked with is found too
        begin, end = library.av_tx_init, library.av_tx_uninit
    except (AttributeError, OSError):
        return None
    context, transform, scale = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_float(1)
    frame, forward, flags = ctypes.c_int(FRAME_LENGTH_SAMPLES), ctypes.c_int(0), ctypes.c_uint64(0)
    failed = begin(
        *(ctypes.byref(context), ctypes.byref(transform), ctypes.c_int(_REAL_FLOAT32)),
        *(forward, frame, ctypes.byref(scale), flags),
    )
    return None if failed else (_TRANSFORM(transform.value or 0), context, end)


def _aligned(rows: int, columns: int, kind: type[np.generic]) -> NDArray[Any]:
    """Zeros of shape (rows, columns or a few more), each row aligned."""
    item_bytes = np.dtype(kind).itemsize
    columns += -columns % (_ALIGNMENT_BYTES // item_bytes)
    size_bytes = rows * columns * item_bytes
    room = np.zeros(size_bytes + _ALIGNMENT_BYTES, np.uint8)
    start = -room.ctypes.data % _ALIGNMENT_BYTES
    return room[start : start + size_bytes].view(kind).reshape(rows, columns)
