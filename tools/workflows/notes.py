"""The notes of the shipped workflows: what to change first, and the one dial to turn."""

from __future__ import annotations

from .families import Family

DIAL = """**Then one dial: balance**

- subject lost? down by tenths (**-0.1**, **-0.2**), then **schedule** s\\*
- style too weak? up by tenths
"""

_TOY_FILES = """**First** copy four files, 14 MB, from `world/weights` in this pack's folder, or by the \
links in *Model files* below, into the folders named there; then press **R**.
"""
_TOY = "A toy: 3.8 million parameters, 96 pixels. It shows what {} does, not how well SDXL or FLUX do it."

TRY_IT_NOW = f"""# Try it now, on any computer

{_TOY_FILES}
1. Run: a skull LoRA and a neon LoRA become a skull in neon, in seconds.
2. Turn **balance** (it begins at -0.25), look at the map, run again.
3. Other pairs: other `redundant-` files, and their words in *Prompt*.

{DIAL}
{_TOY.format("K-LoRA")}
"""

TRY_PICKING = f"""# Pick and learn, on any computer

{_TOY_FILES}
1. Run: a sheet of skulls in neon by many rules, in a minute or two.
2. Pick only pictures that you would keep: one is enough, four vary more.
3. *learn and show more*: what was learned beside the best rule. Pick again.
4. *take it*: the LoRA is saved in the output folder.

{_TOY.format("picking")}
"""

_BEGIN = {
    True: """**Change first** (or run it as it is: the page offers the files below)

1. *Load Subject + Style LoRA*: a corgi and pixel art to begin with; then your own two files, both made for \
{title}.
2. *Prompt*: the trigger words of **both** LoRAs.
3. Run.""",
    False: """**Change first**

1. *Load Subject + Style LoRA*: your two files, both made for {title}.
2. *Prompt*: put in the trigger words of **both** LoRAs (`sks` and `xyz` stand in for them).
3. Run.""",
}


def begin(family: Family) -> str:
    """What to change first, by whether the family has LoRAs to begin with."""
    return _BEGIN[family.style is not None].format(title=family.title)


def one_image(family: Family, more: str = "") -> str:
    """The note of a plain text-to-image workflow; `more` is what this base model wants."""
    return f"""# Your subject in your style

{begin(family)}

{DIAL}
Leave both strengths at 1: they do not decide who wins a layer.{more}
"""


FLUX = " FLUX starts with schedule **s\\***, as the paper's authors recommend."


def img2img(family: Family) -> str:
    """The note of the workflow that begins with a picture."""
    return f"""# Your picture, your subject, your style

**Change first**

1. *Picture*: the image to start from.
2. *Load Subject + Style LoRA*: your two files, both made for {family.title}.
3. *Prompt*: the trigger words of **both** LoRAs (`sks` and `xyz` stand in for them).
4. Run.

**denoise** in *KSampler* (0.6): lower keeps more of your picture, higher repaints more of it.

**progress** stays at **auto**: an img2img run begins partway, where the style is already strong, and auto \
counts it by its noise.

{DIAL}"""


def lightning(family: Family) -> str:
    """The note of the workflow with a distillation LoRA."""
    return f"""# Four steps with Lightning

{begin(family)}

{DIAL}
The **Lightning LoRA** does not compete. It wants **4 steps, cfg 1, euler, sgm_uniform**.
"""


def z_image(family: Family) -> str:
    """The note of Z-Image-Turbo."""
    return f"""# Your subject in your style, on Z-Image-Turbo

{begin(family)}

{DIAL}
Turbo wants **8 steps and cfg 1**; at cfg 1 a negative prompt has no effect, so there is none.
"""
