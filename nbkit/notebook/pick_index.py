"""The index that the picker searches in the browser: all its rows in columns, sent once.

A column is its distinct values, in the header, and a code for each row, in the buffer: about 0.5 MB for 8,342 models.
Codes are 2 bytes (4 where a column has more values), column after column in the header's order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from nbkit.choose.abilities import ABILITIES
from nbkit.choose.kinds import can_chat
from nbkit.choose.offers import group_offers
from nbkit.choose.search_words import describe_language
from nbkit.providers.search_index import TEXTS, rate_own_offers
from nbkit.providers.vendors import name_vendor
from nbkit.rendering.sanitize import visible

_FLAGS = (*ABILITIES, "text_in", "text_out", "chat")
_FACETS = (
    ("Reads", (("vision", "images"), ("pdf_in", "PDF"), ("audio_in", "audio"), ("video_in", "video"))),
    ("Can", (("tools", "call tools"), ("reasoning", "reason"), ("structured_output", "hold to a schema"))),
    ("Makes", (("image_out", "images"), ("audio_out", "speech"), ("video_out", "videos"))),
    ("Is", (("open_weights", "open weights"), ("has_key", "ready: I have a key"))),
)
_NUMBERS = {"input": "input_cost", "output": "output_cost", "cached": "cache_read_cost", "context": "context"}


def make_index(rows: pd.DataFrame, ids: list[str]) -> tuple[dict[str, Any], bytes]:
    """Make the header and the buffer of the index of these rows, which are shown by these ids.

    Besides the columns the header has the search's language and weights, the names of the flags (bit n of the column
    `flags`), the facets: [[label, [[flag, words]]]], and `titles`: what people call the values of `vendor` and
    `provider`. Unknown values are null.
    """
    texts = {name: _show(rows[name]) for name in TEXTS}
    columns: dict[str, Any] = {**texts, **{name: rows[column] for name, column in _NUMBERS.items()}}
    columns["released"] = (rows["release_date"] - pd.Timestamp(0)).dt.days
    columns["flags"] = _pack_flags(rows)
    columns["status"] = _show(rows["status"])
    columns["group"] = group_offers(rows)
    columns["own"] = rate_own_offers(rows["provider"].tolist(), rows["vendor"].tolist())
    columns["id"] = [None if one == f"{at}/{of}" else one for one, at, of in zip(ids, *_ends(texts), strict=True)]
    values, codes = {}, []
    for name, column in columns.items():
        places, distinct = pd.factorize(pd.Series(np.asarray(column, object), dtype=object))
        values[name] = [None, *(one.item() if isinstance(one, np.generic) else one for one in distinct)]
        codes.append(places + 1)
    width = 2 if max(map(len, values.values())) < 1 << 16 else 4
    header = {"columns": values, "rows": len(rows), "width": width, "language": describe_language()}
    served = dict(zip(texts["provider"], texts["provider_name"], strict=True))
    titles = {
        "vendor": [one and name_vendor(one) for one in values["vendor"]],
        "provider": [served.get(one) for one in values["provider"]],
    }
    return header | {"titles": titles, "weights": TEXTS, "flags": _FLAGS, "facets": _FACETS}, np.array(
        codes, f"<u{width}"
    ).tobytes()


def _ends(texts: dict[str, list[str | None]]) -> tuple[list[str | None], list[str | None]]:
    return texts["provider"], texts["model"]


def _show(column: Any) -> list[str | None]:
    return [None if pd.isna(value) else visible(str(value)) for value in column.astype(object)]


def _pack_flags(rows: pd.DataFrame) -> Any:
    flags = np.zeros(len(rows), "int64")
    for bit, name in enumerate(_FLAGS):
        mask = can_chat(rows) if name == "chat" else rows[name].fillna(False).to_numpy(bool)
        flags |= mask.astype("int64") << bit
    return flags
