"""What can go wrong, in words a user can act on and codes a program can rely on."""

from typing import Literal, get_args

AudioErrorCode = Literal[
    "empty",
    "too_large",
    "unsupported_format",
    "corrupt",
    "no_audio_stream",
    "too_short",
    "silent",
    "not_music",
    "too_long",
    "too_complex",
]
AUDIO_ERROR_CODES: tuple[AudioErrorCode, ...] = get_args(AudioErrorCode)

TITLES: dict[AudioErrorCode, str] = {
    "empty": "The file is empty",
    "too_large": "The file is too large",
    "unsupported_format": "This is not an audio file we can read",
    "corrupt": "The audio cannot be decoded",
    "no_audio_stream": "The file holds no sound",
    "too_short": "The recording is too short",
    "silent": "The recording is silent",
    "not_music": "No music is heard in the recording",
    "too_long": "The recording is too long",
    "too_complex": "The recording takes too much to decode",
}


class TonearmError(Exception):
    """Root of every error that Tonearm raises on purpose."""


class AudioError(TonearmError):
    """The audio given cannot be classified, and trying again with the same bytes will not help.

    ``code`` is stable and meant for programs; ``detail`` says what was wrong, with which figures, and what to do.
    """

    def __init__(self, code: AudioErrorCode, detail: str) -> None:
        super().__init__(f"{TITLES[code]}: {detail}")
        self.code: AudioErrorCode = code
        self.title = TITLES[code]
        self.detail = detail


class DecoderError(TonearmError):
    """The process that decodes cannot be started, was ended from outside, or made no progress. Trying again may help.

    ``code`` and ``title`` are as those of `AudioError`.
    """

    code = "decoder_unavailable"
    title = "It cannot be decoded at the moment"


class ModelError(TonearmError):
    """A model folder is missing, incomplete, or its files do not match their checksums."""
