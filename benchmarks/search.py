"""Search and the completion of ids: the median query and the slowest."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import nbkit
from benchmarks.runner import NBKIT, Row, Timed, compare
from nbkit.notebook.completion import complete

_QUERIES = """
sonnet, sonet 5, sonet 5 vision cheap, opus, claude haiku 4.5, gpt 5 mini, gpt5, gpt-5.6 luna, openai reasoning, o3,
o4 mini, gemini flash, gemini 3 pro 1m, gemma, llama 70b, llama 70b on bedrock, llama scout, qwen3 coder,
qwen3 coder cheap, qwen vl, deepseek v4, deepseek reasoning, kimi thinking, glm 5, mistral large, codestral, command a,
grok 4 fast, nova pro, phi, vision tools 200k under $1 cheap, free tools, image generation, audio, pdf under $3,
json 1m new, no reasoning fast, embedding, open weights cheap, a model that nobody makes
"""
_WORDS = "g, gp, gpt-5, google/ge, anthropic/claude-h, claude-haiku, sonet, llama-4, nothing-like-it"


def measure(rounds: int) -> Iterator[Row]:
    """Measure each query against what pandas and Python offer for a single word."""
    frame = nbkit.load_catalog()
    names, ids = frame.name.str.lower(), list(frame.index)

    def search(query: str) -> object:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # where nothing fits
            return nbkit.search(query)

    def find_word(query: str) -> object:
        return frame[names.str.contains(query.partition(" ")[0], regex=False)]

    def find_part(word: str) -> object:
        return [one for one in ids if word in one]

    queries, pandas = _QUERIES.replace("\n", " ").strip().split(", "), "names.str.contains(first word)"
    yield from _measure_all("search", search, pandas, find_word, queries, rounds)
    yield from _measure_all(
        "completion", complete, "[id for id in ids if word in id]", find_part, _WORDS.split(", "), rounds
    )


def _measure_all(
    what: str,
    work: Callable[[str], object],
    baseline: str,
    other: Callable[[str], object],
    queries: Sequence[str],
    rounds: int,
) -> Iterator[Row]:
    """Measure all queries; yield the row of the median one and of the slowest."""
    rows = [
        compare(repr(query), Timed(partial(work, query)), baseline, Timed(partial(other, query)), rounds, aim="15 ms")
        for query in queries
    ]
    rows.sort(key=lambda row: row.values[NBKIT].amount)
    for name, row in (("median", rows[len(rows) // 2]), ("slowest", rows[-1])):
        yield replace(row, what=f"{what}, {name} of {len(rows)}: {row.what}")
