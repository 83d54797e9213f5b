"""The pure lane: no host, no device, tiny tensors."""

import copy

import pytest
import torch

from tests.support.nets import Net
from tests.support.peaks import Peaks

# Tiny layers gain nothing from a second thread and stall when another process shares the cores.
torch.set_num_threads(1)


@pytest.fixture
def net():
    """A small network with every kind of layer that deltas are added to."""
    torch.manual_seed(3)
    return Net().eval()


@pytest.fixture
def twin(net):
    """A copy that nothing is ever put on."""
    return copy.deepcopy(net)


@pytest.fixture(scope="session")
def peaks():
    """Measures the peak memory of pieces of work."""
    with Peaks() as running:
        yield running
