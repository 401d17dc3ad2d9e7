"""The tables of the documentation are those that `python docs/tables.py` prints."""

from pathlib import Path

import tables  # docs/tables.py

import nbkit
from nbkit.choose.columns import ordered_columns

ROOT = Path(__file__).parents[1]


def test_the_documents_are_printed_from_the_data():
    printed = tables.render_documents()
    assert [column.name for column in ordered_columns()] == list(nbkit.catalog.columns)
    for path, text in printed.items():
        assert path.read_text("utf-8") == text, path.name
    assert printed[ROOT / "docs" / "columns.md"].count("\n| `") == nbkit.catalog.shape[1]
    assert printed[ROOT / "README.md"].count("| `openai-chat` |") == 1
