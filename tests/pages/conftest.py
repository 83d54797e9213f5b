"""Errors, modes and undo leave much on a page: each file has one of its own.

A command of its own, `make test-pages`, not part of `make test`.
"""

from tests.browser.conftest import chromium, opened, ran, server
from tests.support.browser.own_page import window

__all__ = ["chromium", "opened", "ran", "server", "window"]
