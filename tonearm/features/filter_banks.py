"""A version's filter banks, which serving multiplies spectra with.

librosa made them when the version was trained (``training/data/filter_banks.py``); they are in the version's folder,
so that serving needs no librosa.
"""

import io
import zipfile
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tonearm.constants import (
    CEPSTRA,
    CHROMA_BINS,
    FRAME_LENGTH_SAMPLES,
    MEL_BANDS,
    SAMPLE_RATE_HZ,
    SPECTRUM_BINS,
    TUNINGS_CENTS,
)
from tonearm.errors import ModelError
from tonearm.types import Floats

MEL_BLOCKS = 4

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
    _mel_blocks: list[tuple[slice, slice, Floats]] = field(init=False, repr=False)
    """The mel bank in four ranges of bins: which bins, which bands they touch, and the weights between these."""

    def __post_init__(self) -> None:
        self._mel_blocks = []
        for bins in np.array_split(np.arange(SPECTRUM_BINS), MEL_BLOCKS):
            rows = slice(bins[0], bins[-1] + 1)
            touched = np.flatnonzero(self.mel[rows].any(axis=0))
            bands = slice(touched[0], touched[-1] + 1)
            self._mel_blocks.append((rows, bands, np.ascontiguousarray(self.mel[rows, bands])))

    @classmethod
    def from_bytes(cls, content: bytes) -> "FilterBanks":
        """Reads a version's ``filter_banks.npz``.

        Raises:
            ModelError: if the content is something else.
        """
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                banks = {name: file[name] for name in ("mel", "chroma", "dct")}
        except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
            raise ModelError(f"The filter banks cannot be read: {error}") from error
        shapes = {name: bank.shape for name, bank in banks.items()}
        expected = {
            "mel": (SPECTRUM_BINS, MEL_BANDS),
            "chroma": (len(TUNINGS_CENTS), SPECTRUM_BINS, CHROMA_BINS),
            "dct": (MEL_BANDS, CEPSTRA),
        }
        if shapes != expected:
            raise ModelError(f"The filter banks have shapes {shapes}, and not {expected}.")
        return cls(**banks)

    def to_bytes(self) -> bytes:
        """The content of ``filter_banks.npz``: the same bytes for the same banks."""
        file = io.BytesIO()
        np.savez(file, mel=self.mel, chroma=self.chroma, dct=self.dct)
        return file.getvalue()

    def mel_power(self, power: Floats) -> Floats:
        """Power per mel band: ``power @ mel`` in a quarter of the time, as the bank is nearly all zeros.

        Args:
            power: shape (n, 1025 bins), float32.

        Returns:
            Shape (n, 128 bands), float32.
        """
        mel = np.zeros((len(power), MEL_BANDS), np.float32)
        for bins, bands, weights in self._mel_blocks:
            mel[:, bands] += power[:, bins] @ weights
        return mel

    def chroma_bank(self, tuning_cents: int) -> Floats:
        """The chroma bank of a tuning, -50 to 49 cents from A = 440 Hz. Shape (1025 bins, 12), float32."""
        return self.chroma[tuning_cents - TUNINGS_CENTS.start].astype(np.float32)
