"""A turned dial: counted, not timed. What is read, checked, made and moved, and what of it only once."""

from __future__ import annotations

import gc
from collections import Counter

import pytest
import torch

from tests.support.host.nodes import baked, fuse, part, relative, unet_pair

OUTSIDE = {"loser": "outside", "outside": 0.5}
TURNS = (
    {"balance": 0.4},
    {"schedule": {"schedule": "s*", "alpha": 1.2, "beta": 0.9}},
    {"gamma": "none"},
    {"progress": "noise level"},
    {"balance": -1.0, "gamma": "reference"},
)


@pytest.fixture
def pair(sd15):
    """Tensors that count what is written into them, as those of our own loader."""
    with torch.inference_mode(False):
        return unet_pair(sd15.model.model)


@pytest.fixture
def done(pack, monkeypatch):
    """How often each piece of work is done, by name; by a process that has scored nothing before."""
    counts: Counter[str] = Counter()
    part(pack, "nodes.host.scoring").TOP_K.clear()

    def count(module, name, owner=None):
        place = part(pack, module) if owner is None else getattr(part(pack, module), owner)
        own = getattr(place, name)

        def counted(*args, **kwargs):
            counts[name] += 1
            return own(*args, **kwargs)

        monkeypatch.setattr(place, name, counted)

    count("nodes.loras.read", "_Reader")
    count("nodes.loras.read", "Network")
    count("nodes.loras.proof", "contents")
    count("klora_core.methods.making", "meet")
    count("nodes.model.apply", "compose")
    count("nodes.host.scoring", "score")
    count("klora_core.files.values", "is_finite")
    count("klora_core.deltas.digest", "digest")
    count("klora_core.deltas.projection", "read_by")
    count("klora_core.apply.buffers", "state_of")
    return counts


def the_buffers(model):
    (patcher,) = model.get_additional_models()
    return patcher.model


@pytest.mark.parametrize("options", [{}, OUTSIDE], ids=["off", "outside"])
def test_a_turned_dial_reads_no_bytes_and_makes_nothing(pack, sd15, pair, done, options):
    first = fuse(pack, sd15.model, *pair, clip=sd15.clip, **options)
    assert done["_Reader"] == 2 and done["is_finite"] == sum(map(len, pair))
    assert done["digest"] <= sum(map(len, pair)), "a digest a tensor, also where two ask for it"
    for turn in TURNS:
        done.clear()
        turned = fuse(pack, sd15.model.clone(), *pair, clip=sd15.clip.clone(), **{**options, **turn})
        assert not done, "not even their bytes are read"
        assert the_buffers(turned.model) is the_buffers(first.model)
        assert turned.report != first.report


def test_tensors_that_count_no_writes_are_read_at_each_dial(pack, sd15, done):
    """Those of other loaders, which the host runs in inference mode."""
    pair = unet_pair(sd15.model.model)
    first = fuse(pack, sd15.model, *pair, **OUTSIDE)
    done.clear()
    turned = fuse(pack, sd15.model, *pair, **OUTSIDE, balance=0.4)
    assert the_buffers(turned.model) is the_buffers(first.model)
    assert dict(done) == {"contents": 2}
    done.clear()
    fuse(pack, sd15.model, *pair, **OUTSIDE, style_strength=0.5)
    assert set(done) == {"contents", "compose", "state_of"}, "for what losers do outside, nothing once more"


def test_a_strength_makes_targets_and_nothing_else(pack, sd15, pair, done):
    first = fuse(pack, sd15.model, *pair)
    done.clear()
    turned = fuse(pack, sd15.model, *pair, style_strength=0.5)
    assert set(done) == {"compose", "state_of"}
    assert the_buffers(turned.model) is not the_buffers(first.model)


def test_what_changed_in_place_is_read_again(pack, sd15, pair, done, sample, sd15_conds):
    before = fuse(pack, sd15.model, *pair).plan
    key = next(key for key in pair[0] if key.endswith("lora_B.weight"))
    pair[0][key].mul_(3)
    done.clear()
    turned = fuse(pack, sd15.model, *pair)
    assert done["_Reader"] == 1 and done["score"] == 1
    assert turned.plan != before
    fresh = fuse(pack, sd15.model, *({k: v.clone() for k, v in lora.items()} for lora in pair))
    assert turned.plan == fresh.plan
    assert torch.equal(*(sample(each.model, *sd15_conds, steps=2) for each in (turned, fresh)))


def test_another_dict_model_or_clip_is_read_for_itself(pack, sd15, pair, done):
    fuse(pack, sd15.model, *pair)
    for lora in (
        {key: value.clone() for key, value in pair[0].items()},
        dict(list(pair[0].items())[2:]),
        {**pair[0], "lora_unet_nothing.lora_up.weight": torch.ones(2, 2)},
    ):
        done.clear()
        if len(lora) > len(pair[0]):
            with pytest.raises(Exception, match="lora_unet_nothing"):
                fuse(pack, sd15.model, lora, pair[1])
        else:
            fuse(pack, sd15.model, lora, pair[1])
        assert done["_Reader"] == 1
    done.clear()
    fuse(pack, sd15.model, *pair, clip=sd15.clip)
    assert done["_Reader"] == 2, "what of it is the clip's"


def test_nothing_outlives_the_loras(pack, sd15, pair):
    parts = ("loras.read", "composing", "model.apply")
    slots, composing, apply = (part(pack, f"nodes.{name}") for name in parts)

    def known():
        gc.collect()
        return len(slots._loras), len(composing.SETS), len(apply._shared)

    before, own = known(), [{key: value.clone() for key, value in lora.items()} for lora in pair]
    fused = fuse(pack, sd15.model, *own)
    assert known() == tuple(a + b for a, b in zip(before, (2, 1, 1), strict=True))
    del fused
    assert known()[2] == before[2], "buffers go with the last MODEL"
    own.clear()
    assert known() == before


def test_buffers_take_no_memory_before_the_run_and_once_in_all_runs(pack, sd15, pair, sample, sd15_conds):
    first = fuse(pack, sd15.model, *pair)
    (patcher,) = first.model.get_additional_models()
    buffers = patcher.model
    sizes = {p.device.type: sum(q.nbytes for q in buffers.parameters()) for p in buffers.parameters()}
    assert sizes == {"meta": patcher.model_size()}, "the host knows the size beforehand"
    expected = sample(first.model, *sd15_conds, steps=3)
    places = {name: (id(p), p.data_ptr()) for name, p in buffers.named_parameters()}
    assert buffers.where.type == "cpu" and 0 not in {place for _, place in places.values()}
    turned = fuse(pack, sd15.model, *pair, balance=0.3)
    second = sample(turned.model, *sd15_conds, steps=3)
    assert torch.equal(sample(first.model, *sd15_conds, steps=3), expected)
    assert {name: (id(p), p.data_ptr()) for name, p in buffers.named_parameters()} == places
    fresh = fuse(pack, sd15.model, *({k: v.clone() for k, v in lora.items()} for lora in pair), balance=0.3)
    assert the_buffers(fresh.model) is not buffers
    assert torch.equal(sample(fresh.model, *sd15_conds, steps=3), second)


def test_one_on_top_of_another_of_the_same_loras(pack, sd15, pair, sample, sd15_conds):
    first, second = (fuse(pack, sd15.model, *pair, balance=b).model for b in (0.0, 0.5))
    assert the_buffers(first) is the_buffers(second)
    twice = fuse(pack, first, *pair, balance=0.5).model
    one, other = twice.get_additional_models()
    assert one.model is not other.model
    copies = ({k: v.clone() for k, v in lora.items()} for lora in pair)
    expected = sample(fuse(pack, first, *copies, balance=0.5).model, *sd15_conds, steps=2)
    assert torch.equal(sample(twice, *sd15_conds, steps=2), expected)
    # As if somebody else had put them together.
    twice.set_additional_models(list(twice.additional_models)[1], [one])
    assert torch.equal(sample(twice, *sd15_conds, steps=2), expected)


def test_the_host_takes_the_model_for_the_one_that_it_has_loaded(pack, sd15, pair):
    """With another id of its patches it would take all weights off and load them anew at each dial."""
    first, turned = (fuse(pack, sd15.model, *pair, balance=b).model for b in (0.0, 0.5))
    assert first.patches_uuid == turned.patches_uuid == sd15.model.patches_uuid
    (one,), (other,) = first.get_additional_models(), turned.get_additional_models()
    assert one.patches_uuid == other.patches_uuid and one is not other
    own = baked(sd15.model, pair[0])
    assert fuse(pack, own, *pair).model.patches_uuid == own.patches_uuid != sd15.model.patches_uuid


def test_another_start_scores_nothing(pack, sd15, pair, done, tmp_path, monkeypatch):
    scoring, composing = part(pack, "nodes.host.scoring"), part(pack, "nodes.composing")
    monkeypatch.setattr(scoring.folder_paths, "user_directory", str(tmp_path))

    def start():
        composing.SETS.clear()
        scoring.TOP_K.clear()
        done.clear()
        return fuse(pack, sd15.model, *pair).plan

    first = start()
    assert done["score"] == 1 and list(tmp_path.iterdir()) == [], "it is off in these tests"
    monkeypatch.setenv(scoring.ON_DISK, "1")
    assert start() == first and done["score"] == 1
    assert start() == first and done["score"] == 0
    (file,) = tmp_path.rglob("*.*")
    assert file.relative_to(tmp_path).as_posix() == "__klora/scores.bin" and file.stat().st_size < 1 << 16
    file.write_bytes(b"torn" + file.read_bytes()[4:])
    assert start() == first and done["score"] == 1
    assert start() == first and done["score"] == 0
    monkeypatch.setattr(scoring.torch, "__version__", "0.0")
    start()
    assert done["score"] == 1, "another torch may round otherwise"


def test_the_latent_is_that_of_a_fuse_that_nothing_was_known_of(pack, sd15, pair, sample, sd15_conds):
    fuse(pack, sd15.model, *pair, **OUTSIDE)
    turned = sample(fuse(pack, sd15.model, *pair, balance=0.3, **OUTSIDE).model, *sd15_conds, steps=3)
    copies = ({k: v.clone() for k, v in lora.items()} for lora in pair)
    fresh = sample(fuse(pack, sd15.model, *copies, balance=0.3, **OUTSIDE).model, *sd15_conds, steps=3)
    assert relative(turned, fresh) == 0
