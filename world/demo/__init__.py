"""The demo, `python -m world.demo`: two pairs, one of them done badly, four ways, in ComfyUI or diffusers."""
