"""`python -m bench [--gpu] [--only PART]`: print the tables; a whole run writes them into RESULTS.md."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

from . import factors, memory, merging, outside, products, sampling, scoring
from .tables import Table, load, machine

RESULTS = Path(__file__).with_name("RESULTS.md")


def _tables(only: str | None, gpu: bool) -> Iterator[Table]:
    if only in (None, "scoring"):
        yield from scoring.tables()
        yield products.table()
        yield factors.table()
        yield memory.table()
    if only in (None, "fuse"):
        yield from sampling.fuse()
    if only in (None, "sampling"):
        yield from sampling.tables(gpu)
    if only == "turning":
        yield from sampling.turning()
    if only == "learning":
        yield from sampling.learning()
    if only == "methods":
        yield from sampling.composing()
        yield outside.table()
        yield merging.table()


def main() -> None:
    """Run the benchmarks, printing each table as it is done."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Print the tables of benchmarks.")
    parser.add_argument("--gpu", action="store_true", help="fail where there is no GPU, instead of skipping")
    parser.add_argument(
        "--only",
        choices=("scoring", "fuse", "sampling", "turning", "methods", "learning"),
        help="one part, RESULTS.md stays as it is; scoring: memory and what LoKr and LoHa cost in a "
        "layer too; fuse: first Fuse, dial, restart and document. No part of a whole run are turning: a "
        "change between two runs beside core's loader; methods: what the others cost beside K-LoRA, and "
        "merging; learning: memory and runs of the model",
    )
    options = parser.parse_args()
    start = time.perf_counter()
    head = f"# Benchmarks\n\n{machine()}.\n"
    print(head, flush=True)
    done = []
    for table in _tables(options.only, options.gpu):
        done.append(table.markdown())
        print(done[-1], flush=True)
    took = f"`make bench` took {(time.perf_counter() - start) / 60:.1f} minutes{load(' at the end')}.\n"
    print(took)
    if options.only is None:
        RESULTS.write_text("\n".join([head, *done, took, *_others()]))


def _others() -> list[str]:
    """What was measured alone: the parts of RESULTS.md behind the first."""
    _, *others = RESULTS.read_text().split("\n# ")
    return [f"# {part}" for part in others]


if __name__ == "__main__":
    main()
