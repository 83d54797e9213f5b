"""``python -m tools.host``: where the host is, with ``--python`` its interpreter."""

import sys

from .find import main

raise SystemExit(main(sys.argv[1:]))
