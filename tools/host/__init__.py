"""The host, a ComfyUI with its interpreter, its page and a browser, for tests, benches and pictures."""
