"""Every guarantee, and every defect that is closed, names tests that hold it, and they exist."""

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("guarantees.md", "bugs-found.md", "log.md")
NAMED = re.compile(r"`(test_\w+)`")
DEFECT = re.compile(r"^\| S(\d+) \|.*\|$", re.MULTILINE)
DEFECTS_OF_PYSYNCOBJ = 17
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
    assert len(items) == 36
    assert [item.splitlines()[0] for item in items if not NAMED.search(item)] == []


def test_every_defect_of_the_stock_class_is_shown_and_closed():
    page = ROOT.joinpath("docs", "log.md").read_text(encoding="utf-8")
    rows = [match[0].strip("|").split("|") for match in DEFECT.finditer(page)]
    assert [row[0].strip() for row in rows] == [f"S{number + 1}" for number in range(DEFECTS_OF_PYSYNCOBJ)]
    for number, _, stock, _, ours in rows:
        assert all("_stock_" in name for name in NAMED.findall(stock)), number
        assert not any("_stock_" in name for name in NAMED.findall(ours)), number
        assert NAMED.search(stock), number
        assert NAMED.search(ours), number


def test_no_test_of_the_stock_class_is_missing_from_the_list():
    page = ROOT.joinpath("docs", "log.md").read_text(encoding="utf-8")
    shown = {name for name in known_tests() if name.startswith("test_stock_")}
    assert shown <= set(NAMED.findall(page))
