"""The node process that the page's tests share: it lives on, says what went wrong, and is started again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import page
from tests.support.page.node import Node

pytestmark = pytest.mark.skipif(page.why_not() is not None, reason=str(page.why_not()))

LINES = Path(page.__file__).with_name("lines.mjs")
TASKS = """
let asked = 0
await answer({
  count: () => ++asked,
  own: () => [Infinity, new Float64Array([0.5, -Infinity]), 'a\\nb'],
  fail: () => { throw new Error('no such thing') },
  late: () => new Promise(() => setTimeout(() => { throw new Error('behind its back') })),
  never: () => new Promise((done) => setTimeout(done, 60_000))
})
"""


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    module = tmp_path / "tasks.mjs"
    module.write_text(f"import {{ answer }} from {LINES.as_uri()!r}\n{TASKS}", encoding="utf-8")
    started = Node(module)
    yield started
    started.close()


def one(node: Node, task: str) -> object:
    (result,) = node.evaluate([{"task": task}])
    return result


def test_one_process_answers_batch_after_batch(node):
    assert node.evaluate([{"task": "count"}, {"task": "count"}]) == [1, 2]
    process = node.process
    assert one(node, "own") == ["Infinity", [0.5, "-Infinity"], "a\nb"]
    assert one(node, "count") == 3 and node.process is process


@pytest.mark.parametrize(("task", "said"), [("fail", "no such thing"), ("nonesuch", "not a function")])
def test_what_a_task_throws_is_told_with_its_stack_and_node_goes_on(node, task, said):
    assert one(node, "count") == 1
    with pytest.raises(AssertionError, match=rf"{said}(.|\n)*\n +at .*\.mjs:\d+"):
        one(node, task)
    assert one(node, "count") == 2


def test_what_is_thrown_behind_a_task_is_told_and_node_starts_again(node):
    said = r"node ended: (.|\n)*behind its back(.|\n)*\n +at .*tasks\.mjs:\d+"
    with pytest.raises(AssertionError, match=said):
        one(node, "late")
    assert one(node, "count") == 1


def test_node_starts_again_when_it_was_killed(node):
    assert one(node, "count") == 1
    node.process.kill()
    node.process.wait()
    assert one(node, "count") == 1


def test_node_that_says_nothing_is_ended(node):
    node.seconds = 0.5
    with pytest.raises(AssertionError, match="node ended: no answer in 0.5 s"):
        one(node, "never")
    assert node.process is None
