import pickle

import pytest

from nbkit import errors

EVERY = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.NbkitError)]


def test_an_error_says_who_what_and_when():
    error = errors.RateLimitError(
        "Slow down", provider="openai", model="gpt-6-luna", status=429, code="rate_limit_exceeded", request_id="req_1",
        retry_after=2.5, attempts=3,
    )  # fmt: skip
    assert str(error) == (
        "openai/gpt-6-luna: Slow down"
        " (HTTP 429, code rate_limit_exceeded, request req_1, retry after 2.5 s, 3 attempts)"
    )


@pytest.mark.parametrize("kind", [kind for kind in EVERY if issubclass(kind, errors.AdapterError)])
def test_call_errors_survive_pickling_with_their_context(kind):
    error = kind("No", provider="p", model="m", status=400, partial=None, body="{}")
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (type(copy), vars(copy), str(copy)) == (kind, vars(error), str(error))


@pytest.mark.parametrize(
    "error",
    [
        errors.ApiKeyNotFoundError("openai", ("OPENAI_API_KEY",)),
        errors.ModelNotFoundError("sonet", ("anthropic/claude-sonnet-5-5",)),
        errors.ModelNotFoundError("glm", why="2 providers serve 'glm'"),
        errors.ConfigError("NBKIT_LIVE: no"),
    ],
)
def test_other_errors_survive_pickling(error):
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (type(copy), vars(copy), str(copy)) == (type(error), vars(error), str(error))


def test_the_tree_in_the_docstring_is_the_tree():
    drawn = [line.replace("│", " ").split() for line in (errors.__doc__ or "").splitlines()]
    names = {word for words in drawn for word in words[:2] if word.endswith("Error")}
    assert names == {kind.__name__ for kind in EVERY}
