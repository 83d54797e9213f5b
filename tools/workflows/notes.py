"""The notes of the shipped workflows: what to change first, and the one dial to turn."""

from __future__ import annotations

from .families import Family

_DIAL = """- subject lost? **balance** toward **-1**
- style too weak? **balance** toward **+1**
"""


def one_image(family: Family, more: str = "") -> str:
    """The note of a plain text-to-image workflow; `more` is what this base model wants."""
    return f"""# Your subject in your style

**Change first**

1. *Load Subject + Style LoRA*: your two files, both made for {family.title}.
2. *Prompt*: put in the trigger words of **both** LoRAs (`sks` and `xyz` stand in for them).
3. Run.

**Then one dial: balance** in *K-LoRA Fuse*

- subject lost? toward **-1**
- style too weak? toward **+1**

Leave both strengths at 1: they do not decide who wins a layer.{more}

**Steps** feeds the sampler and the selection map alike.
"""


FLUX = " FLUX starts with schedule **s\\***, as the paper's authors recommend."

IMG2IMG = f"""# Your picture, your subject, your style

**Change first**

1. *Picture*: the image to start from.
2. *Load Subject + Style LoRA*: your two files, both made for SD1.5.
3. *Prompt*: the trigger words of **both** LoRAs (`sks` and `xyz` stand in for them).
4. Run.

**denoise** in *KSampler* (0.6): lower keeps more of your picture, higher repaints more of it.

**progress** in *K-LoRA Fuse*, among its advanced inputs, stays at **auto**. An img2img run begins partway, \
where the style is already strong, and auto counts it by its noise; counted in steps it would begin with the \
subject again.

{_DIAL}"""

LIGHTNING = f"""# Four steps, two LoRAs, one Lightning LoRA

**Change first**

1. *Load Subject + Style LoRA*: your two files, both made for SDXL.
2. *Prompt*: the trigger words of **both** LoRAs (`sks` and `xyz` stand in for them).
3. Run.

**The Lightning LoRA stays untouched.** It is loaded by the ordinary LoRA loader before *K-LoRA Fuse*, does \
not compete, and works in every layer and step. Any other LoRA that should always be on (turbo, DMD2, \
detail) goes in the same place.

It sets the sampler: **4 steps, cfg 1, euler, sgm_uniform**. At cfg 1 a negative prompt has no \
effect, so there is none. For the 8-step file set *Steps* to 8.

{_DIAL}"""

Z_IMAGE = """# Your subject in your style, on Z-Image-Turbo

**Change first**

1. *Load Subject + Style LoRA*: your two files, both made for Z-Image.
2. *Prompt*: the trigger words of **both** LoRAs (`sks` and `xyz` stand in for them).
3. Run.

**Then one dial: balance** in *K-LoRA Fuse*

- subject lost? toward **-1**
- style too weak? toward **+1**

Files with q, k, v apart and files with one qkv matrix pair up. Turbo wants **8 steps and cfg 1**; at cfg 1 \
a negative prompt has no effect, so there is none.
"""
