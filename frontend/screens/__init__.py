"""The pages, a module each, and their paths. The first page, Classify, is at the root."""

PAGES = HISTORY, MODEL, ABOUT, RESULT = ("history", "model", "about", "result")
