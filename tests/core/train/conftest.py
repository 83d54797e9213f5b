"""A network of a few numbers to learn on."""

import pytest

from tests.support.learning.flow import Learning


@pytest.fixture
def model():
    model = Learning()
    yield model
    model.layers.close()
