"""The model itself: base, VAE, latents, LoRAs and how it is sampled, in torch alone."""
