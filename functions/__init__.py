"""The function app: HTTP functions, a blob trigger and a queue trigger around the core, one blueprint a concern.

An upload becomes a result in `process_upload`; results are stored by `result_store`; size limits are enforced in
`limits`; feedback is stored in `feedback`.
"""

import logging

# This package is the application, so it configures logging: Azure's clients log every request with its URL at INFO.
logging.getLogger("azure").setLevel(logging.WARNING)
