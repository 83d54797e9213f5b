"""All pairs of some LoRAs: the numbers of each are those of that pair alone; nobody is left out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from klora_core import files, names
from klora_core.loras import STYLE, SUBJECT
from klora_core.methods import Given, making
from klora_core.methods.klora import make_schedule
from klora_core.methods.survey import Settings, measure, survey, text, to_json
from klora_core.progress import in_steps
from klora_core.scores import score
from tests.support import loras

OVER = in_steps(10)
LAYERS = loras.UNET[:12]
SPELLINGS = ("kohya-sgm", "kohya-diffusers", "peft", "diffusers-old")


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    """LoRAs of one base model in four spellings, of two ranks, with an alpha and without."""
    folder = tmp_path_factory.mktemp("four")
    for seed, spelling in enumerate(SPELLINGS):
        layers = LAYERS[: len(LAYERS) - seed]
        ranks, alpha = ((4,), None) if seed % 2 else ((2, 3), 2.0)
        path = folder / f"{seed}.safetensors"
        loras.make(path, layers, spelling, seed=seed, ranks=ranks, alpha=alpha)
    return sorted(folder.iterdir())


def surveyed(paths, settings=None, over=OVER):
    return survey([files.open_lora(path) for path in paths], over, settings or Settings())


def alone(one, other, **dials):
    """K-LoRA of two files that nobody else is read with."""
    both = files.read_all([one, other])
    slots, names = tuple(lora.slots for lora in both), tuple(lora.name for lora in both)
    return making.klora(**dials)(Given(slots, (SUBJECT, STYLE), names))


@pytest.mark.parametrize(
    ("settings", "dials"),
    [
        (Settings(), {}),
        (
            Settings(make_schedule("s*", balance=-0.2), "reference", "attention"),
            {"schedule": "s*", "balance": -0.2, "gamma": "reference", "layers": "attention"},
        ),
        (Settings(score="energy"), {"score": "energy"}),
    ],
)
def test_both_ways_of_every_pair_are_what_the_two_files_alone_give(four, settings, dials):
    found = surveyed(four, settings)
    assert [(pair.one, pair.other) for pair in found.pairs] == list(itertools.combinations(range(4), 2))
    assert not found.apart and not found.refused
    for pair in found.pairs:
        for way, (subject, style) in zip(
            pair.ways, [(pair.one, pair.other), (pair.other, pair.one)], strict=True
        ):
            rows, method = alone(four[subject], four[style], **dials)
            assert (way.subject, way.style) == (subject, style) and pair.layers == len(rows.competing)
            assert way.gamma == method.gamma and way.handover == method.handover(OVER)
            assert way.rho == pytest.approx(np.exp(np.percentile(np.log(method.rhos), [5, 25, 50, 75, 95])))
            chosen = np.stack([method.who(moment)[0] for moment in OVER.moments])
            assert way.share == pytest.approx((chosen == 1).mean())


def test_what_is_the_same_both_ways_is_and_what_is_not_is_not(four):
    for pair in surveyed(four).pairs:
        first, second = pair.ways
        assert first.gamma == pytest.approx(1 / second.gamma)
        assert first.rho == pytest.approx([1 / value for value in reversed(second.rho)])
        assert pair.spread == pytest.approx(second.rho[-1] / second.rho[0])
    assert any(pair.ways[0].handover.half != pair.ways[1].handover.half for pair in surveyed(four).pairs)


def test_the_overlap_is_that_of_the_dense_changes(four):
    for pair in surveyed(four).pairs:
        rows, _ = alone(four[pair.one], four[pair.other])
        dense = [[delta.dense().double().flatten() for delta in row.deltas] for row in rows.competing]
        cosines = [abs(float(torch.nn.functional.cosine_similarity(a, b, dim=0))) for a, b in dense]
        assert pair.overlap == pytest.approx(sum(cosines) / len(cosines), rel=1e-4)


def test_each_content_is_scored_once_at_each_k_and_each_file_placed_once(four, monkeypatch, tmp_path):
    scored, placed, place = [], [], names.place
    monkeypatch.setattr(measure, "score", lambda requests: scored.extend(requests) or score(requests))
    monkeypatch.setattr(names, "place", lambda *given: placed.append(given[0]) or place(*given))
    copies = [tmp_path / f"{number}.safetensors" for number in range(4)]
    for path in copies:
        path.write_bytes(four[1].read_bytes())
    found = surveyed([four[3], *copies])
    assert len(found.pairs) == 10
    # Two contents, of rank 4 each, so one K; what the one changes beyond the other, between its copies.
    assert len(scored) == len(LAYERS) - 3 + len(LAYERS) - 1
    assert len(placed) == sum(file.layers for file in found.files)


def test_partners_of_several_ranks_ask_for_several_k_at_once(monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr(measure, "score", lambda requests: calls.append(len(requests)) or score(requests))
    paths = [
        loras.make(tmp_path / f"{rank}.safetensors", LAYERS, "peft", seed=rank, ranks=(rank,)).path
        for rank in (2, 3, 4, 5)
    ]
    assert len(surveyed(paths).pairs) == 6
    assert calls == [3 * len(LAYERS)] * 4, "one call a file, of all partners' K"


def test_one_file_twice_is_a_pair_with_nothing_to_choose(four):
    (pair,) = surveyed([four[0], four[0]]).pairs
    assert pair.overlap == pytest.approx(1.0) and pair.spread == 1.0
    assert "Much the same change, so that there is little to choose:\n  0.safetensors and" in text(
        surveyed([four[0], four[0]])
    )


def zeroed(path, to, keep=()):
    """The file with zeros in all tensors but those whose names end in one of ``keep``."""
    tensors = {
        key: value if key.endswith(keep) else torch.zeros_like(value)
        for key, value in load_file(path).items()
    }
    save_file(tensors, to)
    return to


def test_who_cannot_be_paired_is_told_with_the_reason(four, tmp_path):
    zero = zeroed(four[0], tmp_path / "zero.safetensors")
    other = loras.make(tmp_path / "flux.safetensors", loras.FLUX_FUSED, "bfl", seed=5).path
    found = surveyed([four[0], zero, four[1], other])
    assert [file.name for file in found.files] == ["0.safetensors", "1.safetensors", "flux.safetensors"]
    assert found.refused == (
        f"zero.safetensors: is zero in all {len(LAYERS)} layers, so that it changes nothing. Choose another "
        "version of the LoRA, or train it again.",
    )
    assert [(pair.one, pair.other) for pair in found.apart] == [(0, 2), (1, 2)]
    lines = text(found).splitlines()
    told = lines[lines.index("Can't be paired:") + 1 :][:2]
    assert told[0] == f"  {found.refused[0]}"
    assert told[1].startswith("  flux.safetensors: with none of the others: the two LoRAs share no layer")


def of_base(path, base):
    """The file, whose layers are too small to be anybody's, with the base model in its header."""
    tensors = load_file(path)
    save_file(tensors, path, {"ss_base_model_version": base})
    return path


def test_two_groups_of_a_base_model_are_told_in_one_line(tmp_path):
    def group(layers, spelling, base, count):
        paths = [tmp_path / f"{base}-{number}.safetensors" for number in range(count)]
        made = [loras.make(path, layers, spelling, seed=i) for i, path in enumerate(paths)]
        return [of_base(one.path, base) for one in made]

    found = surveyed(
        [*group(LAYERS, "peft", "sdxl_base_v1-0", 4), *group(loras.FLUX_SPLIT, "transformer", "flux1", 2)]
    )
    assert len(found.pairs) == 7 and len(found.apart) == 8
    (line,) = [line for line in text(found).splitlines() if "8 pairs" in line]
    assert line.strip() == (
        "SDXL (sdxl_base_v1-0-0.safetensors, sdxl_base_v1-0-1.safetensors, sdxl_base_v1-0-2.safetensors and "
        "1 more) with FLUX (flux1-0.safetensors, flux1-1.safetensors), 8 pairs: they were trained on "
        "different base models."
    )


def test_a_pair_that_shares_only_zeros_is_apart(tmp_path):
    """The file as a whole is not zero."""
    one, other = loras.UNET[:6], loras.UNET[4:10]
    first = loras.make(tmp_path / "a.safetensors", one, "peft", seed=1)
    second = loras.make(tmp_path / "b.safetensors", other, "peft", seed=2)
    own = tuple(f"{layer.diffusers}{end}" for layer in loras.UNET[:4] for end in loras.PEFT)
    half = zeroed(first.path, tmp_path / "c.safetensors", keep=own)
    found = surveyed([first.path, half, second.path])
    assert [(pair.one, pair.other) for pair in found.pairs] == [(0, 1), (0, 2)]
    assert [pair.reason for pair in found.apart] == ["c.safetensors is zero in all 2 layers that compete."]


def test_nothing_to_pair(four):
    for paths in ([], four[:1]):
        found = surveyed(paths)
        assert text(found).splitlines()[1] == "No two of them can be paired."
        assert to_json(found)["pairs"] == []


def test_what_overflows_is_paired_with_nobody_and_named_once(four, tmp_path):
    path = tmp_path / "loud.safetensors"
    save_file({key: value * 1e20 for key, value in load_file(four[2]).items()}, path)
    found = surveyed([*four[:2], path])
    assert len(found.pairs) == 1
    (line,) = [line for line in text(found).splitlines() if "none of the others" in line]
    assert line.startswith("  loud.safetensors: with none of the others: layer ")
    assert "not finite or overflow when multiplied out" in line


def test_fused_and_split_files_meet_in_the_finest_slots(tmp_path):
    paths = [
        loras.make(tmp_path / f"{seed}.safetensors", layers, spelling, seed=seed).path
        for seed, (layers, spelling) in enumerate(
            [(loras.FLUX_FUSED, "bfl"), (loras.FLUX_SPLIT, "transformer"), (loras.FLUX_FUSED, "kohya-sgm")]
        )
    ]
    found = surveyed(paths)
    assert [pair.layers for pair in found.pairs] == [13, 6, 13]
    for pair in found.pairs:
        _, method = alone(paths[pair.one], paths[pair.other])
        assert pair.ways[0].gamma == method.gamma and pair.ways[0].handover == method.handover(OVER)
