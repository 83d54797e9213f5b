"""``merge --method ziplora --mergers FILE``: what a training has learnt, folded into an ordinary LoRA."""

from __future__ import annotations

import argparse

import pytest
import torch
from safetensors.torch import load_file, save_file

from klora_core import files
from klora_core.cli import merge as cli_merge
from tests.support import loras
from tests.support.merging import dense


def run(*arguments):
    parser = argparse.ArgumentParser(prog="klora")
    cli_merge.add_parser(parser.add_subparsers(dest="command", required=True))
    return cli_merge.run(parser.parse_args(["merge", *map(str, arguments)]))


ATTENTION = [layer for layer in loras.UNET if ".attn" in layer.weight]


def learnt(layers=ATTENTION, count=2, spell="unet.{}.lora_layer.merger_{}", seed=7):
    """Mergers as ziplora-pytorch's layers call them, by key; another generator than torch's reader needs."""
    rng = torch.Generator().manual_seed(seed)
    return {
        spell.format(layer.diffusers, i): torch.rand(layer.shape[1], generator=rng) * 2
        for layer in layers
        for i in range(1, count + 1)
    }


@pytest.fixture
def folded(unet, tmp_path, capsys):
    """`folded(mergers, save, *more)`: (the merged file's slots, what was said)."""

    def fold(mergers, save=torch.save, *more, paths=unet, name="mergers.pth"):
        file, out = tmp_path / name, tmp_path / "out.safetensors"
        save(mergers, file)
        run(*paths, "--method", "ziplora", "--mergers", file, "--dtype", "fp32", "-o", out, *more)
        return files.read(out), capsys.readouterr().out

    return fold


def expected(unet, mergers, weights=(1.0, 1.0)):
    """dW of each slot by the definition, on whole matrices."""
    by_weight = {layer.weight: layer for layer in loras.UNET}
    found = {}
    for number, (lora, weight) in enumerate(zip(files.read_all([*unet]), weights, strict=True), 1):
        for slot, delta in lora.slots.items():
            name = by_weight[slot.weight].diffusers
            m = next(
                (v for k, v in mergers.items() if f".{name}." in f".{k}" and k.endswith(f"_{number}")), None
            )
            own = dense(delta).double() * weight
            own = own if m is None else own @ torch.diag(m.double())
            found[slot] = found.get(slot, 0) + own
    return found


def check(back, told):
    assert back.slots.keys() == told.keys()
    for slot, delta in back.slots.items():
        error = float((dense(delta).double() - told[slot]).norm())
        assert error <= 1e-5 * float(told[slot].norm()), slot


def test_mergers_scale_the_columns_of_their_lora(unet, folded):
    mergers = learnt()
    back, said = folded(mergers)
    check(back, expected(unet, mergers))
    assert "ZipLoRA (ZipLoRA, arXiv 2311.13600)" in said
    assert "mergers.pth: m of cat.safetensors: " in said and " in 24 layers." in said
    # Feed-forwards and convolutions, of which that program has no mergers.
    assert "6 layers of cat.safetensors have no merger, as they are: " in said


def test_mergers_of_one_are_the_plain_sum(unet, folded, tmp_path):
    back, _ = folded({key: torch.ones_like(m) for key, m in learnt().items()})
    run(*unet, "--dtype", "fp32", "-o", tmp_path / "sum.safetensors")
    one, other = load_file(tmp_path / "out.safetensors"), load_file(tmp_path / "sum.safetensors")
    assert all(torch.equal(one[key], other[key]) for key in other) and one.keys() == other.keys()


def test_strengths_count_too(unet, folded):
    mergers = learnt()
    back, _ = folded(mergers, torch.save, "--weights", "0.5", "-2")
    check(back, expected(unet, mergers, (0.5, -2.0)))


@pytest.mark.parametrize(
    "spell",
    [
        "{}.lora_layer.merger_{}",
        "unet.{}.merger_{}",
        "module.unet.{}.lora_layer.merger_{}",
        "base_model.model.{}.lora_layer.merger_{}",
    ],
)
def test_other_spellings_and_containers(unet, folded, spell):
    mergers = learnt(spell=spell)
    told = expected(unet, mergers)
    check(folded(mergers, save_file, name="mergers.safetensors")[0], told)
    parameters = {key: torch.nn.Parameter(m.half()) for key, m in mergers.items()}
    halves = expected(unet, {key: m.half().float() for key, m in mergers.items()})
    check(folded({"state_dict": parameters}, name="mergers.bin")[0], halves)


def test_names_of_another_vocabulary_than_the_lora_s(unet, folded, tmp_path):
    """The LoRAs by ComfyUI's names, the mergers by diffusers'."""
    paths = [
        loras.make(tmp_path / f"sgm{i}.safetensors", loras.UNET, "kohya-sgm", seed=i).path for i in (1, 2)
    ]
    mergers = learnt()
    check(folded(mergers, paths=paths)[0], expected(paths, mergers))


def test_three_loras_and_part_of_the_layers(unet, folded, tmp_path):
    third = loras.make(tmp_path / "oil.safetensors", loras.UNET[:9], "ai-toolkit", seed=3).path
    mergers = learnt(ATTENTION[:4], count=3)
    back, said = folded(mergers, paths=(*unet, third))
    check(back, expected((*unet, third), mergers, (1.0, 1.0, 1.0)))
    assert "26 layers of cat.safetensors have no merger" in said


def test_fused_weights_take_the_mergers_of_their_parts(folded, tmp_path):
    """FLUX: mergers of q, k and v, one LoRA fused, one split."""
    fused = loras.make(tmp_path / "fused.safetensors", loras.FLUX_FUSED, "kohya-sgm", seed=1).path
    split = loras.make(tmp_path / "split.safetensors", loras.FLUX_SPLIT, "transformer", seed=2).path
    whole = [layer for layer in loras.FLUX_FUSED if layer.weight.endswith("img_attn.qkv")]
    mergers = {f"{layer.weight}.merger_{i}": torch.rand(layer.shape[1]) for layer in whole for i in (1, 2)}
    back, _ = folded(mergers, paths=(fused, split))
    a, b = files.read_all([fused, split])
    for slot, delta in back.slots.items():
        told = torch.zeros(delta.shape, dtype=torch.float64)
        for number, lora in enumerate((a, b), 1):
            m = mergers.get(f"{slot.weight}.merger_{number}", torch.ones(delta.shape[1])).double()
            for piece, change in lora.slots.items():
                if piece.weight == slot.weight:
                    start, length = piece.rows or (0, change.shape[0])
                    told[start : start + length] += dense(change).double() @ torch.diag(m)
        assert float((dense(delta).double() - told).norm()) <= 1e-5 * float(told.norm()), slot


def test_what_is_beside_the_mergers_is_said(unet, folded):
    mergers = learnt()
    name = ATTENTION[0].diffusers
    beside = {
        f"unet.{name}.lora_layer.weight_1": torch.ones(20, 20),
        "unet.down_blocks.2.attentions.1.transformer_blocks.0.attn1.to_q.lora_layer.merger_1": torch.ones(20),
        "conv_in.weight": torch.ones(3),
    }
    back, said = folded({**mergers, **beside})
    check(back, expected(unet, mergers))
    assert "1 dense changes beside the mergers, NOT used" in said
    assert "1 mergers of layers that their LoRA does not change, NOT used: unet.down_blocks.2" in said
    assert "1 other tensors, NOT used: conv_in.weight" in said


FIRST = f"unet.{ATTENTION[0].diffusers}.lora_layer.merger_1"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {FIRST: torch.ones(21)},
            r"^Give the LoRAs of .*: .*mergers.pth: layer unet.*: merger_1 has 21 values, .* 20 inputs",
        ),
        ({FIRST: torch.ones(20, 1)}, "merger_1 has 20 x 1 values"),
        ({FIRST: torch.full((20,), float("nan"))}, "merger_1 has values that are no finite numbers"),
        ({FIRST: torch.ones(20, dtype=torch.int64)}, "merger_1 has values that are no finite numbers"),
        ({FIRST.removeprefix("unet."): torch.ones(20)}, "twice, under two names of one layer"),
        (
            {"x.merger_3": torch.ones(2)},
            "^Give the LoRAs of these mergers, in their order: .* has mergers of 3 LoRAs, not of 2",
        ),
    ],
)
def test_mergers_that_do_not_fit(folded, change, message):
    with pytest.raises(ValueError, match=message):
        folded({**learnt(), **change})


def test_files_that_are_none(unet, folded, tmp_path):
    with pytest.raises(ValueError, match="^Save the UNet's state dict .* holds no mergers"):
        folded({"x.lora.weight": torch.ones(2, 2)})
    with pytest.raises(ValueError, match="has mergers for a, b alone, which no LoRA changes"):
        folded({"a.merger_1": torch.ones(2), "b.merger_2": torch.ones(2)})
    with pytest.raises(ValueError, match="mergers.pth: is no complete torch file"):
        folded(None, lambda _, path: path.write_bytes(b"PK\x03\x04 cut"))
    with pytest.raises(ValueError, match=r"cut.safetensors: can't be read \("):
        folded(None, lambda _, path: path.write_bytes(b"\x05" + b"\0" * 7 + b"{"), name="cut.safetensors")
    with pytest.raises(ValueError, match=r"none.pth: can't be read \("):
        run(
            *unet, "--method", "ziplora", "--mergers", tmp_path / "none.pth", "-o", tmp_path / "o.safetensors"
        )
    assert not list(tmp_path.glob("o*.safetensors"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "ziplora"], "Give --mergers FILE: the learnt mergers of the LoRAs in their order"),
        (
            ["--mergers", "x.pth"],
            "^Give --method ziplora, or leave out --mergers: --mergers belongs to --method ziplora",
        ),
        (
            ["--method", "ziplora", "--mergers", "x.pth", "--mu", "1"],
            "ZipLoRA has no parameter mu: it has none",
        ),
    ],
)
def test_options_that_do_not_go_together(unet, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        run(*unet, *arguments, "-o", tmp_path / "out.safetensors")


def test_the_file_of_mergers_is_not_written_over(unet, tmp_path):
    file = tmp_path / "mergers.safetensors"
    save_file(learnt(), file)
    with pytest.raises(ValueError, match="it is one of the files that are read"):
        run(*unet, "--method", "ziplora", "--mergers", file, "-o", file)
