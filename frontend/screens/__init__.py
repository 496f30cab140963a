"""The pages, a module each, and where they are found. The first page, Classify, is at the root."""

HISTORY = "history"
MODEL = "model"
ABOUT = "about"
RESULT = "result"
