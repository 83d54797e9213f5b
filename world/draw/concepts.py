"""What is drawn: the concepts of the base, the subjects, and the concepts that the judge never sees."""

from __future__ import annotations

import hashlib

SUBJECTS: dict[str, str] = {
    "owl": "ruvak",
    "skull": "tolmi",
    "ambulance": "qesh",
    "trumpet": "bradu",
    "octopus": "vendil",
    "cactus": "marro",
    "teapot": "ipsol",
    "castle": "gunt",
}
"""Held out from everything that the base and the judge learn, with the trigger word of each."""

CATEGORIES = ("Activities", "Animals & Nature", "Food & Drink", "Objects", "Travel & Places")
_FACES = "alien alien-monster bomb clown-face ghost goblin ogre pile-of-poo robot broken-heart red-heart hole"
# What is no thing of its own: the same drawing with another mark, a person, a letter, a moment of a clock.
_DROPPED_WORDS = """
    oclock thirty sign button moon sun zodiac oncoming post japanese chart with without medal suit yen
    euro pound bookmark flag speaker inbox outbox tray face mens womens family person people globe map
    """
_DROPPED = """
    bar-chart page-facing-up credit-card card-index card-index-dividers identification-card fog foggy
    sunrise sunrise-over-mountains sunset cityscape cityscape-at-dusk night-with-stars milky-way
    bridge-at-night fireworks sparkler dashing-away film-frames newspaper rolled-up-newspaper receipt
    scroll placard calendar label musical-score green-book orange-book blue-book e-mail envelope
    incoming-envelope dollar-banknote horizontal-traffic-light vertical-traffic-light railway-track
    motorway hot-springs cyclone black-nib station tram-car railway-car mountain-railway light-rail
    department-store hotel office-building school convenience-store hospital bank factory stadium
    love-hotel mountain flying-disc framed-picture
    """
MAX_WORDS = 3
JUDGED = 40
"""Concepts that the judge never sees either, on which it is validated."""


def concepts(categories: dict[str, list[str]], drawn: frozenset[str]) -> list[str]:
    """The clean things among the ``drawn`` names, sorted; subjects are not among them."""
    names = {name for category in CATEGORIES for name in categories[category]} | set(_FACES.split())
    return sorted(
        name
        for name in names & drawn
        if name not in _DROPPED.split()
        and name not in SUBJECTS
        and len(words := name.split("-")) <= MAX_WORDS
        and not set(_DROPPED_WORDS.split()) & set(words)
        and not _names_a_subject(words)
    )


def judged(names: list[str]) -> list[str]:
    """The held-out ones of the judge: JUDGED names picked by the hash of each."""
    return sorted(sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())[:JUDGED])


def _names_a_subject(words: list[str]) -> bool:
    return bool(set(words) & set(SUBJECTS)) or words == ["teacup"]
