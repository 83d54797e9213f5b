"""The command ``unziplora``: folders as UnZipLoRA's code leaves them in, two addable files out."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file

from klora_core import files
from klora_core.cli import main
from tests.support.merging import dense
from tests.support.published import mergers, unziplora

SHAPES = {
    f"{block}.attentions.0.transformer_blocks.0.attn{i}.{part}": (12, 8 if i == 2 and part == "to_k" else 12)
    for block in ("down_blocks.1", "up_blocks.0")
    for i in (1, 2)
    for part in ("to_q", "to_k", "to_out.0")
}
HALVES = ("content", "style")


def left(folder, name="rose", dtype=torch.float32, save=torch.save):
    """What a training leaves in a folder: the dense change of each layer of each half, m in it."""
    wanted = {}
    for seed, half in enumerate(HALVES):
        lora, learned = unziplora(SHAPES, seed), mergers(SHAPES, half, seed + 7)
        (folder / f"{name}_{half}").mkdir()
        tensors = {key: tensor.to(dtype) for key, tensor in lora.tensors.items()}
        save_file(tensors, folder / f"{name}_{half}" / "pytorch_lora_weights.safetensors", {"format": "pt"})
        save(learned, folder / f"{name}_merger_{half}.pth")
        wanted[half] = {
            layer: torch.stack(
                [
                    row * float(m.detach())
                    for row, m in zip(change, learned[f"unet.{layer}.lora.merge_{half}"], strict=True)
                ]
            )
            for layer, change in lora.dense.items()
        }
    return wanted


def run(*arguments):
    return main(["unziplora", *map(str, arguments)])


def fails(capsys, *arguments):
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("klora: ") and err.count("\n") == 1
    return err


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-6), (torch.float16, 2e-3)])
def test_m_is_worked_into_both_halves(tmp_path, capsys, dtype, tolerance):
    wanted = left(tmp_path, dtype=dtype)
    assert run(tmp_path) == 0
    assert capsys.readouterr().out == "".join(
        f"rose_{half}.safetensors: rose_{half} with rose_merger_{half}.pth in it\n" for half in HALVES
    )
    for half in HALVES:
        stored = load_file(tmp_path / f"rose_{half}.safetensors")
        source = load_file(tmp_path / f"rose_{half}" / "pytorch_lora_weights.safetensors")
        assert {k: (t.shape, t.dtype) for k, t in stored.items()} == {
            k: (t.shape, t.dtype) for k, t in source.items()
        }
        back = files.read(tmp_path / f"rose_{half}.safetensors")
        for path, slot in back.placed.items():
            torch.testing.assert_close(
                dense(back.slots[slot]).double(), wanted[half][path], rtol=tolerance, atol=tolerance * 0.1
            )
        assert len(back.slots) == len(SHAPES)


def test_every_training_of_a_folder_is_written_where_one_asks(tmp_path, capsys):
    source, out = tmp_path / "models", tmp_path / "loras"
    source.mkdir(), out.mkdir()
    left(source, "rose_600"), left(source, "cat")
    assert run(source, "-o", out) == 0
    assert sorted(p.name for p in out.iterdir()) == [
        f"{name}_{half}.safetensors" for name in ("cat", "rose_600") for half in HALVES
    ]
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_nothing_that_is_there_is_written_over(tmp_path, capsys):
    left(tmp_path)
    (tmp_path / "rose_style.safetensors").write_bytes(b"mine")
    assert "Give another folder with -o" in fails(capsys, tmp_path)
    assert (tmp_path / "rose_style.safetensors").read_bytes() == b"mine"
    assert not (tmp_path / "rose_content.safetensors").exists()


class Evil:
    def __reduce__(self):
        return print, ("ran",)


def without(folder, *parts):
    for part in parts:
        (folder / part).unlink()


def rewritten(folder, change):
    """The style's mergers, which are read last, changed."""
    path = folder / "rose_merger_style.pth"
    learned = torch.load(path, weights_only=True)
    change(learned)
    torch.save(learned, path)


FIRST = f"unet.{next(iter(SHAPES))}.lora.merge_style"


@pytest.mark.parametrize(
    "spoil, says",
    [
        (
            lambda d: without(d, "rose_merger_style.pth"),
            "rose_merger_style.pth in its place: it belongs to rose",
        ),
        (lambda d: without(d, "rose_content/pytorch_lora_weights.safetensors"), "rose_content"),
        (
            lambda d: without(d, *(f"rose_merger_{half}.pth" for half in HALVES)),
            "Give the folder that UnZipLoRA was trained into",
        ),
        (lambda d: rewritten(d, lambda m: m.pop(FIRST)), "no style merger for layer"),
        (lambda d: rewritten(d, lambda m: m.clear()), "holds nothing"),
        (
            lambda d: rewritten(d, lambda m: m.update({"unet.x.lora.merge_style": torch.ones(2)})),
            "no layer x",
        ),
        (
            lambda d: rewritten(d, lambda m: m.update({FIRST: torch.ones(5)})),
            "has 5, and 12 numbers are expected",
        ),
        (lambda d: rewritten(d, lambda m: m.update({FIRST: torch.full((12,), torch.nan)})), "no numbers"),
        (lambda d: rewritten(d, lambda m: m.update({FIRST: "text"})), "is no tensor"),
        (
            lambda d: (d / "rose_merger_style.pth").write_bytes((d / "rose_merger_content.pth").read_bytes()),
            "Give a _merger_style.pth of UnZipLoRA",
        ),
        (lambda d: torch.save({"a": Evil()}, d / "rose_merger_style.pth"), "could run code"),
        (lambda d: (d / "rose_merger_style.pth").write_bytes(b"PK\x03\x04junk"), "rose_merger_style.pth"),
        (
            lambda d: (d / "rose_style" / "pytorch_lora_weights.safetensors").write_bytes(b"\x01"),
            "is not a complete safetensors file",
        ),
    ],
)
def test_what_is_wrong_with_a_folder_is_said_and_nothing_is_written(tmp_path, capsys, spoil, says):
    left(tmp_path)
    spoil(tmp_path)
    assert says in fails(capsys, tmp_path)
    assert not list(tmp_path.glob("*.safetensors"))


def test_a_folder_that_is_none(tmp_path, capsys):
    assert "Give a folder" in fails(capsys, tmp_path / "nothing")
    left(tmp_path)
    assert "Choose a folder that exists" in fails(capsys, tmp_path, "-o", tmp_path / "nowhere")
