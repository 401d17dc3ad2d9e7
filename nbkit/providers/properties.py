"""Properties of a model beside its abilities: open, Chinese, made to write what others refuse; and how its provider
treats data.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from nbkit.modelsdev.snapshot import Factor, Snapshot
from nbkit.providers.tables import all_model_overrides, all_provider_defaults
from nbkit.providers.vendors import find_vendors, is_chinese


def find_property(snapshot: Snapshot, name: str) -> Factor:
    """Find a property of every model of a snapshot, by its field of ModelProperties; in the order of the rows."""
    defaults, providers = all_provider_defaults(), snapshot.factor("provider")
    factor = find_vendors(snapshot).map(is_chinese) if name == "chinese" else None
    listed = [defaults.get(provider.id, {}).get("properties", {}).get(name) for provider in providers.values]
    if factor is None:
        usual = False if name == "is_nsfw" else None  # as in ModelProperties
        factor = Factor([usual if value is None else value for value in listed], providers.codes)
    elif any(value is not None for value in listed):
        rows = zip(factor.rows, providers.codes, strict=True)
        factor = Factor.of(value if listed[code] is None else listed[code] for value, code in rows)
    values, codes = list(factor.values), list(factor.codes)
    for pattern, row in all_model_overrides():
        if name in row.get("properties", {}):
            values.append(row["properties"][name])
            for place in _find_matches(pattern, snapshot.ids):
                codes[place] = len(values) - 1
    return Factor(values, codes)


def _find_matches(pattern: str, ids: list[str]) -> list[int]:
    """Find the places of the ids that match a pattern; most do not hold the longest text in it."""
    literal = max(re.split(r"[*?]|\[.*?\]", pattern), key=len)
    held = [place for place, model_id in enumerate(ids) if literal in model_id]
    return [place for place in held if fnmatchcase(ids[place], pattern)]
