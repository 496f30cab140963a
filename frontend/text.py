"""How genres, shares, times and names are written, and how other people's words are shown as they are."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

SMALL_SHARE = 0.005
SPACE = "\N{NO-BREAK SPACE}"
MARKDOWN_SIGNS = re.compile(r"([\\`*_\[\]<>$:~!|#&])")
# At the beginning these make a list: 01. Overture.mp3 would be the first point of one.
LIST_SIGNS = re.compile(r"^\s*(?:(?=[-+])|\d+(?=[.)](?:\s|$)))")
# These make a link, whatever is escaped. What stands between then is not to be seen.
LINK_SIGNS = re.compile(r"(www(?=\.)|@)", re.IGNORECASE)
WORD_JOINER = "\N{WORD JOINER}"
NAMES = {"hiphop": "Hip-hop"}
KILOHERTZ_HZ = 1000


def plain(text: str) -> str:
    """``text`` so that Streamlit's Markdown shows it as it is: file names and codecs are other people's words."""
    escaped = MARKDOWN_SIGNS.sub(r"\\\1", text)
    return LINK_SIGNS.sub(rf"\1{WORD_JOINER}", LIST_SIGNS.sub(r"\g<0>\\", escaped))


def genre_name(genre: str) -> str:
    """A genre's label as people write it at the beginning of a line or in a list: Hip-hop."""
    return NAMES.get(genre, genre.capitalize())


def percent(share: float) -> str:
    """A share of 1 in whole per cents, never claiming certainty that is not there. The space does not break."""
    if share <= SMALL_SHARE:
        return f"under 1{SPACE}%"
    if share >= 1 - SMALL_SHARE:
        return f"over 99{SPACE}%"
    return f"{100 * share:.0f}{SPACE}%"


def short_percent(share: float) -> str:
    """The same for pictures, where room is scarce."""
    return percent(share).replace("under ", "<").replace("over ", ">")


def exact_percent(share: float) -> str:
    """A measured share, to a tenth of a per cent."""
    return f"{100 * share:.1f}{SPACE}%"


def clock(seconds: float) -> str:
    """A place in a recording: 1:05, or 1:02:05 from an hour on."""
    minutes, whole_s = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole_s:02}" if hours else f"{minutes}:{whole_s:02}"


def hertz(frequency_hz: float) -> str:
    """A frequency: 440 Hz, 1.25 kHz."""
    if round(frequency_hz) < KILOHERTZ_HZ:
        return f"{frequency_hz:.0f}{SPACE}Hz"
    return f"{frequency_hz / KILOHERTZ_HZ:.2f}".rstrip("0").rstrip(".") + f"{SPACE}kHz"


def listed(parts: Sequence[str], last: str = "and") -> str:
    """Words in a row: a, b and c."""
    return f" {last} ".join(part for part in (", ".join(parts[:-1]), *parts[-1:]) if part)


def file_name(result_id: str) -> str:
    """What a recording was called, of the path that is its result's id."""
    return result_id.rstrip("/").rpartition("/")[2] or result_id


def shortened(name: str, most: int = 48) -> str:
    """A name of at most ``most`` letters, its middle left out where it has more, as the end tells its kind."""
    kept = most - 1
    return name if len(name) <= most else f"{name[: kept - kept // 3]}…{name[-(kept // 3) :]}"


def moment(created_at: str, timezone: str | None) -> str:
    """A time as the API writes it, where the reader is; where that is not known in UTC, which is said.

    ``timezone`` is a name such as Europe/London. What is no time is given back as it is.
    """
    try:
        when = datetime.fromisoformat(created_at)
    except ValueError:
        return created_at
    try:
        zone = ZoneInfo(timezone) if timezone else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        zone = None
    local = when.astimezone(zone or UTC)
    return f"{local.day} {local:%b %Y, %H:%M}" + ("" if zone else " UTC")
