"""Benchmarks, printed as tables: `make bench` runs all of them and writes RESULTS.md.

`slots`, `scoring` and `tables` need no host; `sampling` and `memory` run inside the host's interpreter.
"""
