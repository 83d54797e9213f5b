"""Sheets: the same pictures whenever they are asked, in an order that names nobody; what picks decide."""

from collections import Counter

import pytest

from klora_core.errors import KLoraError
from klora_core.loras import STYLE, SUBJECT
from klora_core.train.picks import (
    best_rule,
    counts,
    course,
    parse_part,
    parse_picks,
    parse_rules,
    result,
    sheet,
    usual,
)

RULES = usual((SUBJECT, STYLE))


def names(rules):
    return [rule.name for rule in rules]


def test_the_first_round_shows_each_rule_from_the_same_noises():
    shown = sheet(parse_picks(""), RULES, 7, 4)
    assert [p.place for p in shown] == list(range(1, 53)) and not any(p.group for p in shown)
    assert Counter(p.rule for p in shown) == dict.fromkeys(RULES, 4)
    assert Counter(p.seed for p in shown) == dict.fromkeys((7, 8, 9, 10), 13)
    assert shown == sheet(parse_picks("1, sum 1, 7"), RULES, 7, 4)


def test_a_place_tells_no_rule():
    shown = sheet(parse_picks(""), RULES, 7, 8)
    mean = {rule: sum(p.place for p in shown if p.rule == rule) / 8 for rule in RULES}
    assert all(20 < place < 85 for place in mean.values())
    assert names(p.rule for p in shown[:13]) != names(RULES)
    other = sheet(parse_picks(""), RULES, 8, 8)
    assert names(p.rule for p in shown) != names(p.rule for p in other)
    firsts = []
    for seed in range(30):
        pairs = sheet(parse_picks("1, sum 1, 7\nmore"), RULES, seed, 1)
        firsts.append(pairs[0].rule.is_learned)
    assert 5 < sum(firsts) < 25


def test_fewer_rules_leave_the_others_in_their_order():
    whole = [p for p in sheet(parse_picks(""), RULES, 7, 4) if p.rule in RULES[:5]]
    part = sheet(parse_picks(""), RULES[:5], 7, 4)
    assert [(p.rule, p.seed) for p in whole] == [(p.rule, p.seed) for p in part]


def test_then_what_was_learned_stands_beside_the_best_rule_from_the_same_noise():
    picks = parse_picks("1, sum 0.5, 7\n1, sum 0.5, 8\n1, Arrow N, 7\nmore")
    shown = sheet(picks, RULES, 7, 4)
    assert len(shown) == 16 and [p.group for p in shown[::2]] == list(range(1, 9))
    for one, other in zip(shown[::2], shown[1::2], strict=True):
        assert one.group == other.group and one.seed == other.seed >= 1007
        assert {one.rule.name, other.rule.name} == {"learned 2", "sum 0.5"}


@pytest.mark.parametrize("text", ["", "1, sum 1, 7\nmore"])
def test_parts_are_the_whole(text):
    whole = sheet(parse_picks(text), RULES, 7, 3)
    for count in (1, 2, 4, 100):
        parts = [p for k in range(1, count + 1) for p in parse_part(f"{k} of {count}").of(whole)]
        assert sorted(parts, key=lambda p: p.place) == list(whole)
    assert parse_part("all").of(whole) == parse_part(" ").of(whole) == whole
    for wrong in ("2", "0 of 4", "5 of 4", "2 of", "two of 4", "1 of 4 of 4", "-1 of 4"):
        with pytest.raises(KLoraError, match="^Write 'all' in part, or which of how many"):
            parse_part(wrong)


def test_the_best_rule():
    def best(*rules):
        return best_rule(
            parse_picks("\n".join(f"1, {r}, {i}" for i, r in enumerate(rules))).picks, RULES
        ).name

    assert best("Arrow N", "sum 0.5", "Arrow N") == "Arrow N"
    # Of equals that whose kind was liked more, then the first.
    assert best("Arrow N", "sum 1", "sum 0.5", "NP-LoRA 0.5") == "sum 0.5"
    assert best("NP-LoRA 0.5", "Arrow N") == "NP-LoRA 0.5"
    assert best() == RULES[0].name
    # A rule that is not on the sheet any more was picked all the same.
    assert best("sum 0.33", "sum 0.33", "Arrow N") == "sum 0.33"
    said = counts(parse_picks("1, sum 1, 1\n1, Arrow N, 1\n1, Arrow N, 2").picks)
    assert [(rule.name, n) for rule, n in said] == [("Arrow N", 2), ("sum 1", 1)]


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("1, sum 1, 1", "learned 2"),
        ("1, sum 1, 1\nmore", "learned 2"),
        ("1, sum 1, 1\nmore\n2, learned 2, 5", "learned 2"),
        ("1, sum 1, 1\nmore\n2, sum 1, 5", "sum 1"),
        ("1, sum 1, 1\nmore\n2, sum 1, 5\n2, learned 2, 6", "learned 2"),
        ("1, sum 1, 1\nmore\n2, learned 2, 5\nmore\n3, learned 3, 5", "learned 3"),
        # A further round never costs what an earlier one gave.
        ("1, sum 1, 1\nmore\n2, learned 2, 5\nmore", "learned 2"),
        ("1, sum 1, 1\nmore\n2, learned 2, 5\nmore\n3, learned 3, 5\n3, learned 2, 5", "learned 2"),
        ("1, sum 1, 1\nmore\n2, sum 1, 5\nmore", "sum 1"),
        # Nothing was picked of round 1: round 2 shows the rules again.
        ("more\n2, sum 1, 5", "learned 3"),
        ("more\n2, sum 1, 5\nmore", "learned 3"),
        ("1, sum 1, 1\nmore\ntake sum 0.5", "sum 0.5"),
        ("1, sum 1, 1\nmore\n2, sum 1, 5\ntake learned", "learned 2"),
    ],
)
def test_what_is_taken(text, taken):
    assert result(parse_picks(text), RULES).name == taken


def test_what_was_liked_more_is_shown_again():
    picks = parse_picks("1, sum 1, 1\nmore\n2, learned 2, 5\nmore")
    assert [names(shown) for shown in course(picks, RULES).shown] == [
        [],
        ["learned 2", "sum 1"],
        ["learned 3", "sum 1", "learned 2"],
    ]
    assert {p.group for p in sheet(picks, RULES, 7, 1)[:3]} == {1}


def test_nothing_picked():
    picks = parse_picks("more\nmore")
    assert course(picks, RULES).shown == ((), (), ())
    again = sheet(picks, RULES, 7, 2)
    assert {p.seed for p in again} == {2007, 2008} and len(again) == 26
    for text in ("", "more", "take", "take learned"):
        with pytest.raises(KLoraError, match="^Pick pictures before you take: .* other trigger words"):
            result(parse_picks(text), RULES)
    # A rule by its name needs none, and given pictures are picks.
    assert result(parse_picks("take sum 0.5"), RULES).name == "sum 0.5"
    assert result(parse_picks("take"), RULES, liked=2).name == "learned 2"
    assert names(course(parse_picks("more"), RULES, liked=2).shown[1]) == ["learned 2", RULES[0].name]


def test_thirty_rounds_are_quick():
    text = "1, sum 1, 1" + "".join(f"\nmore\n{r}, learned {r}, 5" for r in range(2, 31))
    assert result(parse_picks(text), parse_rules("sum 1", (STYLE,))).name == "learned 30"
