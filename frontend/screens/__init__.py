"""The pages, a module each, and their paths. The first page, Classify, is at the root."""

HISTORY = "history"
MODEL = "model"
ABOUT = "about"
RESULT = "result"
