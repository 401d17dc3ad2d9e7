"""The catalog: until it is ready, a filter, and the estimate of a workload for all models."""

from __future__ import annotations

from collections.abc import Iterator

import nbkit
from benchmarks.runner import Fresh, Row, Timed, compare

_READY = Fresh("import nbkit; nbkit.catalog", setup="import pandas")
_FILTER = Fresh(
    """
spent = []
for _ in range(20):
    before = time.process_time()
    catalog[catalog.vision]
    spent.append(time.process_time() - before)
print(min(spent))
raise SystemExit
""",
    setup="import nbkit; catalog = nbkit.catalog",
)


def measure(rounds: int) -> Iterator[Row]:
    """Measure against the import of pandas, which the catalog needs, and against a computation in pandas."""
    pandas = "import pandas"
    yield compare("nbkit.catalog, after import pandas", _READY, pandas, Fresh(pandas), rounds, aim="0.22")
    yield compare("catalog[catalog.vision]", _FILTER, pandas, Fresh(pandas), rounds, aim="0.0054")
    frame = nbkit.load_catalog()

    def multiply() -> object:
        cost = (frame.input_cost * 50_000 + frame.output_cost * 2_000) / 1e6
        return frame.assign(cost=cost).sort_values("cost")

    def estimate() -> object:
        return nbkit.estimate(frame, input_tokens=50_000, output_tokens=2_000)

    baseline = "two columns x tokens, sorted, in pandas"
    yield compare("nbkit.estimate, all models", Timed(estimate), baseline, Timed(multiply), rounds)
