"""One colour a genre, the same in every picture.

Found by search, not by taste: of all colours that stand out at 3 to 1 (WCAG's bound for graphics) from both of the
theme's grounds, ten whose least distance is greatest, to eyes of all kinds. The two most alike of them are 13.5
CIEDE2000 apart to people without red, green or blue cones (simulated after Machado, Oliveira and Fernandes, 2009), and
22.5 to others; tests/frontend/test_palette.py works that out anew. Which genre got which was taste.

Ten colours can be told apart, but not by everybody and not on every screen: whatever is coloured is named in words too.
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
