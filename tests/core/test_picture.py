"""The selection map shows the plan, whatever its size, and never writes one text over another."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
import pytest
from PIL import Image, ImageFont

from klora_core import palette, picture_text
from klora_core.errors import KLoraError
from klora_core.method import Method
from klora_core.methods.klora import make_schedule
from klora_core.order import depth_key
from klora_core.picture import draw
from klora_core.picture_layout import layout, nice_ticks, step_marks
from klora_core.plan import LoraInfo, Plan
from klora_core.progress import Columns, Moment, in_steps, over_progress

from .plans import evidence, klora_plan, with_method

PARTS = ("to_q", "to_k", "to_v", "to_out.0")
SD15 = [f"input_blocks.{i}.1.attn{a}.to_q" for i in (1, 2, 4, 5, 7, 8) for a in (1, 2)]
SD15 += [f"middle_block.1.attn{a}.to_q" for a in (1, 2)]
SD15 += [f"output_blocks.{i}.1.attn{a}.to_q" for i in range(3, 12) for a in (1, 2)]
SDXL = [
    f"{block}.1.transformer_blocks.{t}.attn{a}.{part}"
    for block, depth in (
        ("input_blocks.4", 4),
        ("input_blocks.7", 20),
        ("middle_block", 10),
        ("output_blocks.0", 36),
    )
    for t in range(depth)
    for a in (1, 2)
    for part in PARTS
]
FLUX = [f"double_blocks.{i}.img_attn.qkv[{r}:{r + 3072}]" for i in range(19) for r in range(0, 43008, 3072)]
FLUX += [f"single_blocks.{i}.linear1[{r}:{r + 3072}]" for i in range(38) for r in range(0, 18432, 3072)]
HUGE = [f"blocks.{i}.self_attn.{part}" for i in range(150) for part in "abcdefghij"]
UNKNOWN = [f"some_network_nobody_has_ever_seen_{i}" for i in range(90)]
CASES = {
    "one slot, one step": (SD15[:1], 1),
    "sd15": (SD15, 20),
    "sdxl": (SDXL, 30),
    "flux": (FLUX, 28),
    "huge": (HUGE, 200),
    "unknown": (UNKNOWN, 7),
    "mixed": (SD15[:3] + UNKNOWN[:2] + ["final_layer.linear", "time_embed.0"], 50),
}

CAT, INK = LoraInfo("cat.safetensors", "subject"), LoraInfo("ink.safetensors", "style")


def make_plan(names: list[str], name: str = "s", **parameters: float) -> Plan:
    """Heavy-tailed scores, so that the flips spread over the whole run."""
    rho = np.exp(0.5 * np.random.default_rng(7).standard_t(3, len(names)))
    slots = {
        slot: evidence(float(r), 1.0, k=16, ranks=(4, 4))
        for slot, r in zip(sorted(names, key=depth_key), rho, strict=True)
    }
    return klora_plan(slots, make_schedule(name, **parameters), "none", subject=CAT, style=INK)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[Plan, Columns]:
    names, steps = CASES[request.param]
    return make_plan(names), in_steps(steps)


@pytest.mark.parametrize("name", ["s", "s*"])
def test_every_cell_has_the_colour_of_its_choice(case: tuple[Plan, Columns], name: str) -> None:
    plan, over = case
    plan = with_method(plan, schedule=make_schedule(name))
    place, pixels = layout(plan, over), np.asarray(draw(plan, over))
    cells = np.array(
        [[place.cell(slot, step) for step in range(len(over))] for slot in range(len(plan.slots))]
    )
    colours = np.array([palette.rgb(palette.SUBJECT), palette.rgb(palette.STYLE)])
    assert (pixels[cells[..., 1], cells[..., 0]] == colours[plan.choices(over)[0]]).all()


def test_image_is_rgb_of_the_layout_size(case: tuple[Plan, Columns]) -> None:
    plan, steps = case
    image = draw(plan, steps)
    assert image.mode == "RGB"
    assert image.size == layout(plan, steps).size
    assert 700 <= image.width <= 1300
    assert 300 <= image.height <= 2100


def test_nothing_touches_the_border(case: tuple[Plan, Columns]) -> None:
    pixels = np.asarray(draw(*case))
    border = np.concatenate([pixels[:4].reshape(-1, 3), pixels[-4:].reshape(-1, 3)])
    border = np.concatenate([border, pixels[:, :4].reshape(-1, 3), pixels[:, -4:].reshape(-1, 3)])
    assert (border == palette.rgb(palette.BACKGROUND)).all()


def test_the_same_plan_gives_the_same_picture() -> None:
    assert draw(make_plan(SD15), in_steps(20)).tobytes() == draw(make_plan(SD15), in_steps(20)).tobytes()


def test_rows_lie_below_each_other_inside_the_map(case: tuple[Plan, Columns]) -> None:
    place = layout(*case)
    assert (np.diff(place.rows) >= place.row_height).all()
    assert place.rows[0] == place.map[1]
    assert place.rows[-1] + place.row_height == place.map[3]
    assert place.columns[0] == place.map[0] == place.panel[0]
    assert place.columns[-1] == place.map[2] == place.panel[2]


def test_labels_do_not_overlap(case: tuple[Plan, Columns]) -> None:
    plan, over = case
    place, steps = layout(plan, over), len(over)
    assert (np.diff([mark.at for mark in place.blocks]) >= 13).all()
    marks = step_marks(place, steps)
    assert [marks[0].text, marks[-1].text] == ["1", str(steps)]
    spans = [
        (m.at - picture_text.width(m.text, 12) / 2, m.at + picture_text.width(m.text, 12) / 2) for m in marks
    ]
    assert all(right + 3 <= left for (_, right), (left, _) in zip(spans, spans[1:], strict=False))


@pytest.mark.parametrize("steps", [1, 2, 3, 9, 11, 20, 30, 50, 99, 304, 999])
def test_step_numbers_fit_for_any_run(steps: int) -> None:
    marks = step_marks(layout(make_plan(SD15), in_steps(steps)), steps)
    assert len({mark.text for mark in marks}) == len(marks) <= 50
    assert (np.diff([mark.at for mark in marks]) >= 15).all()


def test_block_says_its_number_beside_a_named_band_and_its_full_name_beside_a_nameless_one() -> None:
    named = layout(make_plan(SD15), in_steps(20))
    assert [band.name for band in named.bands if band.shown] == ["down", "mid", "up"]
    assert [mark.text for mark in named.blocks][:3] == ["1", "2", "4"]
    assert [mark.text for mark in layout(make_plan(SD15[:1]), in_steps(20)).blocks] == ["down 1"]


def test_more_steps_than_pixels_still_draw() -> None:
    plan = make_plan(SD15[:4])
    assert draw(plan, in_steps(9000)).width <= 2200


def test_share_bars_have_the_height_of_the_share() -> None:
    plan, steps = make_plan(SDXL), 20
    place = layout(plan, in_steps(steps))
    # S(x) may cross one pixel of a column, so the topmost style pixel of the left edge tells.
    _, top, _, bottom = place.panel
    pixels = np.asarray(draw(plan, in_steps(steps)))[top:bottom, place.columns[:-1]]
    is_style = (pixels == palette.rgb(palette.STYLE)).all(axis=-1)
    heights = np.where(is_style.any(axis=0), bottom - top - is_style.argmax(axis=0), 0)
    assert np.abs(heights - plan.shares(in_steps(steps))[1] * (bottom - top)).max() <= 6


@pytest.mark.parametrize(
    "parameters",
    [
        {"alpha": 0.0, "beta": 0.0},
        {"alpha": 1e6},
        {"alpha": 1e-6, "beta": 1e-6},
        {"balance": 5.0},
        {"balance": -5.0},
    ],
)
def test_extreme_schedules_draw(parameters: dict[str, float]) -> None:
    assert draw(make_plan(SD15, **parameters), in_steps(8)).mode == "RGB"


def test_infinite_rho_and_gamma_draw() -> None:
    plan = make_plan(SD15)
    slots = plan.method.evidence
    zeros = (slots[0]._replace(scores=(1.0, 0.0)), slots[1]._replace(scores=(0.0, 1.0)), *slots[2:])
    assert draw(with_method(plan, evidence=zeros), in_steps(8)).mode == "RGB"


def test_empty_plan_and_no_steps_are_refused() -> None:
    with pytest.raises(KLoraError, match="no layer in common"):
        draw(make_plan([]), in_steps(20))
    with pytest.raises(KLoraError, match="at least 1"):
        draw(make_plan(SD15), in_steps(0))


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


def contrast(one: str, other: str) -> float:
    """WCAG 2 contrast ratio of two colours, 1 to 21."""

    def luminance(colour: str) -> float:
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
            for c in np.divide(palette.rgb(colour), 255)
        ]
        return float(np.dot((0.2126, 0.7152, 0.0722), linear))

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_colours_are_far_apart() -> None:
    pairs = [(palette.SUBJECT, palette.STYLE), (palette.SUBJECT, palette.BACKGROUND)]
    pairs += [(palette.STYLE, palette.BACKGROUND)]
    assert min(contrast(*pair) for pair in pairs) >= 3
    assert contrast(palette.MUTED, palette.BACKGROUND) >= 4.5
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


# Machado, Oliveira, Fernandes (2009), severity 1, on linear RGB.
SIGHTS = {
    "full": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def lab(colour: str, sight: str) -> np.ndarray:
    """CIE Lab of a colour as it is seen, D65."""
    value = np.divide(palette.rgb(colour), 255)
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.asarray(SIGHTS[sight]) @ linear, 0, 1)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ seen / (0.9505, 1.0, 1.089)
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), 24389 / 27 * xyz / 116 + 16 / 116)
    return np.array((116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])))


@pytest.mark.parametrize("sight", SIGHTS)
def test_colour_blind_people_can_tell_the_candidates(sight: str) -> None:
    """Twelve times the difference that is just seen, between any two of eight, and from the page's ground."""
    colours = {dark for dark, _ in palette.candidates(8)}
    assert len(colours) == 8
    grounds = {palette.THEMES["dark"]["panel"], palette.THEMES["light"]["background"]}
    for one, other in itertools.combinations(colours | grounds, 2):
        if {one, other} - grounds:
            assert np.linalg.norm(lab(one, sight) - lab(other, sight)) > 12 * 2.3, (one, other)


def test_a_run_by_noise_level_is_drawn_over_its_own_columns() -> None:
    """Uneven progress: each column has the colours of its own moment."""
    plan = make_plan(SD15)
    over = Columns(tuple(Moment(x, i, 3) for i, x in enumerate((0.4, 0.45, 0.97))))
    place, pixels = layout(plan, over), np.asarray(draw(plan, over))
    wanted = plan.choices(over)[0]
    assert len(set(map(tuple, wanted.T))) == 3
    for slot in range(len(plan.slots)):
        for step in range(3):
            x, y = place.cell(slot, step)
            colour = (palette.SUBJECT, palette.STYLE)[wanted[slot, step]]
            assert tuple(pixels[y, x]) == palette.rgb(colour)


def test_progress_has_no_steps() -> None:
    plan = make_plan(SD15)
    assert draw(plan, over_progress(30)).tobytes() != draw(plan, in_steps(30)).tobytes()


@dataclass(frozen=True)
class Turns(Method):
    """Three candidates in two passes, by the parity of slot and step."""

    slots: int
    name, paper, summary = "turns", "", "in turns."

    def who(self, moment: Moment) -> np.ndarray:
        first = (np.arange(self.slots) + moment.step) % 3
        return np.stack([first, first - 1]).astype(np.int8)

    def weights(self, moment: Moment) -> tuple[float, ...]:
        return 0.5, 0.5


def test_several_passes_share_a_cell_in_stripes_of_their_colours() -> None:
    plan = make_plan(SD15)
    loras = (*plan.loras, LoraInfo("more", "style"))
    turns = Plan(loras, plan.slots, ("subject", "style", "style 2"), Turns(len(plan.slots)))
    over = in_steps(6)
    place, pixels = layout(turns, over), np.asarray(draw(turns, over))
    paint = [palette.PANEL, *(dark for dark, _ in palette.candidates(3))]
    chosen = turns.choices(over)
    for slot in (0, 1, 7):
        for step in range(6):
            x, y = place.cell(slot, step)
            cell = pixels[y - 4 : y + 5, x - 20 : x + 20].reshape(-1, 3)
            seen = {tuple(map(int, pixel)) for pixel in cell}
            assert seen == {palette.rgb(paint[c + 1]) for c in chosen[:, slot, step]}
