"""What every merge method promises, whatever it does: order, equal LoRAs, zeros, strength 0, errors."""

from __future__ import annotations

import pytest
import torch

from klora_core.deltas import Dense, LowRank
from klora_core.deltas import Row as BlockRow
from klora_core.errors import KLoraError
from klora_core.merges import METHODS, merge, named, parameters
from klora_core.merges.merge import default_roles
from klora_core.names import Slot
from tests.support.merging import Row, dense, lora, merged, rows

NAMES = [method.name for method in METHODS]
SHAPES = [(24, 40), (40, 24), (32, 32)]
SUMS = ("linear", "svd", "magnitude-prune", "dare")


def model(seed, rank=3, size=1.0):
    return [lora(out, n, rank, 10 * seed + i, size=size) for i, (out, n) in enumerate(SHAPES)]


def all_kept(method):
    """Parameters with which a method prunes nothing."""
    has = {parameter.name for parameter in named(method).parameters}
    return {"density": 1.0} if "density" in has else {}


def close(a, b, tolerance=2e-5):
    scale = max(float(b.norm()), 1e-12)
    return float((a - b).norm()) <= tolerance * scale


@pytest.mark.parametrize("method", NAMES)
def test_the_order_of_the_loras_does_not_matter(method):
    loras, weights, roles = (
        (model(1), model(2, rank=4), model(3)),
        (1.0, 0.7, -0.4),
        ("subject", "style", "style"),
    )
    first, _ = merged(rows(*loras), method, weights, roles=roles)
    order = (2, 0, 1)
    second, _ = merged(
        rows(*(loras[i] for i in order)), method, [weights[i] for i in order], roles=[roles[i] for i in order]
    )
    assert first.keys() == second.keys()
    for slot, matrix in first.items():
        assert close(second[slot], matrix), slot


@pytest.mark.parametrize("method", NAMES)
@pytest.mark.parametrize("count", [2, 3])
def test_equal_loras(method, count):
    """N equal LoRAs give one LoRA; rules that sum give N times one."""
    same = model(5)
    roles = ["other"] * count
    result, _ = merged(rows(*[same] * count), method, roles=roles, values=all_kept(method))
    times = count if method in (*SUMS, "np-lora") else 1
    for delta, matrix in zip(same, result.values(), strict=True):
        assert close(matrix, times * dense(delta))


@pytest.mark.parametrize("method", NAMES)
def test_a_lora_of_zeros_changes_nothing(method):
    """Zero factors, and the untrained kind (up zero, down random): as if the LoRA were not there."""
    one = model(6)
    alone, _ = merged(rows(one), method, rank=6)
    for zeros in (
        [LowRank(torch.zeros(o, 3), torch.zeros(3, n)) for o, n in SHAPES],
        [LowRank(torch.zeros(o, 3), torch.randn(3, n)) for o, n in SHAPES],
    ):
        both, _ = merged(rows(one, zeros), method, rank=6)
        for slot, matrix in alone.items():
            assert torch.isfinite(both[slot]).all()
            assert close(both[slot], matrix), slot
    nothing, done = merged(rows(zeros, zeros), method)
    assert all(torch.equal(matrix, torch.zeros_like(matrix)) for matrix in nothing.values())
    assert done.kept_energy() == 1.0


@pytest.mark.parametrize("method", NAMES)
def test_strength_zero_is_absent(method):
    one, two = model(7), model(8)
    alone, _ = merged(rows(one, [None] * 3), method)
    silent, _ = merged(rows(one, two), method, [1.0, 0.0])
    for slot, matrix in alone.items():
        assert torch.equal(silent[slot], matrix)
    with pytest.raises(KLoraError, match="every LoRA has strength 0"):
        merge(rows(one, two), named(method), (0.0, 0.0))


@pytest.mark.parametrize("method", NAMES)
def test_a_lora_may_leave_slots_alone(method):
    one, two = model(1), model(2)
    table = rows(one, [two[0], None, None])
    result, done = merged(table, method, values=all_kept(method), rank=6)
    assert set(result) == {row.slot for row in table}
    for delta, slot in zip(one[1:], list(result)[1:], strict=True):
        assert close(result[slot], dense(delta))


@pytest.mark.parametrize("method", NAMES)
def test_the_rank_is_what_was_asked(method):
    for rank in (1, 5):
        _, done = merged(rows(model(1), model(2)), method, rank=rank)
        assert {change.rank for change in done.deltas.values()} == {rank}
    _, done = merged(rows(model(1), model(2, rank=4)), method)
    ranks = {change.rank for change in done.deltas.values()}
    assert ranks == ({4} if method in ("svd", "lora-lego") else {7})


@pytest.mark.parametrize("method", NAMES)
def test_stored_dtypes_and_dense_deltas(method):
    """Half-precision factors, and a change stored as a matrix, merge like the same numbers in float32."""
    halves = [LowRank(d.up.bfloat16(), d.down.bfloat16(), d.scale) for d in model(1)]
    wide = [LowRank(d.up.float(), d.down.float(), d.scale) for d in halves]
    if "dare" not in method:
        # DARE's draws follow the stored content.
        a, _ = merged(rows(halves, model(2)), method)
        b, _ = merged(rows(wide, model(2)), method)
        assert all(close(a[slot], b[slot]) for slot in a)
    whole = [Dense(d.dense(), 3) for d in wide]
    result, done = merged(rows(whole, model(2)), method, rank=5)
    if "dare" not in method and method != "lora-lego":
        same, _ = merged(rows(wide, model(2)), method, rank=5)
        assert all(close(result[slot], same[slot], 1e-3) for slot in same)
    assert all(torch.isfinite(matrix).all() for matrix in result.values())


@pytest.mark.parametrize("method", NAMES)
def test_progress_counts_up_to_the_whole_and_can_stop(method):
    seen = []
    merge(
        rows(model(1), model(2)),
        named(method),
        (1, 1),
        progress=lambda done, total: seen.append((done, total)),
    )
    (total,) = {total for _, total in seen}
    assert total == 6 * (named(method).passes + 1)
    # Every pass steps once a slot and LoRA, the last one once a slot, some in between too. Nothing is read
    # before where each layer is for itself.
    before = 6 * named(method).passes
    read = 0 if named(method).values({}).get("scope") == "layer" else before
    whole = [step for step, _ in seen if step == int(step)]
    assert whole == [*range(1, read + 1), *range(before + 2, total + 1, 2)]

    class Stop(Exception):
        pass

    def stop(done, total):
        raise Stop

    with pytest.raises(Stop):
        merge(rows(model(1), model(2)), named(method), (1, 1), progress=stop)


@pytest.mark.parametrize("method", NAMES)
def test_the_same_call_gives_the_same_bits(method):
    first, second = (merged(rows(model(1), model(2)), method)[0] for _ in range(2))
    assert all(torch.equal(first[slot], second[slot]) for slot in first)


def test_bad_arguments():
    table = rows(model(1), model(2))
    linear = named("linear")
    for arguments, message in (
        (dict(weights=(1,)), "1 weights for 2 LoRAs"),
        (dict(weights=(1, float("nan"))), "finite number"),
        (dict(weights=(1, 1), roles=("subject",)), "1 roles for 2 LoRAs"),
        (dict(weights=(1, 1), roles=("subject", "king")), "^Use one of .*: unknown role 'king'"),
        (dict(weights=(1, 1), rank=0), "rank must be at least 1"),
        (dict(weights=(1, 1), values={"mu": 1}), "Linear has no parameter mu: it has none"),
    ):
        with pytest.raises(KLoraError, match=message):
            merge(table, linear, **arguments)
    with pytest.raises(KLoraError, match="change no layer"):
        merge([], linear, ())
    with pytest.raises(
        KLoraError,
        match=r"^Merge LoRAs of one .*: layer a has a different size in each LoRA \(24 x 40, 40 x 24\)",
    ):
        merge([Row(Slot("a"), (model(1)[0], model(1)[1]))], linear, (1, 1))
    with pytest.raises(KLoraError, match="^Use one of .*: unknown merge method 'lerp'"):
        named("lerp")


@pytest.mark.parametrize(
    ("method", "values", "message"),
    [
        ("ties", {"density": 1.5}, "density must be at most 1"),
        ("ties", {"density": "much"}, "density must be a finite number"),
        ("ties", {"scope": "block"}, "scope must be one of model, layer"),
        ("dare", {"density": 0}, "density must be at least 0.01"),
        ("dare", {"seed": 0.5}, "seed must be a whole number"),
        ("np-lora", {"mu": -1}, "mu must be at least 0"),
        ("np-lora", {"mu": float("inf")}, "mu must be a finite number"),
        ("lora-lego", {"gauge": "svd", "k": 3}, "has no parameter k: it has gauge, reweight, seed"),
    ],
)
def test_bad_parameters(method, values, message):
    with pytest.raises(KLoraError, match=message):
        named(method).values(values)


def test_the_table():
    assert len(set(NAMES)) == len(NAMES)
    for method in METHODS:
        assert method.label and method.paper
        assert method.values({}) == {p.name: p.default for p in method.parameters}
        assert (method.passes > 0) == (method.prepare is not None)
    for name, owners in parameters():
        # One option of the command line serves them all.
        assert len({type(parameter.default) for _, parameter in owners}) == 1, name


def test_default_roles():
    assert default_roles(3) == ("subject", "style", "style")


def test_facts_say_what_the_cut_lost():
    table = rows(model(1), model(2))
    _, done = merged(table, "svd", rank=2)
    exact = [torch.linalg.svdvals(dense(a) + dense(b)).square() for a, b in (row.deltas for row in table)]
    whole = sum(float(s.sum()) for s in exact)
    kept = sum(float(s[:2].sum()) for s in exact)
    assert done.kept_energy() == pytest.approx(kept / whole, rel=1e-5)
    assert f"keeps {kept / whole:.1%}" in done.facts()[-1]
    assert not merged(table, "linear")[1].kept


def test_facts_name_parameters_and_ranks():
    one, two = [lora(8, 9, 2, 1), lora(8, 9, 3, 2)], [lora(8, 9, 2, 3), lora(8, 9, 4, 4)]
    label = "{0.label} ({0.paper})".format(named("linear"))
    assert merged(rows(one, two), "linear")[1].facts() == (label, "2 layers of rank 4 to 7")
    first, ranks = merged(rows(one[:1], two[:1]), "lora-lego", values={"seed": 3})[1].facts()
    assert first.endswith(": gauge raw, reweight on, seed 3") and ranks == "1 layers of rank 2"


@pytest.mark.parametrize("method", NAMES)
def test_blocks_weigh_a_lora_slot_by_slot(method):
    """As LoRAs whose slots have these strengths, each merged for itself."""
    loras = model(1), model(2)
    names = [f"transformer_blocks.{i}.to_q" for i in range(len(SHAPES))]
    given = [
        BlockRow(Slot(name), deltas) for name, deltas in zip(names, zip(*loras, strict=True), strict=True)
    ]
    values = {**all_kept(method), **({"scope": "layer"} if method in ("magnitude-prune", "ties") else {})}
    if method in ("dare", "dare-ties"):
        values["density"] = 1.0
    found = merge(given, named(method), (0.8, 1.2), values=values, blocks=("block 1: 0.5", "block 0: 0"))
    for row, (first, second) in zip(given, ((0.8, 0.0), (0.4, 1.2), (0.8, 1.2)), strict=True):
        alone = merge([row], named(method), (first, second), values=values)
        if method != "knots":
            assert close(found.deltas[row.slot].dense(), alone.deltas[row.slot].dense())
    assert found.blocks == ("block 1: 0.5", "block 0: 0")
    with pytest.raises(KLoraError, match="strength 0, or has it in all of its blocks"):
        merge(given, named(method), (1.0, 1.0), values=values, blocks=("all: 0", "all: 0"))
