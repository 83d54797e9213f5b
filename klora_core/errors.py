"""The one error a user can cause."""


class KLoraError(ValueError):
    """Bad input: the message names the file, the layer where there is one, and the remedy."""
