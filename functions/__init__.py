"""The edge: HTTP functions and blob and queue triggers around the core. One blueprint module a concern.

`settings`, `logs`, `storage`, `problems` and `http` are what the blueprints share; `records` is how results are kept.
"""

import logging

# This package is the application, so it decides: Azure's clients log every request at INFO, with its URL.
logging.getLogger("azure").setLevel(logging.WARNING)
