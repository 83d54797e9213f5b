"""One artist's drawings and exact styles over them: what the small world's pictures are made of."""
