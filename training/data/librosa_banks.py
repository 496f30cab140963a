"""The filter banks of a new version, made by librosa; serving loads them from the version's folder."""

from functools import cache

import librosa
import numpy as np

from tonearm.constants import CEPSTRA, FRAME_LENGTH_SAMPLES, MEL_BANDS, SAMPLE_RATE_HZ, TUNINGS_CENTS
from tonearm.features.filter_banks import FilterBanks


@cache
def make() -> FilterBanks:
    """Makes the mel, chroma and DCT banks by librosa's defaults; :class:`FilterBanks` states shapes and types."""
    rate_hz, n_fft = SAMPLE_RATE_HZ, FRAME_LENGTH_SAMPLES
    mel = librosa.filters.mel(sr=rate_hz, n_fft=n_fft, n_mels=MEL_BANDS, dtype=np.float64).T
    chroma = [librosa.filters.chroma(sr=rate_hz, n_fft=n_fft, tuning=cents / 100).T for cents in TUNINGS_CENTS]
    return FilterBanks(
        mel=np.ascontiguousarray(mel, dtype=np.float32),
        chroma=np.array(chroma, dtype=np.float16),
        # The MFCCs of one band at a time are the columns of the transform.
        dct=np.ascontiguousarray(librosa.feature.mfcc(S=np.eye(MEL_BANDS), n_mfcc=CEPSTRA).T, dtype=np.float32),
    )
