"""What role a file has, and which files a filter selects."""

from __future__ import annotations

import pytest

from klora_core.loras import OTHER, STYLE, SUBJECT
from klora_core.pick import LoraText, parts_of, roles_of, selects

NONE = {SUBJECT: (), STYLE: (), OTHER: ()}


@pytest.mark.parametrize(
    ("patterns", "name", "is_there"),
    [
        ("styles", "styles/ink.safetensors", True),
        ("styles", "sdxl/styles/old/ink.safetensors", True),
        ("STYLES", "sdxl\\Styles\\ink.safetensors", True),
        ("sdxl/styles/", "sdxl/styles/ink.safetensors", True),
        ("sdxl\\styles", "sdxl/styles/ink.safetensors", True),
        ("style", "styles/ink.safetensors", False),
        ("styles/sdxl", "sdxl/styles/ink.safetensors", False),
        ("ink", "styles/ink.safetensors", True),
        ("ink.safetensors", "styles/ink.safetensors", True),
        ("ink", "styles/ink2.safetensors", False),
        ("ink.v2", "ink.v2.safetensors", True),
        ("*cat*", "people/ohwx Cat v2.safetensors", True),
        ("sdxl/*", "sd15/cat.safetensors", False),
        (" people , *ink* ", "styles/inkwash.pt", True),
        ("a/b", "a/b", True),
    ],
)
def test_a_filter(patterns, name, is_there):
    assert selects(parts_of(patterns), name) is is_there


def test_an_empty_filter_has_no_parts():
    assert parts_of(" , /,") == ()


@pytest.mark.parametrize(
    ("name", "text", "roles", "why"),
    [
        ("styles/cat.safetensors", LoraText(), (STYLE,), "style by its folder styles"),
        ("characters/my style.safetensors", LoraText(), (SUBJECT,), "subject by its folder characters"),
        ("sdxl\\Characters\\x.safetensors", LoraText(), (SUBJECT,), "subject by its folder Characters"),
        ("characters/styles/x.safetensors", LoraText(), (STYLE,), "style by its folder styles"),
        ("画风/x.safetensors", LoraText(), (STYLE,), "style by its folder 画风"),
        ("InkStyle_v2.safetensors", LoraText(), (STYLE,), "style by its name"),
        ("freestyle.safetensors", LoraText(), (SUBJECT, STYLE), "its role is not known"),
        ("x.safetensors", LoraText(filed=("anime style",)), (STYLE,), "style by its tags"),
        ("x.safetensors", LoraText(filed=("character", "style")), (SUBJECT, STYLE), "its role is not known"),
        ("x.safetensors", LoraText(triggers=("in szn style",)), (STYLE,), "style by its trigger words"),
        ("x.safetensors", LoraText(triggers=("character sheet",)), (SUBJECT, STYLE), "its role is not known"),
        ("lcm_sdxl.safetensors", LoraText(), (OTHER,), "other by its name"),
        ("lightning dragon.safetensors", LoraText(), (SUBJECT, STYLE), "its role is not known"),
        ("lightning/4step.safetensors", LoraText(), (OTHER,), "other by its folder lightning"),
    ],
)
def test_a_role_without_filters(name, text, roles, why):
    found = roles_of(name, text, NONE)
    assert (found.roles, found.why) == (roles, why)


def test_a_filter_is_above_what_a_name_says_and_keeps_others_out():
    asked = {SUBJECT: (), STYLE: ("inks",)}
    assert roles_of("inks/character.safetensors", LoraText(), asked).roles == (STYLE,)
    # Known as a style, but not one of those that the filter selects.
    assert roles_of("styles/oil.safetensors", LoraText(), asked).roles == ()
    # Of these nothing is known: the role without a filter may have them.
    assert roles_of("oil.safetensors", LoraText(), asked).roles == (SUBJECT,)
    both = {SUBJECT: ("a",), STYLE: ("a", "b")}
    assert roles_of("a/x.safetensors", LoraText(), both).roles == (SUBJECT, STYLE)
    assert roles_of("c/x.safetensors", LoraText(), both).roles == ()


def test_a_role_that_nobody_asked_for_is_no_role():
    assert roles_of("styles/x.safetensors", LoraText(), {SUBJECT: ()}).roles == ()
    assert roles_of("x.safetensors", LoraText(), {OTHER: ()}).roles == ()
    assert roles_of("x.safetensors", LoraText(), {OTHER: ("*",)}).roles == (OTHER,)
