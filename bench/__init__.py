"""Benchmarks, printed as tables: `make bench` runs all of them and writes RESULTS.md.

What lies here needs no host; `host` is run by the host's interpreter, one process a case: `sampling` starts
them by `processes`, and `in_host` is what they run. `gpu` asks what only a GPU can answer.
"""
