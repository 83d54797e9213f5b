"""Layers that did not run, in words."""

from klora_core.report import unseen


def test_each_is_named_with_how_many_are_changed():
    said = unseen(["blocks.0.ffn.2", "blocks.1.ffn.2"], 1200, "in the first evaluation of this run")
    assert said.startswith(
        "2 of the 1,200 layers that are changed did not run in the first evaluation of this run, so no LoRA "
        "worked there: blocks.0.ffn.2, blocks.1.ffn.2. "
    )


def test_nothing_is_said_where_all_ran():
    assert unseen([], 12, "in this run") == ""
