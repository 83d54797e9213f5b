"""Picks as text: what reads back, and what is refused in one line that says what to do."""

import pytest

from klora_core.errors import KLoraError
from klora_core.train.picks import Picks, parse_picks

TEXT = """1, sum 0.7, 12, 4
1, K-LoRA s -0.5, 14, 31
more
2, learned 2, 1013, 7
take"""


def test_a_text_reads_back_equal():
    picks = parse_picks(TEXT)
    assert picks.text() == TEXT
    assert (picks.round, picks.taken, picks.result) == (2, True, None)
    assert [pick.rule.name for pick in picks.picks] == ["sum 0.7", "K-LoRA s -0.5", "learned 2"]
    assert [pick.place for pick in picks.picks] == [4, 31, 7]
    assert parse_picks("") == Picks()


def test_who_wrote_it_decides_nothing():
    by_hand = "# mine\n\n  1,sum .70, 12\n1, k-lora s -.5,14,1\r\nmore\n2, learned, 1013, 7\ntake\n"
    assert parse_picks(by_hand) == parse_picks(TEXT)
    assert parse_picks("1, sum 1, 3, 2\n1, sum 1, 3, 9").picks == parse_picks("1, sum 1, 3").picks


def test_what_is_taken_by_name():
    assert parse_picks("1, sum 1, 3\ntake sum 1").result.name == "sum 1"
    assert parse_picks("1, sum 1, 3\ntake learned").result.name == "learned 2"
    assert parse_picks("1, sum 1, 3\nmore\nmore\ntake learned").result.name == "learned 3"
    assert parse_picks("take sum 1/-0.5").text() == "take sum 1/-0.5"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sum 0.7", "^Take 'sum 0.7' out of picks: a pick is round, rule, seed and its place"),
        ("1, sum 0.7", "^Take '1, sum 0.7' out"),
        ("1, sum 0.7, 1, 2, 3", "^Take '1, sum 0.7, 1, 2, 3' out"),
        ("1, nothing, 12, 3", "^Take '1, nothing, 12, 3' out of picks: 'nothing' is no rule. Write one such"),
        ("0, sum 1, 12", "its round must be a whole number from 1 on, got '0'"),
        ("one, sum 1, 12", "its round must be a whole number"),
        ("1, sum 1, -12", "its seed must be a whole number from 0 on, got '-12'"),
        ("1, sum 1, ²", "its seed must be a whole number"),
        (f"1, sum 1, {'9' * 5000}", "its seed must be a whole number"),
        (f"1, sum 1, {1 << 64}", "no seed is larger than 18446744073709551615"),
        ("1, sum 1, 12, 0", "its place must be a whole number from 1 on"),
        ("2, sum 1, 12", "or add a line more before it: round 2 is not shown yet, the newest is 1"),
        ("1, learned, 12", "'learned' was not learned yet"),
        ("more\n2, learned 3, 12", "learned 3 is learned later than that"),
        ("more\n2, learned 1, 12", "'learned 1' was not learned yet"),
        ("take\nmore", "^Put 'take' last in picks, or leave it out"),
        ("take\n1, sum 1, 12", "^Put 'take' last"),
        ("take it", "^Take 'take it' out of picks: 'it' is no rule"),
        ("take learned 4", "learned 4 is learned later than that"),
    ],
)
def test_what_is_no_pick_is_said_in_one_line(text, said):
    with pytest.raises(KLoraError, match=said) as refused:
        parse_picks(text)
    assert "\n" not in str(refused.value)
