"""The colour of each genre, the same in every chart.

A search chose these ten so that the smallest distance between two is as large as possible, with and without colour
blindness, at a contrast of at least 3:1 to both backgrounds of the theme. Not everybody can tell ten colours apart, so
whatever is coloured is named in words too.
"""

COLOURS = {
    "blues": "#054AFF",
    "classical": "#8C996F",
    "country": "#C08B03",
    "disco": "#FD4AA0",
    "hiphop": "#944290",
    "jazz": "#049FA2",
    "metal": "#6B696D",
    "pop": "#9089EA",
    "reggae": "#017546",
    "rock": "#C70005",
}
# What is of no genre, or of one that is not known here. It too stands out from both grounds.
NEUTRAL = "#7A8489"
# What is not about genres at all: the theme's own colour, between its light and its dark form.
ACCENT = "#4B858F"


def colour(genre: str) -> str:
    """The colour of ``genre``, as #RRGGBB."""
    return COLOURS.get(genre, NEUTRAL)
