"""Whole rounds of picks leave much on a page: these tests have one of their own."""

from tests.support.browser.own_page import window

__all__ = ["window"]
