"""Every size of the system, derived here from sample rate, window and hop, with its unit in its name.

The SVM and VGG19 share one grid of frames. librosa's default frames (2,048 samples every 512) are looked at only every
10/3rd time or so: one *column* each 77 ms, 387 in the 30 s of a GTZAN track. Neighbouring columns still overlap by a
sixth, so nothing of the sound is missed, at a third of the transforms.
"""

from typing import get_args

from tonearm.classification import Genre

GENRES: tuple[Genre, ...] = get_args(Genre)

FORMATS = ("wav", "mp3", "flac", "ogg", "opus", "m4a", "aac", "webm", "wma", "au", "aiff")
"""Names of the formats that are decoded; the decoder goes by content."""
# fmt: off
ENDINGS = (
    ".aac", ".aif", ".aifc", ".aiff", ".au", ".flac", ".m4a", ".mka", ".mp3", ".oga", ".ogg", ".opus", ".snd", ".wav",
    ".webm", ".wma",
)
# fmt: on
"""How the names of those files end that are taken from a folder."""

SAMPLE_RATE_HZ = 22_050

# One short-time Fourier transform for the SVM and VGG19.
FRAME_LENGTH_SAMPLES = 2_048
HOP_LENGTH_SAMPLES = 512
SPECTRUM_BINS = FRAME_LENGTH_SAMPLES // 2 + 1

# A window of 30 s or more has 387 columns, evenly spread; a shorter one about as many a second.
# Column c of a window of n frames is frame round(FIRST_COLUMN_FRAME + c · n / (columns + 0.5)).
WINDOW_COLUMNS = 387
MIN_FRAMES_PER_COLUMN = 3.32
FIRST_COLUMN_FRAME = 1.2

MEL_BANDS = 128
TOP_DB = 80.0
MFCC_COEFFICIENTS = 20
CEPSTRA = 40
CHROMA_BINS = 12
TUNINGS_CENTS = range(-50, 50)
ROLLOFF_SHARE = 0.85

# Windows: what the SVM looks at as one. A shorter rest joins the window before it up to WINDOW_S + WINDOW_SLACK_S.
WINDOW_S = 30.0
WINDOW_SLACK_S = 3.0
WINDOW_SAMPLES = int(WINDOW_S * SAMPLE_RATE_HZ)
WINDOW_SLACK_SAMPLES = int(WINDOW_SLACK_S * SAMPLE_RATE_HZ)
MIN_DURATION_S = 1.0
MIN_SAMPLES = int(MIN_DURATION_S * SAMPLE_RATE_HZ)

# Tiles: what VGG19 looks at as one, 9.9 s of mel spectrogram.
TILE_COLUMNS = 128
WINDOW_TILES = round(WINDOW_COLUMNS / TILE_COLUMNS)

# The AudioSet network's front end: 25 ms every 10 ms, as it learnt them at 32,000 Hz, from our 22,050 Hz.
AUDIOSET_LEARNT_RATE_HZ = 32_000
AUDIOSET_LEARNT_FRAME_SAMPLES = 800
AUDIOSET_LEARNT_FFT_POINTS = 1_024
AUDIOSET_PRE_EMPHASIS = 0.97
AUDIOSET_FRAME_SAMPLES = 551
AUDIOSET_HOP_SAMPLES = SAMPLE_RATE_HZ / 100
AUDIOSET_FFT_POINTS = 704
AUDIOSET_BANDS = 128
AUDIOSET_HIGHEST_HZ = 15_000.0

# Crops: what the AudioSet network looks at as one, 10 s. A window has as many as it has tiles.
AUDIOSET_CROP_FRAMES = 1_000
WINDOW_CROPS = int(WINDOW_S * SAMPLE_RATE_HZ / AUDIOSET_HOP_SAMPLES) // AUDIOSET_CROP_FRAMES

# Peak level under which a recording counts as silent: -80 dB of full scale.
SILENCE_PEAK = 1e-4
