"""The pack's pictures, made on the small world (world/README.md) in a real ComfyUI. Development only."""
