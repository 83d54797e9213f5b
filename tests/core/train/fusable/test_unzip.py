"""UnZipLoRA's masks, against loops over single numbers."""

from __future__ import annotations

import pytest
import torch

from klora_core.train.fusable.unzip import (
    CONTENT,
    STYLE,
    Columns,
    column_scores,
    folded,
    grown,
    overlap,
    owner,
    period_starts,
)


@pytest.mark.parametrize(
    "steps, starts", [(600, {0, 200, 400}), (601, {0, 200, 400}), (3, {0, 1, 2}), (1, {0}), (2, {0, 1})]
)
def test_a_training_has_three_periods(steps, starts):
    assert period_starts(steps) == starts


def test_a_score_is_the_share_of_entries_that_count():
    change = torch.tensor([[1e-2, 1e-4, -1.0, 0.0], [1e-3, 1e-3, 1e-3, 1e-3]])
    gradient = torch.tensor([[-2e-3, 1e-2, 1e-4, 5.0], [9e-3, -2e-2, 8e-3, 3e-2]])
    scores = [
        sum(abs(c * g) > 1e-5 for c, g in zip(cs, gs, strict=True)) / 4
        for cs, gs in zip(change.double().tolist(), gradient.double().tolist(), strict=True)
    ]
    assert scores == [0.5, 0.5]
    assert column_scores(change.double(), gradient.double()).tolist() == scores


def grown_by_hand(masks, scores, whole):
    out = len(masks[0])
    owned = {
        half: {j for j in range(out) if mask[j]} for half, mask in zip((CONTENT, STYLE), masks, strict=True)
    }
    score = dict(zip((CONTENT, STYLE), scores, strict=True))

    def best(half, among):
        return set(sorted(among, key=lambda j: (-score[half][j], j))[: max(1, out // 10)])

    everything = set(range(out))
    if whole is not None:
        other = STYLE if whole == CONTENT else CONTENT
        owned[whole] = everything
        owned[other] |= best(other, everything)
    else:
        owned[CONTENT] |= best(CONTENT, everything)
        owned[STYLE] |= best(STYLE, everything - owned[CONTENT])
    return [[float(j in owned[half]) for j in range(out)] for half in (CONTENT, STYLE)]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("whole", [None, CONTENT, STYLE])
def test_halves_gain_their_best_tenth_period_by_period(seed, whole):
    rng = torch.Generator().manual_seed(seed)
    out = int(torch.randint(4, 60, (1,), generator=rng))
    masks, lists = (torch.zeros(out), torch.zeros(out)), [[0.0] * out] * 2
    for _ in range(3):
        # Shares of few entries: many are equal.
        scores = [torch.randint(0, 5, (out,), generator=rng).double() / 4 for _ in range(2)]
        masks = grown(masks, scores, whole)
        lists = grown_by_hand(lists, [score.tolist() for score in scores], whole)
        assert [mask.tolist() for mask in masks] == lists


def test_the_style_gains_nothing_where_the_content_has_all():
    full, none = torch.ones(12), torch.zeros(12)
    content, style = grown((full, none), (torch.rand(12), torch.rand(12)))
    assert torch.equal(content, full) and torch.equal(style, none)


def test_the_overlap_is_of_what_both_have():
    rng = torch.Generator().manual_seed(4)
    pairs = [
        tuple(
            Columns(torch.rand(out, generator=rng), torch.randint(0, 2, (out,), generator=rng).float())
            for _ in range(2)
        )
        for out in (3, 7)
    ]
    means = [
        sum(abs(float(c.learned[j] * c.mask[j] * s.learned[j] * s.mask[j])) for j in range(len(c.mask)))
        / len(c.mask)
        for c, s in pairs
    ]
    assert float(overlap(pairs)) == pytest.approx(sum(means) / 2)


def test_the_overlap_has_a_gradient_where_both_are():
    learned = torch.full((4,), 0.5, requires_grad=True)
    other = Columns(torch.full((4,), 0.8), torch.tensor([1.0, 0, 1, 0]))
    overlap([(Columns(learned, torch.tensor([1.0, 1, 0, 0])), other)]).backward()
    assert learned.grad.tolist() == pytest.approx([0.2, 0, 0, 0])


def test_the_folded_halves_add_up_to_the_training_forward():
    rng = torch.Generator().manual_seed(2)
    x, total, weight = torch.randn(5, 6, generator=rng).double(), 0, 0
    for _ in range(2):
        up, down = torch.randn(4, 3, generator=rng).double(), torch.randn(3, 6, generator=rng).double()
        m, k = torch.rand(4, generator=rng).double(), torch.randint(0, 2, (4,), generator=rng).double()
        total = total + (x @ down.T @ up.T) * m * k
        weight = weight + folded(up, (m, k)) @ down
    torch.testing.assert_close(x @ weight.T, total)


def test_blocks_of_sdxl_by_their_owner():
    """ComfyUI's output_blocks.0 to 2 are diffusers' up_blocks.0.attentions.0 to 2, 3 to 5 up_blocks.1's."""
    owners = [owner(f"output_blocks.{i}.1.transformer_blocks.0.attn1.to_q") for i in range(9)]
    assert owners == [CONTENT, STYLE, CONTENT, STYLE, STYLE, STYLE, None, None, None]
    assert owner("input_blocks.4.1.transformer_blocks.0.attn1.to_q") is None
    assert owner("middle_block.1.transformer_blocks.0.attn1.to_q") is None
    assert owner("output_blocks.10.1.proj_in") is None
