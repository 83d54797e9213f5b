"""Benchmarks, printed as tables: `make bench` runs all of them and writes RESULTS.md.

`slots`, `scoring`, `memory` and `tables` need no host; `sampling` runs inside the host's interpreter.
"""
