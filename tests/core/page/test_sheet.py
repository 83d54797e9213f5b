"""The sheet of a round on the page: what was sent, picture by picture or whole, and what is said of it."""

from __future__ import annotations

import pytest

from tests.support.page import evaluate, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))


def picture(place, rule="sum 0.7", seed=5, round=1, group=0, **more):
    image = {"filename": f"{rule}-{seed}.png", "subfolder": "klora_picks", "type": "temp"}
    line = f"{round}, {rule}, {seed}, {place}"
    told = {"place": place, "round": round, "rule": rule, "seed": seed, "group": group, "line": line}
    return {**told, "picked": False, "image": image, "width": 64, "height": 48, **more}


def sheet(*pictures, **more):
    told = {"round": 1, "shown": [], "taken": "", "of": len(pictures), "part": [1, 1], "hint": "", "best": ""}
    return {**told, "pictures": list(pictures), **more}


THREE = [picture(1), picture(2, "Arrow N"), picture(3, "K-LoRA s -0.5")]
PAIRS = [
    picture(1, "learned 2", 1005, 2, 1), picture(2, "sum 0.7", 1005, 2, 1),
    picture(3, "sum 0.7", 1006, 2, 2), picture(4, "learned 2", 1006, 2, 2),
]  # fmt: skip


def arrive(before, *arrivals):
    return evaluate([{"task": "arrivals", "sheet": before, "arrivals": list(arrivals)}])[0]


def comes(picture, of, prompt="p", round=1):
    return [{"round": round, "of": of, "done": 1, "picture": picture}, prompt]


def said(state, locale="en"):
    return evaluate([{"task": "said", "state": state, "locale": locale}])[0]


@pytest.mark.parametrize(
    "value",
    [
        None, {}, [], "sheet", sheet(round="1"), sheet(pictures=None), sheet({"place": 1}),
        sheet(picture(1, line="take")), sheet(picture(1, image={})), sheet(picture(1, width=0)), 
        sheet(part=["1", 1]), sheet(shown="all"),
    ],
)  # fmt: skip
def test_what_is_no_sheet_is_not_shown(value):
    assert evaluate([{"task": "sheet", "sheet": value}])[0] is None


def test_pictures_come_one_by_one_to_their_places():
    steps = arrive(None, comes(THREE[2], 3), comes({}, 3), comes(THREE[0], 3), comes(THREE[1], 3))
    assert [[bool(slot) for slot in step["slots"]] for step in steps] == [
        [False, False, True], [False, False, True], [True, False, True], [True, True, True],
    ]  # fmt: skip
    assert steps[-1]["pictures"] == [{k: v for k, v in p.items()} for p in THREE]


def test_the_same_sheet_again_keeps_what_was_there_and_another_one_does_not():
    whole = sheet(*THREE)
    again, new = arrive(whole, comes(THREE[1], 3)), arrive(whole, comes(picture(1, seed=9), 3))
    assert all(again[0]["slots"]) and [bool(slot) for slot in new[0]["slots"]] == [True, False, False]
    second = arrive(whole, comes(PAIRS[1], 4, round=2))
    assert len(second[0]["pictures"]) == 1 and second[0]["round"] == 2
    other_run = arrive(None, comes(THREE[0], 3), comes(picture(2, seed=9), 3, "q"))
    assert len(other_run[-1]["pictures"]) == 1


def test_pictures_of_the_same_noise_stand_side_by_side():
    assert arrive(None, comes(PAIRS[2], 4, round=2))[0]["together"] == 2
    assert arrive(None, *(comes(one, 4, round=2) for one in PAIRS))[-1]["together"] == 2
    threes = [picture(i, f"sum 0.{i}", 5, 2, 1 + (i - 1) // 3) for i in range(1, 7)]
    assert arrive(None, *(comes(one, 6, round=2) for one in threes))[-1]["together"] == 3
    assert arrive(None, *(comes(one, 3) for one in THREE))[-1]["together"] == 1


def test_a_part_has_its_own_pictures_alone_with_their_numbers():
    told = said({"sheet": sheet(picture(2), picture(4, seed=6), of=4, part=[2, 2])})
    assert [one["number"] for one in told["pictures"]] == [2, 4] and told["status"] == "part 2 of 2"


def test_no_rule_is_named_before_its_picture_is_picked():
    told = said({"sheet": sheet(*THREE), "text": THREE[1]["line"]})
    assert [one["rule"] for one in told["pictures"]] == ["", "Arrow N", ""]
    labels = [one["label"] for one in told["pictures"]]
    assert labels == ["picture 1", "picture 2, picked, by Arrow N", "picture 3"]
    assert told["title"] == "Round 1: pick the pictures you like" and told["status"] == "1 picked"
    last = said({"sheet": sheet(*THREE, taken="sum 0.7", round=2), "text": f"{THREE[0]['line']}\nmore\ntake"})
    assert last["title"] == "Taken: sum 0.7" and all(one["rule"] for one in last["pictures"])


def test_a_picture_is_picked_by_the_text_whatever_its_place_and_the_run_say():
    told = said({"sheet": sheet(picture(1, picked=True), picture(2, seed=6)), "text": "1,sum 0.7 , 6, 40"})
    assert [one["picked"] for one in told["pictures"]] == [False, True]
    wired = said({"sheet": sheet(picture(1, picked=True)), "text": None, "isOwn": False})
    assert wired["pictures"][0]["picked"] and not wired["pictures"][0]["can"]
    assert [wired["buttons"][name] for name in ("canMore", "canTake", "canStartOver")] == [False] * 3
    assert wired["status"] == "1 picked"


def test_only_the_round_that_is_shown_is_picked_from():
    text = f"{THREE[0]['line']}\nmore"
    old = said({"sheet": sheet(*THREE), "text": text, "isNow": False})
    assert not any(one["can"] for one in old["pictures"])
    assert old["status"] == "not yet run · 1 picked"
    assert old["buttons"]["more"] == "show round 2" and old["buttons"]["shows"]
    learning = said({"sheet": sheet(*THREE), "text": text, "isNow": False, "running": True})
    assert learning["status"] == "learning from 1 picture · 1 picked" and not learning["buttons"]["canMore"]
    new = said({"sheet": sheet(*PAIRS, round=2, shown=["learned 2", "sum 0.7"]), "text": text})
    assert all(one["can"] for one in new["pictures"]) and new["buttons"]["more"] == "learn and show more"
    assert new["title"] == "Round 2: learned from 1 picture, beside the best rule"


@pytest.mark.parametrize(
    ("state", "can"),
    [
        ({"sheet": None}, (False, False, False)),
        ({"sheet": sheet(*THREE)}, (True, False, False)),
        ({"sheet": sheet(*THREE), "own": True}, (True, True, False)),
        ({"sheet": sheet(*THREE), "text": THREE[0]["line"]}, (True, True, True)),
        ({"sheet": sheet(*THREE, taken="sum 0.7"), "text": f"{THREE[0]['line']}\ntake"}, (True, False, True)),
        ({"sheet": sheet(*THREE), "text": f"{THREE[0]['line']}\ntake", "isNow": False}, (True, True, True)),
        ({"sheet": None, "text": "more", "isNow": False}, (True, False, True)),
        ({"sheet": sheet(*THREE), "text": "# nothing"}, (True, False, True)),
    ],
)
def test_a_button_can_be_pressed_where_it_does_something(state, can):
    buttons = said(state)["buttons"]
    assert (buttons["canMore"], buttons["canTake"], buttons["canStartOver"]) == can


def test_a_run_that_stopped_says_how_far_it_came():
    state = {"sheet": sheet(*THREE[:2], of=3, coming="p"), "running": True}
    assert said(state)["status"] == "2 of 3 pictures"
    assert said({**state, "running": False})["status"] == "stopped at 2 of 3, Run goes on"
    assert [one["label"] for one in said(state)["pictures"]][2] == "picture 3, not made yet"


def test_settings_that_were_changed_are_said():
    assert said({"sheet": sheet(*THREE), "changed": True})["status"] == "changed, not yet run"


@pytest.mark.parametrize("locale", ["zh", "ja"])
def test_the_sheet_speaks_the_pages_language(locale):
    english, told = (said({"sheet": sheet(*THREE), "text": THREE[0]["line"]}, one) for one in ("en", locale))
    assert told["title"] != english["title"] and told["buttons"]["more"] != english["buttons"]["more"]


def test_the_page_remembers_each_sheet_of_each_node_and_a_bounded_number():
    put = [["w/5", "", 1], ["w/5", "a\nmore", 2], ["w/6", "", 3], ["w/5", "", 4]]
    asks = [["w/5", ""], ["w/5", "a\nmore"], ["w/6", ""], ["w/7", ""], ["w/5", None], ["w/6", None]]
    assert evaluate([{"task": "seen", "put": put, "asks": asks}])[0] == [4, 2, 3, None, 4, 3]
    many = [["w/5", str(i), i] for i in range(1000)]
    asks = [["w/5", str(i)] for i in range(1000)]
    assert sum(one is not None for one in evaluate([{"task": "seen", "put": many, "asks": asks}])[0]) == 64


@pytest.mark.parametrize("count", [1, 2, 8, 26, 52, 104])
@pytest.mark.parametrize("together", [1, 2, 3])
@pytest.mark.parametrize("aspect", [1, 0.5, 1.78])
def test_all_pictures_are_seen_as_large_as_may_be(count, together, aspect):
    width, height = 900, 600
    asked = {"count": count, "together": together, "width": width, "height": height, "aspect": aspect}
    found = evaluate([{"task": "fit", "asked": asked}])[0]
    size, columns = found["size"], found["columns"]
    groups = -(-count // together)
    rows = -(-groups // (columns // together))
    assert columns % together == 0 and columns * size <= width
    if size > 40:
        assert rows * size / aspect <= height
        # With one pixel more a picture they would not fit in any way.
        for across in range(1, groups + 1):
            between = 12 if together > 1 else 4
            down = -(-groups // across)
            inside = (across - 1) * between + across * (together - 1) * 4
            wide = across * together * (size + 1) + inside
            high = down * (size + 1) / aspect + (down - 1) * between
            assert wide > width or high > height


def test_too_many_are_of_a_size_that_can_be_hit():
    asked = {"count": 2000, "together": 2, "width": 400, "height": 200, "aspect": 1}
    found = evaluate([{"task": "fit", "asked": asked}])[0]
    assert found == {"size": 40, "columns": 8}


def test_keys_are_numbers_then_letters_and_arrows_stay_on_the_sheet():
    keys = evaluate([{"task": "keys", "numbers": list(range(1, 38))}])[0]
    assert [key for key, _ in keys] == [*"1234567890abcdefghijklmnopqrstuvwxyz", ""]
    assert [number for _, number in keys] == [*range(1, 37), 0]
    for key, at, to in [
        ("ArrowRight", 2, 3), ("ArrowRight", 9, 9), ("ArrowLeft", 0, 0), ("ArrowDown", 2, 6),
        ("ArrowDown", 7, 7), ("ArrowUp", 5, 1), ("ArrowUp", 2, 2),
        ("Home", 5, 0), ("End", 5, 9), ("x", 5, None),
    ]:  # fmt: skip
        walk = {"task": "walked", "key": key, "at": at, "count": 10, "columns": 4}
        assert evaluate([walk])[0] == to, key
