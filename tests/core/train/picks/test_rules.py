"""Rules by name: each has one name, says what makes it, and fits the LoRAs or is refused."""

import pytest

from klora_core.errors import KLoraError
from klora_core.loras import OTHER, STYLE, SUBJECT
from klora_core.merges import METHODS as MERGES
from klora_core.methods import METHODS
from klora_core.train.picks import parse_rule, parse_rules, taking_part, usual

PAIR = SUBJECT, STYLE


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("sum .7", "sum 0.7"),
        ("sum 1/.6", "sum 1/0.6"),
        ("Sum 1.0/0.60", "sum 1/0.6"),
        ("sum -0/1", "sum 0/1"),
        ("K-LoRA s -.3", "K-LoRA s -0.3"),
        ("k-lora  s*", "K-LoRA s* 0"),
        ("K-LoRA s outside", "K-LoRA s 0 outside"),
        ("K-LoRA s* .1  outside", "K-LoRA s* 0.1 outside"),
        ("NP-LoRA", "NP-LoRA 0.5"),
        ("np-lora 2", "NP-LoRA 2"),
        ("arrow 1", "Arrow 1"),
        ("Arrow", "Arrow N"),
        ("calibrated", "calibrated"),
        ("lora switch", "LoRA Switch"),
        ("ties", "TIES"),
    ],
)
def test_a_rule_has_one_name(text, name):
    rule = parse_rule(text)
    assert rule.name == name and parse_rule(name) == rule and "," not in name


@pytest.mark.parametrize(
    "text",
    [
        *("", "nothing", "sum", "sum a", "sum 0", "sum 0/0", "sum 1/", "sum 11", "sum nan", "sum 1 0.5"),
        *(
            "K-LoRA",
            "K-LoRA t 0",
            "K-LoRA s 2",
            "K-LoRA s 0 0",
            "K-LoRA outside",
            "K-LoRA s outside 0",
            "NP-LoRA -1",
            "NP-LoRA 0 0",
            "Arrow 2",
        ),
        *("calibrated 1", "learned", "learned x", "MoLE", "Linear"),
    ],
)
def test_what_is_no_rule_is_said(text):
    with pytest.raises(KLoraError, match="is no |was not learned yet|has all LoRAs off") as refused:
        parse_rule(text)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 300


def test_each_rule_is_made_in_one_way():
    every = [*usual(PAIR), parse_rule("LoRA Composite"), parse_rule("TIES"), parse_rule("SVD")]
    for rule in every:
        ways = rule.as_merge() is not None, rule.over_time() is not None, rule.is_calibrated
        assert sum(ways) == 1, rule.name
        assert rule.is_lora == (rule.over_time() is None)
    assert parse_rule("sum 0.7").as_merge().at(3) == (0.7, 0.7, 0.7)
    assert parse_rule("sum 1/.5").as_merge().at(2) == (1.0, 0.5)
    assert parse_rule("NP-LoRA 2").as_merge().values == {"mu": 2.0}


def test_every_method_of_the_pack_is_a_proposal():
    for name in METHODS:
        if name not in ("MoLE", "K-LoRA"):
            rule = parse_rule(name)
            assert rule.over_time() is not None or rule.as_merge() is not None
    for merge in MERGES:
        if merge.label != "Linear":
            assert parse_rule(merge.label).as_merge().method is merge


def test_the_usual_sheet_is_wide_and_fits_the_loras():
    assert len(usual(PAIR)) == 13
    for roles in [(SUBJECT,), PAIR, (STYLE, STYLE), (SUBJECT, STYLE, STYLE), (STYLE,) * 6]:
        rules = usual(roles)
        assert len(set(rules)) == len(rules) >= 6
        for rule in rules:
            rule.check(roles)
            assert parse_rule(rule.name) == rule
    assert taking_part((SUBJECT, OTHER, STYLE)) == (0, 2)


def test_rules_as_text():
    assert [rule.name for rule in parse_rules("sum .7\n K-LoRA s, Arrow\n\nsum 0.70", PAIR)] == [
        "sum 0.7",
        "K-LoRA s 0",
        "Arrow N",
    ]
    assert parse_rules(" \n", PAIR) == usual(PAIR)
    for text, said in (
        ("sum 1/.5/.5", "3 strengths for 2 LoRAs"),
        ("learned 2", "Take 'learned 2' out of rules"),
        ("learned", "Take 'learned 2' out of rules"),
        ("foo", "'foo' is no rule"),
    ):
        with pytest.raises(KLoraError, match=said):
            parse_rules(text, PAIR)
    for text in ("K-LoRA s", "NP-LoRA"):
        with pytest.raises(KLoraError, match="^Set roles in LoRA Set: .* needs a subject and a style LoRA"):
            parse_rules(text, (STYLE, STYLE))
