"""The spellings of tests/support/host/spellings, by the host lane's own check, for the table."""

from __future__ import annotations

import pytest

from tests.host.names.test_spellings import test_every_module_arrives_by_both_doors as arrives
from tests.support.host.spellings import SPELLINGS


@pytest.mark.parametrize("spelling", SPELLINGS, ids=lambda spelling: spelling.name)
def test_a_spelling(pack, record, spelling):
    for prefix in spelling.prefixes:
        arrives(pack, spelling, prefix)
    record(
        part="spelling",
        network=spelling.network,
        spelling=spelling.name.partition(".")[2],
        prefixes=" ".join(f"`{prefix}`" if prefix else "none" for prefix in spelling.prefixes),
        modules=len(spelling.modules),
    )
