"""Every guarantee names tests that hold it, and they exist."""

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("guarantees.md", "bugs-found.md")
NAMED = re.compile(r"`(test_\w+)`")
ITEM = re.compile(r"^\d+\. ", re.MULTILINE)


@cache
def known_tests():
    texts = (path.read_text(encoding="utf-8") for path in ROOT.joinpath("tests").rglob("test_*.py"))
    return {name for text in texts for name in re.findall(r"^\s*def (test_\w+)", text, re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES)
def test_the_tests_a_page_names_exist(page):
    named = set(NAMED.findall(ROOT.joinpath("docs", page).read_text(encoding="utf-8")))
    assert named
    assert named <= known_tests()


def test_no_guarantee_is_without_a_test():
    body = ROOT.joinpath("docs", "guarantees.md").read_text(encoding="utf-8")
    items = ITEM.split(body.partition("## What is not guaranteed")[0])[1:]
    assert len(items) == 35
    assert [item.splitlines()[0] for item in items if not NAMED.search(item)] == []
