"""``python -m local`` runs the system; see `local.run`."""

from local.run import main

raise SystemExit(main())
