"""The same weights in other programs: ComfyUI, diffusers, and the pack's own plan without a host."""
