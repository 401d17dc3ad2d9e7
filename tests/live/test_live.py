"""One call to each provider that has a key in the environment, its cheapest model; all together within a cent."""

import pytest
from live_models import MAX_TOKENS, PROMPT

import nbkit
from nbkit import errors

pytestmark = [pytest.mark.live, pytest.mark.filterwarnings("default")]


def test_the_cheapest_model_of_a_provider_answers(live_model, row, budget):
    adapter = nbkit.get_adapter(live_model)
    try:
        completion = adapter.execute(PROMPT, max_tokens=MAX_TOKENS)
    except errors.NbkitError as error:
        row.outcome = f"{type(error).__name__}: {error}"[:100]
    else:
        row.note(completion)
    if row.outcome != "ok":
        pytest.fail(row.outcome, pytrace=False)  # no traceback: `--showlocals` would show what calls hold
