"""Tonearm's core: audio in, :class:`~tonearm.classification.Classification` out.

The data walks one way: ``audio`` → ``spectrum`` → ``features`` and ``tiles`` → ``models`` → ``ensemble`` →
``classifier``.
Nothing here knows of Azure, HTTP, Streamlit or TensorFlow.
"""

import logging

logging.getLogger(__name__).addHandler(logging.NullHandler())
