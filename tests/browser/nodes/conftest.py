"""Errors, modes and undo leave much on a page: each file has one of its own."""

from tests.support.browser.own_page import window

__all__ = ["window"]
