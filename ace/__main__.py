"""`python -m ace`: the command `ace`."""

import sys

from ace.cli import main

if __name__ == "__main__":
    sys.exit(main())
