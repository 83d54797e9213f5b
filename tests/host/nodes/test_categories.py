"""Where the node library shows the pack's nodes: what a newcomer needs is met first."""

from __future__ import annotations

import asyncio

from tests.support.host.nodes import part

FOLDERS = {
    "K-LoRA": {"KLoRALoadLora", "KLoRALoadPair", "KLoRAFuse", "KLoRASelectionMap", "KLoRASweep"},
    "K-LoRA/try it now": {"KLoRAToyWords"},
    "K-LoRA/compose": {"KLoRASet", "KLoRACompose", "KLoRAMerge"},
}


def test_each_node_is_in_its_folder(pack):
    extension = part(pack, "nodes").KLoRAExtension()
    nodes = [kind.GET_SCHEMA() for kind in asyncio.run(extension.get_node_list())]
    found = {}
    for node in nodes:
        found.setdefault(node.category, set()).add(node.node_id)
    found.pop(part(pack, "nodes.learn").CATEGORY, None)
    assert found == FOLDERS
    # By the name of the method or by the pack's: the search finds each of them.
    assert [node.node_id for node in nodes if not node.search_aliases] == []
