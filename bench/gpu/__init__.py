"""What only a GPU can answer, in one command of at most ten minutes: `make bench-gpu` writes GPU.md.

`python -m bench.gpu` itself needs Python alone. Each check is a process of the host's interpreter, which
`child` enters, so that one that fails or hangs costs its own rows. `--rehearse` runs them small, on the CPU.
"""
