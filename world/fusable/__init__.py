"""Whether LoRAs that are trained for fusion fuse better: trained and measured by the pack's own nodes."""
