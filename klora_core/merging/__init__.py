"""LoRAs to one LoRA: what every merge method shares. The methods themselves are in ``methods.merges``."""
