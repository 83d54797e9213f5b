"""The networks by what others call their modules: a table each, found by the network's name."""

from .numbered import is_numbered, numbered
from .tables import TABLES
from .unet import unet
