"""`python -m tests.bench.floor FILE…`: inflate each file and parse it once, the least that any reader must do."""

import sys
from pathlib import Path

import simdjson
from zlib_ng import zlib_ng


def main(files: list[str]) -> None:
    """One file after the other, one thread; nothing is made of the parsed document."""
    parser = simdjson.Parser()
    for file in files:
        data = Path(file).read_bytes()
        parser.parse(zlib_ng.decompress(data, 31) if data[:2] == b"\x1f\x8b" else data)


if __name__ == "__main__":
    main(sys.argv[1:])
