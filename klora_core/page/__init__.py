"""What the page gets: a plan's document in two parts (``document``), kept for it (``store``)."""

from .document import ForPage, for_page
from .store import PageStore
