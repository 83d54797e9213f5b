"""The published U-Nets' modules, against what the host's own classes have."""

from __future__ import annotations

from dataclasses import replace

import pytest

from klora_core.names.bases.builds.unet import UNETS as BUILDS
from tests.support.names.unets import UNETS, summary

BY_BUILD = dict(zip(UNETS, BUILDS, strict=True))


@pytest.mark.parametrize("build", UNETS)
def test_a_unet_has_the_modules_of_the_hosts_class(build):
    # A new one: what an older one was asked for it keeps.
    assert summary(replace(BY_BUILD[build]).modules) == UNETS[build]
