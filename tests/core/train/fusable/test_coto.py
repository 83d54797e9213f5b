"""CoTo's schedule against its table, worked out by hand, and its draws against numpy's counting."""

from __future__ import annotations

import pytest
import torch

from klora_core.train.fusable.coto import blocks_on, share_on

# T = 8: ceil(.75 T) = 6, so .15 more of the blocks a step; T = 5: ceil(3.75) = 4, .225 more.
TABLE = {
    8: (0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 1.0, 1.0),
    5: (0.1, 0.325, 0.55, 0.775, 1.0),
    1: (0.1,),
}


@pytest.mark.parametrize("steps", TABLE)
def test_share_grows_to_all_by_three_quarters(steps):
    assert [share_on(step, steps) for step in range(steps)] == pytest.approx(TABLE[steps])


def test_so_many_blocks_are_on_as_the_share_says():
    rng = torch.Generator().manual_seed(3)
    for step in (20, 40, 60):
        drawn = [blocks_on(40, step, 100, rng) for _ in range(400)]
        found = sum(map(sum, drawn)) / (400 * 40)
        assert found == pytest.approx(share_on(step, 100), abs=0.02)


def test_one_block_is_always_on_and_after_the_schedule_all_are():
    rng = torch.Generator().manual_seed(0)
    assert all(any(blocks_on(2, 0, 100, rng)) for _ in range(300))
    assert blocks_on(1, 0, 100, rng) == (True,)
    for step in (75, 80, 99):
        assert blocks_on(50, step, 100, rng) == (True,) * 50


def test_each_block_is_drawn_on_its_own():
    rng = torch.Generator().manual_seed(1)
    drawn = torch.tensor([blocks_on(6, 37, 100, rng) for _ in range(2000)]).float()
    together = torch.corrcoef(drawn.T).fill_diagonal_(0)
    assert together.abs().max() < 0.1


def test_the_same_state_draws_the_same():
    rng = torch.Generator().manual_seed(5)
    blocks_on(9, 3, 50, rng)
    state = rng.get_state()
    first = [blocks_on(9, step, 50, rng) for step in range(4, 9)]
    rng.set_state(state)
    assert [blocks_on(9, step, 50, rng) for step in range(4, 9)] == first
