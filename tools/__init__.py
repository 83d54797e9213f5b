"""Developer tooling: finding and driving a real ComfyUI, tiny models to run it on, the demo."""
