"""What is written on the selection map: it fits, never lies over another text, and any file name draws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageFont

from klora_core.picture import draw
from klora_core.picture import lettering as picture_text
from klora_core.picture.layout import lay_out, nice_ticks, step_marks
from klora_core.progress import in_steps
from tests.support.networks import CASES, CAT, INK, SD15, make_plan


@pytest.mark.parametrize("kind", CASES)
def test_labels_do_not_overlap(kind: str) -> None:
    names, steps = CASES[kind]
    place = lay_out(make_plan(names), in_steps(steps))
    assert (np.diff([mark.at for mark in place.blocks]) >= 13).all()
    marks = step_marks(place, steps)
    assert [marks[0].text, marks[-1].text] == ["1", str(steps)]
    spans = [
        (m.at - picture_text.width(m.text, 12) / 2, m.at + picture_text.width(m.text, 12) / 2) for m in marks
    ]
    assert all(right + 3 <= left for (_, right), (left, _) in zip(spans, spans[1:], strict=False))


@pytest.mark.parametrize("steps", [1, 2, 3, 9, 11, 20, 30, 50, 99, 304, 999])
def test_step_numbers_fit_for_any_run(steps: int) -> None:
    marks = step_marks(lay_out(make_plan(SD15), in_steps(steps)), steps)
    assert len({mark.text for mark in marks}) == len(marks) <= 50
    assert (np.diff([mark.at for mark in marks]) >= 15).all()


def test_block_says_its_number_beside_a_named_band_and_its_full_name_beside_a_nameless_one() -> None:
    named = lay_out(make_plan(SD15), in_steps(20))
    assert [band.name for band in named.bands if band.shown] == ["down", "mid", "up"]
    assert [mark.text for mark in named.blocks][:3] == ["1", "2", "4"]
    assert [mark.text for mark in lay_out(make_plan(SD15[:1]), in_steps(20)).blocks] == ["down 1"]


NAMES = [
    "",
    "\u6c34\u58a8\u753b_\u98ce\u683c.safetensors",
    "\u0160abl\u00f3na.safetensors",
    "a\nb\x00\t\U0001f3a8",
    "x/" * 300 + "end.safetensors",
    "\u0627\u0644\u0639\u0631\u0628\u064a\u0629",
]


@pytest.mark.parametrize("name", NAMES)
def test_any_file_name_draws(name: str) -> None:
    plan = replace(make_plan(SD15[:2]), loras=(replace(CAT, name=name), replace(INK, name=name)))
    assert isinstance(draw(plan, in_steps(4)), Image.Image)


def test_readable_keeps_what_the_font_has() -> None:
    gap = picture_text.readable("\u6c34")
    assert picture_text.readable("cat v2.safetensors") == "cat v2.safetensors"
    assert picture_text.readable("\u6c34\u58a8 ink") == f"{gap} ink"
    for name in NAMES:
        assert picture_text.readable(picture_text.readable(name)) == picture_text.readable(name)


def test_elide_keeps_both_ends_and_fits() -> None:
    text = "first_" + "middle_" * 40 + "last.safetensors"
    short = picture_text.elide(text, 17, 300)
    assert picture_text.width(short, 17) <= 300
    assert short.startswith("first_") and short.endswith("last.safetensors")
    assert picture_text.elide("short", 17, 300) == "short"


def test_draws_where_pillow_has_no_scalable_font(monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(ImageFont, "load_default_imagefont"):
        pytest.skip("this Pillow has no separate bitmap font")
    cached = (picture_text._font, picture_text._gap, picture_text._has_glyph, picture_text._mask)

    def bitmap_only(size: float | None = None) -> ImageFont.ImageFont:
        if size is not None:
            raise TypeError("load_default() takes no size")
        return ImageFont.load_default_imagefont()

    monkeypatch.setattr(ImageFont, "load_default", bitmap_only)
    for function in cached:
        function.cache_clear()
    try:
        plan = replace(make_plan(SD15), loras=(replace(CAT, name="\u6c34\u58a8 \u0160ab.safetensors"), INK))
        assert draw(plan, in_steps(20)).mode == "RGB"
    finally:
        for function in cached:
            function.cache_clear()


@pytest.mark.parametrize("top", [1.12, 1.2, 1.68, 2.24, 7.0, 500.0, 1e6])
def test_ticks_are_few_and_inside(top: float) -> None:
    ticks = nice_ticks(top)
    assert 3 <= len(ticks) <= 6
    assert ticks[0] == 0 and ticks[-1] <= top
