"""The checks: each a function that gives its rows, run by the host's interpreter; the models in `cases`."""
