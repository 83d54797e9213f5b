"""Pick and Learn measured: the judge in the place of the eye, through the pack's own node in the host."""
