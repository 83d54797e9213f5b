"""The selection map shows the plan, whatever its size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from klora_core import palette
from klora_core.errors import KLoraError
from klora_core.loras import LoraInfo
from klora_core.methods import Method
from klora_core.methods.klora import make_schedule
from klora_core.picture import draw
from klora_core.picture.layout import lay_out
from klora_core.plan import Plan
from klora_core.progress import Columns, Moment, in_steps, over_progress
from tests.support.networks import CASES, SD15, SDXL, make_plan
from tests.support.plans import with_method


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[Plan, Columns]:
    names, steps = CASES[request.param]
    return make_plan(names), in_steps(steps)


@pytest.mark.parametrize("name", ["s", "s*"])
def test_every_cell_has_the_colour_of_its_choice(case: tuple[Plan, Columns], name: str) -> None:
    plan, over = case
    plan = with_method(plan, schedule=make_schedule(name))
    place, pixels = lay_out(plan, over), np.asarray(draw(plan, over))
    cells = np.array(
        [[place.cell(slot, step) for step in range(len(over))] for slot in range(len(plan.slots))]
    )
    colours = np.array([palette.rgb(palette.SUBJECT_COLOUR), palette.rgb(palette.STYLE_COLOUR)])
    assert (pixels[cells[..., 1], cells[..., 0]] == colours[plan.choices(over)[0]]).all()


def test_image_is_rgb_of_the_layout_size(case: tuple[Plan, Columns]) -> None:
    plan, steps = case
    image = draw(plan, steps)
    assert image.mode == "RGB"
    assert image.size == lay_out(plan, steps).size
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
    place = lay_out(*case)
    assert (np.diff(place.rows) >= place.row_height).all()
    assert place.rows[0] == place.map[1]
    assert place.rows[-1] + place.row_height == place.map[3]
    assert place.columns[0] == place.map[0] == place.panel[0]
    assert place.columns[-1] == place.map[2] == place.panel[2]


def test_more_steps_than_pixels_still_draw() -> None:
    plan = make_plan(SD15[:4])
    assert draw(plan, in_steps(9000)).width <= 2200


def test_share_bars_have_the_height_of_the_share() -> None:
    plan, steps = make_plan(SDXL), 20
    place = lay_out(plan, in_steps(steps))
    # S(x) may cross one pixel of a column, so the topmost style pixel of the left edge tells.
    _, top, _, bottom = place.panel
    pixels = np.asarray(draw(plan, in_steps(steps)))[top:bottom, place.columns[:-1]]
    is_style = (pixels == palette.rgb(palette.STYLE_COLOUR)).all(axis=-1)
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


def test_a_run_by_noise_level_is_drawn_over_its_own_columns() -> None:
    """Uneven progress: each column has the colours of its own moment."""
    plan = make_plan(SD15)
    over = Columns(tuple(Moment(x, i, 3) for i, x in enumerate((0.4, 0.45, 0.97))))
    place, pixels = lay_out(plan, over), np.asarray(draw(plan, over))
    wanted = plan.choices(over)[0]
    assert len(set(map(tuple, wanted.T))) == 3
    for slot in range(len(plan.slots)):
        for step in range(3):
            x, y = place.cell(slot, step)
            colour = (palette.SUBJECT_COLOUR, palette.STYLE_COLOUR)[wanted[slot, step]]
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
    place, pixels = lay_out(turns, over), np.asarray(draw(turns, over))
    paint = [palette.PANEL, *(dark for dark, _ in palette.candidates(3))]
    chosen = turns.choices(over)
    for slot in (0, 1, 7):
        for step in range(6):
            x, y = place.cell(slot, step)
            cell = pixels[y - 4 : y + 5, x - 20 : x + 20].reshape(-1, 3)
            seen = {tuple(map(int, pixel)) for pixel in cell}
            assert seen == {palette.rgb(paint[c + 1]) for c in chosen[:, slot, step]}
