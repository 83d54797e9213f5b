"""The text of picks as the page writes it: the server reads it, and both know the same of it."""

from __future__ import annotations

import pytest

from klora_core.train.picks import Pick, parse_picks, parse_rule
from tests.support.page import evaluate, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

ONE, TWO = "1, sum 0.7, 12, 4", "1, K-LoRA s -0.5, 14, 31"
LEARNED = "2, learned 2, 1013, 7"
LARGE = "1, sum 0.7, 18446744073709551615, 5"


def ask(name, *values):
    return evaluate([{"task": "picks", "name": name, "values": list(values)}])[0]


def pick(line):
    round_, rule, seed, place = (part.strip() for part in line.split(","))
    return Pick(int(round_), parse_rule(rule, int(round_)), int(seed), int(place))


def test_a_click_picks_and_a_second_one_unpicks():
    once = ask("toggled", "", ONE)
    both = ask("toggled", once, TWO)
    assert once == ONE and both == f"{ONE}\n{TWO}"
    assert ask("toggled", both, ONE) == TWO
    assert ask("toggled", both, " 1 ,sum 0.7,12") == TWO, "its place says nothing"
    assert ask("toggled", ask("toggled", "", LARGE), LARGE) == ""


@pytest.mark.parametrize("text", ["take", f"{ONE}\ntake", f"{ONE}\ntake sum 0.7", f"{ONE}\n\n# mine\ntake "])
def test_what_is_done_after_take_is_done_without_it(text):
    for after in (ask("toggled", text, TWO), ask("more", text)):
        assert "take" not in after
        parse_picks(after)
    assert ask("take", text).splitlines()[-1] == "take" and ask("take", text).count("take") == 1
    parse_picks(ask("take", text))


def test_what_a_person_wrote_beside_stays():
    text = f"# the best ones\r\n{ONE}\r\n\r\n  {TWO}  "
    assert ask("toggled", text, TWO) == f"# the best ones\n{ONE}"
    assert ask("pickedIn", text) == ["1, sum 0.7, 12", "1, K-LoRA s -0.5, 14"]
    assert ask("toggled", f"{ONE}\n{ONE}", ONE) == ""


ACTS = [("toggled", ONE), ("toggled", TWO), ("more",), ("take",)]


def test_the_server_reads_all_that_can_be_clicked():
    """Every run of three clicks: pictures of round 1, more and take."""
    texts = {""}
    for _ in range(3):
        acts = [(text, act) for text in sorted(texts) for act in ACTS if act != ("take",) or "sum" in text]
        asks = [{"task": "picks", "name": name, "values": [text, *given]} for text, (name, *given) in acts]
        texts |= set(evaluate(asks))
    names = "roundOf", "isTaken", "pickedIn"
    for text in sorted(texts):
        done = parse_picks(text)
        asks = [{"task": "picks", "name": name, "values": [text]} for name in names]
        asks.append({"task": "picks", "name": "countBefore", "values": [text, done.round]})
        round_, taken, picked, before = evaluate(asks)
        assert (round_, taken, before) == (done.round, done.taken, len(done.before(done.round)))
        assert [pick(f"{key}, 0") for key in picked] == list(done.picks)


def test_every_text_has_the_round_and_the_picks_that_the_server_sees():
    texts = [
        "",
        "more",
        f"{ONE}\nmore\n{LEARNED}",
        f"{ONE}\nmore\nmore\ntake learned 2",
        "# more",
        f"\x0b{TWO}\x85{ONE}",
    ]
    for text in texts:
        done = parse_picks(text)
        assert ask("roundOf", text) == done.round and ask("isTaken", text) == done.taken
        assert [pick(f"{key}, 0") for key in ask("pickedIn", text)] == list(done.picks)


def test_picks_of_the_round_that_is_shown_change_no_sheet():
    first = ask("sheetOf", "")
    assert ask("sheetOf", ONE) == ask("sheetOf", f"{TWO}\n{ONE}") == first
    second = ask("sheetOf", f"{ONE}\n{TWO}\nmore")
    assert second not in (first, ask("sheetOf", f"{ONE}\nmore"), ask("sheetOf", "more"))
    assert ask("sheetOf", f"{TWO}\n1, sum 0.7, 12\nmore\n{LEARNED}") == second, (
        "order and places decide nothing"
    )
    assert ask("sheetOf", f"{ONE}\n{TWO}\nmore\n{LEARNED}\nmore", 2) == second
    assert ask("sheetOf", f"{ONE}\n{TWO}\nmore\n{LEARNED}\ntake") != second
    assert ask("sheetOf", f"{ONE}\n{TWO}\nmore\n{LEARNED}\ntake", 2, False) == second
