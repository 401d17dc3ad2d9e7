"""SECURITY.md and docs/reliability.md name, for each promise, tests that exist."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEST = r"`(tests/[\w/]+\.py)::(test_\w+)`"


def read_rows(page):
    """The cells of the lines of a page's tables whose first one is a number, S1 or 1."""
    text = (ROOT / page).read_text("utf-8")
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in text.splitlines() if line[:1] == "|"]
    return [row for row in rows if re.fullmatch(r"S?\d+", row[0])]


@cache
def list_tests(path):
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def check_tests(rows, columns):
    for row in rows:
        assert len(row) == columns, row[0]
        tests = re.findall(TEST, row[-1])
        assert tests, f"{row[0]} has no test"
        assert re.sub(TEST, "", row[-1]).strip() == "", row[0]
        assert [f"{path}::{name}" for path, name in tests if name not in list_tests(path)] == []


def test_each_attack_has_tests_that_exist():
    rows = read_rows("SECURITY.md")
    assert [row[0] for row in rows] == [f"S{number}" for number in range(1, 29)]
    check_tests(rows, 4)


def test_each_promise_has_tests_that_exist():
    rows = read_rows("docs/reliability.md")
    assert [row[0] for row in rows] == [str(number) for number in range(1, 15)]
    check_tests(rows, 3)


def test_a_name_that_does_not_exist_is_seen():
    with pytest.raises(AssertionError):
        check_tests([["S1", "`tests/test_promises.py::test_nothing`"]], 2)
