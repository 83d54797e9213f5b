"""What is measured inside a ComfyUI: models of its own classes, ways to run them, clocks in its sampler."""
