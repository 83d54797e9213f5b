"""The judge: how much of a subject and how much of a style a picture shows, seen by a small network."""
