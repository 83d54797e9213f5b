"""Which LoRAs a prompt picks: those whose trigger words stand in it, then those nearest to it in meaning.

After LoraRetriever (arXiv 2402.09997), whose retriever is trained and for tasks of language; here it is a
search.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .roles import Roles
from .text import LoraText, said_by_name
from .words import plain, stands_at, trigger


@dataclass(frozen=True)
class Entry:
    """A LoRA of the search: its file's name, what it says, and the roles that it may have."""

    name: str
    text: LoraText
    roles: Roles

    @property
    def looked_for(self) -> tuple[str, ...]:
        """Its trigger words; of a file without any text what its name says."""
        words = (said_by_name(self.name),) if self.text.is_silent else self.text.triggers
        return tuple(word for word in words if trigger(word))

    @property
    def texts(self) -> tuple[str, ...]:
        """What is compared by meaning."""
        return self.text.texts or self.looked_for


@dataclass(frozen=True)
class Hit:
    """What speaks for a LoRA: its trigger words in the prompt, and the cosine, None where there is none.

    ``weight`` counts each trigger word 1 over the number of LoRAs that have it; ``at`` is where the first of
    them stands.
    """

    entry: Entry
    triggers: tuple[str, ...]
    weight: float
    cosine: float | None
    at: int = -1


@dataclass(frozen=True)
class Pick:
    """A LoRA that was picked, for which role, at which strength."""

    hit: Hit
    role: str
    strength: float


def ranked(entries: Sequence[Entry], prompt: str, cosines: Mapping[str, float]) -> tuple[Hit, ...]:
    """The LoRAs for which something speaks, the best first.

    Those with trigger words in the prompt come first, by weight, then by how much of the prompt they are;
    then all by cosine, then by name.
    """
    text = plain(prompt)
    looked_for = {entry: {word: trigger(word) for word in entry.looked_for} for entry in entries}
    owners = Counter(word for words in looked_for.values() for word in {*words.values()})
    hits = []
    for entry, words in looked_for.items():
        places = {word: stands_at(own, text) for word, own in words.items()}
        found = {word: words[word] for word, at in places.items() if at >= 0}
        weight = sum(1 / owners[own] for own in {*found.values()})
        cosine = cosines.get(entry.name)
        if found or cosine is not None:
            at = min((places[word] for word in found), default=-1)
            hits.append(Hit(entry, tuple(found), weight, cosine, at))
    return tuple(sorted(hits, key=_order))


def _order(hit: Hit) -> tuple[float, float, float, str]:
    longest = sum(map(len, map(trigger, hit.triggers)))
    return -hit.weight, -longest, 0.0 if hit.cosine is None else -hit.cosine, hit.entry.name


def picks(hits: Sequence[Hit], places: Mapping[str, int], strength: float = 1.0) -> tuple[Pick, ...]:
    """The LoRAs for the ``places`` of each role, the roles in their order, each at ``strength`` / k.

    k is the number that its role got. In rank order each takes a place of its role. Those whose role is not
    known take what is free: of those with trigger words, which come after such of known roles, the one that
    the prompt names first takes the first role; the others in rank order.
    """
    exact = [hit for hit in hits if hit.triggers]
    known = [hit for hit in exact if len(hit.entry.roles.roles) == 1]
    open_to = [hit for hit in exact if hit not in known]
    taken = _take(known, {role: [] for role in places}, places)
    free = sum(places.values()) - sum(map(len, taken.values()))
    named = sorted(open_to[:free], key=lambda hit: hit.at)
    rest = [hit for hit in hits if not hit.triggers]
    taken = _take([*named, *open_to[free:], *rest], taken, places)
    return tuple(Pick(hit, role, strength / len(own)) for role, own in taken.items() for hit in own)


def _take(
    hits: Sequence[Hit], taken: dict[str, list[Hit]], places: Mapping[str, int]
) -> dict[str, list[Hit]]:
    """Each of ``hits`` in the first of its roles that has a place left."""
    for hit in hits:
        role = next((r for r in hit.entry.roles.roles if len(taken.get(r, ())) < places.get(r, 0)), None)
        if role is not None:
            taken[role].append(hit)
    return taken
