"""The catalog's columns in words.

`python -m nbkit.providers.columns`, in the root of the repository, prints docs/columns.md and the README's table.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from nbkit.modelsdev import catalog
from nbkit.modelsdev.catalog import ORDER, Column
from nbkit.providers import listing

_BEGIN, _END = "<!-- columns -->\n", "<!-- /columns -->\n"
_HEAD = """# Columns

The {count} columns of `nbkit.catalog`, in their order; the index, `id`, is `provider/model`. What models.dev does not
say is missing: NaN, NA (dtypes `Int64` and `boolean`) or NaT, never False or 0; a `bool` is always known. `str` and
`category` hold text, `object` a tuple, a dictionary or None. Prices are USD per million tokens, limits tokens.

"""


def columns() -> list[Column]:
    """Every column of the catalog, in its order."""
    known = {column.name: column for column in (*catalog.COLUMNS, *listing.COLUMNS)}
    return [known.pop(name) for name in ORDER] + list(known.values())


def documents(root: Path) -> dict[Path, str]:
    """The files that hold a table of the columns -> their text with the table as it is now."""
    readme, found = root / "README.md", columns()
    head, _, rest = readme.read_text("utf-8").partition(_BEGIN)
    tail = rest.partition(_END)[2]
    return {
        root / "docs" / "columns.md": _HEAD.format(count=len(found)) + _table(found),
        readme: head + _BEGIN + _table(found[: len(ORDER)]) + _END + tail,
    }


def _table(found: Iterable[Column]) -> str:
    lines = [f"| `{column.name}` | {column.dtype} | {column.doc} |\n" for column in found]
    return "| column | dtype | |\n| --- | --- | --- |\n" + "".join(lines)


if __name__ == "__main__":
    for path, text in documents(Path.cwd()).items():
        path.write_text(text, "utf-8")
