"""``python server …`` from a checkout: the same program as ``hotmic …``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from hotmic.cli import main

if __name__ == "__main__":
    main()
