"""``python -m tools.host``: where the host is, with ``--python`` its interpreter."""

import sys

from .find import main

if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
