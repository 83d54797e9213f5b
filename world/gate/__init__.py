"""Whether anything can be measured in the world: its LoRAs alone, and how far two can be fused at all."""
