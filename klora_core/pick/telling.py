"""What was picked and why, and what was left out, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..errors import KLoraError, printable
from .ranking import Entry, Hit, Pick

_NEXT, _SHOWN = 3, 80


def told(
    prompt: str,
    entries: Sequence[Entry],
    hits: Sequence[Hit],
    picked: Sequence[Pick],
    places: Mapping[str, int],
    left: Mapping[str, Sequence[str]],
    by_meaning: bool,
    notes: Sequence[str] = (),
) -> str:
    """The report of a search. ``left`` has the names of files that were not searched, by reason."""
    text = " ".join(prompt.split())
    short = text if len(text) <= _SHOWN else f"{text[:_SHOWN]} ..."
    lines = [f'{len(picked)} of {len(entries)} LoRAs picked for "{printable(short)}":']
    lines += [f"  {_pick(pick)}" for pick in picked]
    lines += list(_empty(picked, places, by_meaning))
    if by_meaning:
        lines.append("Cosines are between the prompt and what a file says, by the text encoder of clip.")
    else:
        lines.append("Trigger words alone were looked for: with clip connected, meaning counts too.")
    chosen = {pick.hit.entry for pick in picked}
    behind = [hit for hit in hits if hit.entry not in chosen][:_NEXT]
    if behind:
        lines.append("Next in rank:")
        lines += [f"  {_hit(hit)}" for hit in behind]
    silent = [entry.name for entry in entries if entry.text.is_silent]
    if silent:
        lines.append(f"Without any text in the file, searched by name alone: {_names(silent)}.")
    lines += [f"Left out, {reason}: {_names(names)}." for reason, names in left.items()]
    return "\n".join([*lines, *notes])


def nothing(entries: Sequence[Entry], by_meaning: bool) -> KLoraError:
    """The error where no LoRA was picked."""
    words = [word for entry in entries for word in entry.looked_for][:_NEXT]
    write = f"Write trigger words into the prompt ({', '.join(map(printable, words))}), " if words else ""
    if by_meaning:
        none = f"none of the {len(entries)} LoRAs searched has a role asked for."
        return KLoraError(none, "Change the filters")
    return KLoraError(
        f"no trigger word of the {len(entries)} LoRAs searched is in the prompt.",
        f"{write or 'Choose other files, '}or connect clip, so that meaning counts",
    )


def _pick(pick: Pick) -> str:
    return f"{pick.role}, strength {pick.strength:g}: {_hit(pick.hit)}"


def _hit(hit: Hit) -> str:
    entry = hit.entry
    why = []
    if hit.triggers:
        what = "its name is" if entry.text.is_silent else "trigger words"
        why.append(f"{what} in the prompt ({', '.join(map(printable, hit.triggers))})")
    if hit.cosine is not None:
        why.append(f"cosine {hit.cosine:.3f}")
    why.append(printable(entry.roles.why))
    if not entry.text.bases:
        why.append("its base model is not known")
    return f"{printable(entry.name)}: {'; '.join(why)}."


def _empty(picked: Sequence[Pick], places: Mapping[str, int], by_meaning: bool) -> Iterable[str]:
    for role, count in places.items():
        got = sum(pick.role == role for pick in picked)
        if got < count:
            reason = "no other file may be one" if by_meaning else "no other trigger word is in the prompt"
            yield f"  {role}: {got} of {count}, {reason}."


def _names(names: Sequence[str]) -> str:
    return ", ".join(map(printable, names))
