"""A version's filter banks, which serving multiplies spectra with.

librosa made them when the version was trained (``training/data/librosa_banks.py``); they are in the version's folder,
so that serving needs no librosa.
"""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tonearm.constants import FRAME_LENGTH_SAMPLES, SAMPLE_RATE_HZ, SPECTRUM_BINS, TUNINGS_CENTS
from tonearm.types import Floats

BIN_HZ: Floats = (np.arange(SPECTRUM_BINS) * (SAMPLE_RATE_HZ / FRAME_LENGTH_SAMPLES)).astype(np.float32)
"""The frequency of each bin of the spectrum, in Hz, shape (1025,)."""


@dataclass(slots=True, eq=False)
class FilterBanks:
    """The three banks, as librosa 1.0 defines them by default.

    Attributes:
        mel: triangles between neighbouring mel bands, area 1 each (``librosa.filters.mel``). Shape (1025 bins, 128
            bands), float32.
        chroma: for each tuning from -50 to 49 cents, Gaussian bumps around each pitch class, C first
            (``librosa.filters.chroma``). Shape (100, 1025 bins, 12), float16 to keep the file small.
        dct: orthonormal DCT-II over mel bands, as ``librosa.feature.mfcc`` has it. Shape (128 bands, 40), float32.
    """

    mel: Floats
    chroma: NDArray[np.float16]
    dct: Floats

    @classmethod
    def from_bytes(cls, content: bytes) -> "FilterBanks":
        """Reads a version's ``filter_banks.npz``, whose checksum the manifest has confirmed."""
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            return cls(mel=file["mel"], chroma=file["chroma"], dct=file["dct"])

    def to_bytes(self) -> bytes:
        """The content of ``filter_banks.npz``: the same bytes for the same banks."""
        file = io.BytesIO()
        np.savez(file, mel=self.mel, chroma=self.chroma, dct=self.dct)
        return file.getvalue()

    def chroma_bank(self, tuning_cents: int) -> Floats:
        """The chroma bank of a tuning, -50 to 49 cents from A = 440 Hz. Shape (1025 bins, 12), float32."""
        return self.chroma[tuning_cents - TUNINGS_CENTS.start].astype(np.float32)
