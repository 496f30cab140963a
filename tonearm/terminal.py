"""What is printed and put into tables: text of strangers, made harmless, and an output that takes no more."""

import os
import re
import sys

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# Controls, what reverses or hides text, and the bytes that 8-bit terminals take for controls.
# frontend/export.py, which may not import this package, has the same two expressions.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\udc80-\udc9f]"
)
# Spreadsheets may take ";" for the end of a cell, whatever the file's separator is, and quotes with it.
_FORMULA = re.compile(r"""^(?=;)|(?:^|(?<=;))(?="|[\s"\u200c\u200d]*[=+\-@＝＋－＠])""")


def printable(text: str) -> str:
    """The text in characters that move no cursor, change no colour and can be written in any encoding of Unicode."""
    return "".join(sign if sign.isprintable() else _REPLACEMENT for sign in text)


def csv_cell(text: str) -> str:
    """The text without controls, and with a quote before each place where a spreadsheet may see a formula."""
    return _FORMULA.sub("'", _UNSEEN.sub(_REPLACEMENT, text))


def discard_stdout() -> None:
    """Send what standard output still holds to nowhere. Python would write it as it ends, and fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
