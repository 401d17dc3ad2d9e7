"""Which models are asked, and what is kept of their answers."""

from dataclasses import dataclass

import nbkit
from nbkit.choose.kinds import can_chat

BUDGET = 0.01  # USD, of all calls together
PROMPT, MAX_TOKENS = "Say hello in one word.", 300


def choose_models():
    """The cheapest model of each provider that has a key, by the catalog's prices; models with tools come first."""
    rows = nbkit.catalog
    rows = rows[rows.has_key & rows.callable & ~rows.deprecated & rows.env.astype(bool) & can_chat(rows)]
    costs = nbkit.estimate(rows, input_tokens=20, output_tokens=MAX_TOKENS).dropna(subset="cost")
    best = costs.sort_values(["tools", "cost"], ascending=[False, True], kind="stable")
    return sorted(best.groupby("provider", sort=False).head(1).index)


@dataclass
class Row:
    provider: str
    model: str
    outcome: str = ""
    prompt: int | None = None
    answer: int | None = None
    cost: float | None = None
    seconds: float | None = None

    def note(self, completion):
        self.seconds, self.cost = completion.timing.total, completion.cost
        if completion.usage:
            self.prompt, self.answer = completion.usage.prompt_tokens, completion.usage.completion_tokens
        whole = completion.usage and (completion.text or completion.finish_reason == "length")
        self.outcome = "ok" if whole else "no text or no token counts"

    def cells(self):
        cost = "unknown" if self.cost is None else f"{self.cost:.6f}"
        seconds = "" if self.seconds is None else f"{self.seconds:.1f}"
        counts = ("" if count is None else str(count) for count in (self.prompt, self.answer))
        return self.provider, self.model, self.outcome, *counts, cost, seconds
