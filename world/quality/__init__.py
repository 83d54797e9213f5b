"""What fusion does to a picture, measured: every method on every pair, inside the host's own sampler."""
