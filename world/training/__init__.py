"""Trains base and LoRAs, keeps a queue, and gates what was trained."""
