"""Sglang's command line by the Python that runs this, also where its script is not on PATH: sglang_cli.py generate …"""

import sys

# Workers are spawned: they import this file again, and have no use for the command line.
if __name__ == "__main__":
    from sglang.cli.main import main

    sys.argv[0] = "sglang"
    sys.exit(main())
