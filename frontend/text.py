"""How genres, shares, times and names are written, and how untrusted text is shown as it is."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from frontend.api_errors import MEBIBYTE_BYTES
from frontend.api_types import Limits

SPACE = "\N{NO-BREAK SPACE}"
MIN_SHOWN_SHARE = 0.005
MAX_SHOWN_PARTS = 10
# Why an answer is uncertain, as the command line says it (tonearm/cli.py).
REASONS = {
    "low_confidence": "no genre stands out",
    "unlike_training": "unlike the training data",
    "not_music": "may be no music",
    "mixed": "clear parts of different genres",
}
MARKDOWN_SIGNS = re.compile(r"([\\`*_\[\]<>$:~!|#&])")
# As the service makes ids (functions/upload_urls.py).
ID_PREFIX = re.compile(r"^(?:[0-9]{13})?[0-9a-f]{32}/")
# At the start of a text these make a list, as in 01. Overture.mp3.
LIST_SIGNS = re.compile(r"^\s*(?:(?=[-+])|\d+(?=[.)](?:\s|$)))")
# These make a link, even when escaped. An invisible character prevents it.
LINK_SIGNS = re.compile(r"(www(?=\.)|@)", re.IGNORECASE)


def plain(text: str) -> str:
    """``text`` escaped so that Streamlit's Markdown shows it as it is. File names and codecs are untrusted.

    Streamlit cannot switch Markdown off: https://github.com/streamlit/streamlit/issues/7638
    """
    escaped = LIST_SIGNS.sub(r"\g<0>\\", MARKDOWN_SIGNS.sub(r"\\\1", text))
    return LINK_SIGNS.sub("\\1\N{WORD JOINER}", escaped)


def genre_name(genre: str) -> str:
    """A genre's label with a capital letter: Hip-hop."""
    return {"hiphop": "Hip-hop"}.get(genre, genre.capitalize())


def mixture(genres: Sequence[str]) -> str:
    """The genres of a mixed recording's clear parts: Jazz → Rock → Blues (3 parts). Empty without any."""
    names = [genre_name(genre) for genre in genres]
    if len(names) > MAX_SHOWN_PARTS:
        names[MAX_SHOWN_PARTS - 1 : -1] = ["…"]
    return f"{' → '.join(names)} ({len(genres)} parts)" if names else ""


def reasons(because: Iterable[str], *, mixed: bool) -> str:
    """Why an answer is uncertain, in words, but for what the parts of a mixed recording say already."""
    implied = {"low_confidence", "mixed"} if mixed else set()
    return ", ".join(REASONS[each] for each in because if each in REASONS and each not in implied)


def percent(share: float) -> str:
    """A share of 1 in whole per cent, never as 0 or 100 %."""
    if share <= MIN_SHOWN_SHARE:
        return f"under 1{SPACE}%"
    if share >= 1 - MIN_SHOWN_SHARE:
        return f"over 99{SPACE}%"
    return f"{100 * share:.0f}{SPACE}%"


def exact_percent(share: float) -> str:
    """A measured share, to a tenth of a per cent."""
    return f"{100 * share:.1f}{SPACE}%"


def clock(seconds: float) -> str:
    """A time in a recording: 1:05, or 1:02:05 from an hour on."""
    minutes, whole_s = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole_s:02}" if hours else f"{minutes}:{whole_s:02}"


def hertz(frequency_hz: float) -> str:
    """A frequency: 440 Hz, 1.25 kHz."""
    if round(frequency_hz) < 1000:
        return f"{frequency_hz:.0f}{SPACE}Hz"
    return f"{frequency_hz / 1000:.2f}".rstrip("0").rstrip(".") + f"{SPACE}kHz"


def plural(count: float, noun: str) -> str:
    """A number with its noun: 1 file, 2 files."""
    return f"{count:g} {noun}{'' if count == 1 else 's'}"


def listed(parts: Sequence[str], last: str = "and") -> str:
    """A list in words: a, b and c."""
    return f" {last} ".join(part for part in (", ".join(parts[:-1]), *parts[-1:]) if part)


def accepted(limits: Limits) -> str:
    """What the service accepts: formats, length and size."""
    formats = listed([name.upper() for name in limits["formats"]], "or")
    length = f"{plural(limits['min_duration_s'], 'second')} to {plural(limits['max_duration_s'] / 3600, 'hour')}"
    return f"{formats}, {length}, up to {limits['max_upload_bytes'] // MEBIBYTE_BYTES:,} MB each"


def retention(limits: Limits) -> str:
    """How long the service stores recordings and results."""
    recordings, results = (
        "stay until someone deletes them" if days is None else f"are deleted after {plural(days, 'day')}"
        for days in (limits["upload_retention_days"], limits.get("result_retention_days"))
    )
    return f"Recordings {recordings}. Results and feedback {results}."


def file_name(result_id: str) -> str:
    """The file's name in a result's id, which is a path."""
    return result_id.rstrip("/").rpartition("/")[2] or result_id


def own_path(result_id: str) -> str:
    """The file's folders and name in a result's id: without what the service put before them."""
    return ID_PREFIX.sub("", result_id)


def shortened_path(path: str) -> str:
    """A file's name after its folders, both shortened, so that names in different folders can be told apart."""
    folder, slash, name = path.rpartition("/")
    return shortened(folder, 24) + slash + shortened(name)


def shortened(name: str, max_length: int = 48) -> str:
    """A name of at most ``max_length`` letters. The middle is left out, so that the ending stays."""
    end = (max_length - 1) // 3
    return name if len(name) <= max_length else f"{name[: max_length - 1 - end]}…{name[-end:]}"


def moment(created_at: str, timezone: str | None) -> str:
    """A time of the API in the user's timezone, such as Europe/London; in UTC where that is unknown."""
    try:
        zone = ZoneInfo(timezone) if timezone else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        zone = None
    local = datetime.fromisoformat(created_at).astimezone(zone or UTC)
    return f"{local.day} {local:%b %Y, %H:%M}" + ("" if zone else " UTC")
