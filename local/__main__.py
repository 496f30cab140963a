"""``python -m local`` runs the system; see `local.run`."""

import sys

from local.run import main

sys.exit(main())
