"""What people pass to public names by mistake: each answers in one sentence, and nothing is sent."""

from __future__ import annotations

import select
import socket
import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import nbkit
from nbkit.arguments import check_arguments, read_model, read_models
from nbkit.errors import ArgumentError, ModelNotFoundError, NbkitError

ROW, FRAME = "a catalog row", "a frame of the catalog"
NUMBERS = {"a number", "a fraction"}


@pytest.fixture(scope="module")
def values():
    rows = nbkit.catalog
    return {
        "None": None,
        "a number": 5,
        "a fraction": 1.5,
        "NaN": float("nan"),
        "True": True,
        "bytes": b"x",
        "a list": ["x"],
        "a list of numbers": [1, 2],
        "a dict": {"a": 1},
        "a set": {"x"},
        "a function": len,
        "a class": int,
        "an object": object(),
        "NA": pd.NA,
        "a Series": pd.Series([1, 2]),
        "a DataFrame": pd.DataFrame({"prompt": ["a", "b"]}),
        "a Path": Path("nowhere.txt"),
        ROW: rows.loc["openai/gpt-6-luna"],
        FRAME: rows.iloc[:1],
    }


@pytest.fixture(scope="module")
def line():
    """A server that never answers: it shows who has connected."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture(scope="module")
def adapter(line):
    url = f"http://127.0.0.1:{line.getsockname()[1]}/v1"
    return nbkit.get_adapter("lab/m", base_url=url, api_key="k", protocol="openai-chat", max_retries=0)


def make(name, **more):
    """A call of `get_adapter` with one argument."""
    return lambda value, _: nbkit.get_adapter("openai/gpt-6-luna", **{name: value}, **more)


def option(name):
    return lambda value, adapter: adapter.execute("Hi", **{name: value})


def setting(name):
    def change(value, _):
        with nbkit.settings.override(**{name: value}):
            pass

    return change


def rows():
    return nbkit.catalog.iloc[:9]


def estimated(value, **more):
    return nbkit.estimate(rows(), **{"input_tokens": 1, "output_tokens": 1} | more | value)


# name -> (call, the kinds of values that it takes)
TABLE = {
    "get_adapter": (lambda value, _: nbkit.get_adapter(value), {ROW, FRAME}),
    "get_adapter api_key": (make("api_key"), {"None", "a list"}),
    "set_api_key": (lambda value, _: nbkit.get_adapter("openai/gpt-6-luna").set_api_key(value), {"None", "a list"}),
    "get_adapter base_url": (make("base_url"), {"None"}),
    "get_adapter protocol": (make("protocol"), {"None"}),
    "get_adapter max_retries": (make("max_retries"), {"None", "a number"}),
    "get_adapter cost": (make("cost"), {"None"}),
    "get_adapter same_as": (make("same_as"), {"None", ROW, FRAME}),
    "get_model": (lambda value, _: nbkit.get_model(value), {ROW, FRAME}),
    "get_supported_models": (lambda value, _: nbkit.AdapterFactory.get_supported_models(value), {"None"}),
    "register_provider": (lambda value, _: nbkit.AdapterFactory.register_provider(value), set()),
    "register_provider base_url": (
        lambda value, _: nbkit.AdapterFactory.register_provider({"id": "own", "models": {"m": {}}}, value),
        {"None", "a function", "a class"},
    ),
    "ModelFilter": (lambda value, _: nbkit.ModelFilter(provider=value), {"None"}),
    "ModelFilter vision": (lambda value, _: nbkit.ModelFilter(supports_vision=value), {"None", "True"}),
    "execute": (lambda value, adapter: adapter.execute(value), {"a list"}),
    "stream": (lambda value, adapter: list(adapter.stream(value)), {"a list"}),
    "run": (lambda value, adapter: adapter.run(value).completion, {"a list"}),
    "run tools": (
        lambda value, adapter: adapter.run("Hi", tools=value).completion,
        {"None", "a function", "a class", "a dict"},
    ),
    "run max_turns": (lambda value, adapter: adapter.run("Hi", max_turns=value).completion, {"a number"}),
    "run max_cost": (lambda value, adapter: adapter.run("Hi", max_cost=value).completion, {"None", *NUMBERS}),
    "option temperature": (option("temperature"), {"None", "True", *NUMBERS}),
    "option max_tokens": (option("max_tokens"), {"None", "True", "a number"}),
    "option stop": (option("stop"), {"None", "a list", "a set"}),
    "option user": (option("user"), {"None", "bytes"}),
    "option timeout": (option("timeout"), {"None", "True", *NUMBERS}),
    "option response_format": (option("response_format"), {"None", "a dict", "a class"}),
    "option extra_headers": (option("extra_headers"), {"None", "a dict"}),
    "option extra_body": (option("extra_body"), {"None", "a dict"}),
    "Chat": (lambda value, _: nbkit.Chat(value), {ROW, FRAME}),
    "Chat system": (lambda value, _: nbkit.Chat("demo/swift", system=value), {"None"}),
    "Chat max_turns": (lambda value, _: nbkit.Chat("demo/swift", max_turns=value), {"a number"}),
    "Chat()": (lambda value, adapter: nbkit.Chat(adapter)(value), {"a list"}),
    "compare": (nbkit.compare, {"a list", "None"}),
    "compare models": (lambda value, _: nbkit.compare("Hi", value), {ROW, FRAME, "a list", "a set"}),
    "compare a model": (lambda value, _: nbkit.compare("Hi", [value]), {ROW, FRAME}),
    "search": (lambda value, _: nbkit.search(value), set()),
    "search frame": (lambda value, _: nbkit.search("a", value), {"None", ROW, FRAME}),
    "search limit": (lambda value, _: nbkit.search("gpt", limit=value), {"None", "a number"}),
    "offers": (lambda value, _: nbkit.offers(value), {ROW, FRAME}),
    "estimate": (lambda value, _: nbkit.estimate(value, input_tokens=1, output_tokens=1), {ROW, FRAME}),
    "estimate input_tokens": (lambda value, _: estimated({"input_tokens": value}), {"a number", "None"}),
    "estimate output_tokens": (lambda value, _: estimated({"output_tokens": value}), {"a number"}),
    "estimate prompt": (lambda value, _: estimated({"prompt": value}, input_tokens=None), {"a list", "None"}),
    "changes": (lambda value, _: nbkit.changes(value), {FRAME}),
    "count_tokens": (lambda value, _: nbkit.count_tokens(value), {"a list"}),
    "count_tokens model": (lambda value, _: nbkit.count_tokens("Hi", value), {"None", ROW, FRAME}),
    "local_models": (lambda value, _: nbkit.local_models(value), {"None"}),
    "local_models seconds": (lambda value, _: nbkit.local_models(seconds=value), NUMBERS),
    "health": (lambda value, _: nbkit.health(value), {"None", "a list", "a set"}),
    "health seconds": (lambda value, _: nbkit.health([], seconds=value), NUMBERS),
    "trust": (lambda value, _: nbkit.trust(value), set()),
    "attach": (lambda value, _: nbkit.attach(value), set()),
    "Conversation": (lambda value, _: nbkit.Conversation(value), {"a list"}),
    "trimmed": (lambda value, _: nbkit.Conversation("Hi").trimmed(value), {"a number"}),
    "Turn": (lambda value, _: nbkit.Turn(role="user", content=value), {"bytes"}),
    "Turn role": (lambda value, _: nbkit.Turn(role=value, content="Hi"), set()),
    "ToolOutputTurn": (lambda value, _: nbkit.ToolOutputTurn(tool_call_id="c", content=value), {"bytes", "a list"}),
    "ToolsCallTurn": (lambda value, _: nbkit.ToolsCallTurn(tool_calls=value), set()),
    "Tool": (lambda value, _: nbkit.Tool(name="x", function=value), {"None", "a function", "a class"}),
    "Tool name": (lambda value, _: nbkit.Tool(name=value), {"bytes"}),
    "ExecuteOptions": (lambda value, _: nbkit.ExecuteOptions(seed=value), {"None", "True", "a number"}),
    "from_dict": (lambda value, _: nbkit.ChatCompletion.from_dict(value), set()),
    "show": (lambda value, _: nbkit.show(value), {ROW, FRAME, "a DataFrame", "a Series"}),
    "show columns": (lambda value, _: nbkit.show(rows(), value), {"None"}),
    "show limit": (lambda value, _: nbkit.show(rows(), limit=value), {"a number"}),
    "pick": (lambda value, _: nbkit.pick(value), {"None", ROW, FRAME}),
    "plots.workload": (lambda value, _: nbkit.plots.workload(value), set()),
    **{
        f"plots.{name}": (lambda value, _, name=name: getattr(nbkit.plots, name)(value), {ROW, FRAME})
        for name in ("prices", "history", "context", "capabilities", "conversation")
    },
    "plots.prices by": (lambda value, _: nbkit.plots.prices(rows(), by=value), set()),
    "plots.prices title": (lambda value, _: nbkit.plots.prices(rows(), value), {"None"}),
    "plots.conversation turns": (lambda value, _: nbkit.plots.conversation(rows(), value), {"a number"}),
    "plots.capabilities count": (lambda value, _: nbkit.plots.capabilities(rows(), count=value), {"a number"}),
}
TABLE |= {
    "BaseAdapter": (lambda value, _: nbkit.BaseAdapter(value), set()),
    "load_env": (lambda value, _: nbkit.load_env(value), {"None"}),
    "load_catalog": (lambda value, _: nbkit.load_catalog(value), {"None", "True"}),
    "settings offline": (setting("offline"), {"True"}),
    "settings http_timeout": (
        setting("http_timeout"),
        {"True", *NUMBERS},
    ),
    "settings cache_dir": (setting("cache_dir"), {"a Path"}),
}
FOREIGN = ("truth value", "has no attribute", "is ambiguous", "unhashable", "not subscriptable", "not iterable")
UNKNOWN = ("no column", "no model", "no such file", "unknown", "Errno", "missing", "Field required")


@contextmanager
def registered():
    with warnings.catch_warnings(), nbkit.settings.override():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("name", TABLE, ids=[f"A27: {name}" for name in TABLE])
def test_a_value_of_the_wrong_type_is_refused_in_one_sentence(name, values, adapter, line):
    call, takes = TABLE[name]
    for kind in values.keys() - takes:
        with registered(), pytest.raises((NbkitError, TypeError, ValueError)) as caught:
            call(values[kind], adapter)
        text = str(caught.value)
        assert "/nbkit/" in str(caught.traceback[-1].path), (kind, text)  # it was not raised by what nbkit calls
        assert "\n" not in text, (kind, text)
        assert not [phrase for phrase in FOREIGN if phrase in text], (kind, text)
        assert any(word in text for word in ("expected", "should", "takes", *UNKNOWN)), (kind, text)
        given = (", got ", repr(values[kind]), *UNKNOWN, "a field of a model", "pass text")
        assert any(word in text for word in given), (kind, text)
    assert not select.select([line], [], [], 0)[0]  # nobody has connected


@pytest.mark.parametrize("name", ["get_adapter", "get_model", "search frame", "offers", "estimate", "show", "pick",
    "count_tokens model", "Chat", "plots.prices", "plots.capabilities", "plots.conversation"])  # fmt: skip
@pytest.mark.parametrize("kind", [ROW, FRAME])
def test_a_row_of_the_catalog_is_a_model_or_a_frame(name, kind, values, adapter):
    TABLE[name][0](values[kind], adapter)


def test_what_names_a_model():
    row = nbkit.catalog.loc["openai/gpt-6-luna"]
    assert read_model("openai/gpt-6-luna") == read_model(row) == read_model(row.to_frame().T)
    assert read_model(pd.Series(["openai/gpt-6-luna"])) == read_model(pd.Index(["openai/gpt-6-luna"])) == row.name
    assert read_model(nbkit.get_model(row.name)) == row.name
    rows_of_search = nbkit.search("gpt luna", limit=3)
    assert read_models(rows_of_search) == read_models(rows_of_search.index) == list(rows_of_search.index)
    assert read_models(row) == read_models([row]) == read_models(iter([row.name])) == [row.name]
    assert read_models(rows_of_search.reset_index()["id"]) == list(rows_of_search.index)
    with pytest.raises(ArgumentError, match=r"a DataFrame of 8,\d+ rows would be asked at once"):
        nbkit.compare("Hi", nbkit.catalog)


def test_a_key_of_the_wrong_type_is_not_shown():
    for key in (123456, b"secret", {"secret"}, [b"secret"], []):
        problem = rf"api_key: expected text or a list of texts, got a value of type {type(key).__name__}$"
        with pytest.raises(ArgumentError, match=problem):
            nbkit.get_adapter("openai/gpt-6-luna", api_key=key)


@check_arguments
def order(dish: str, count: int = 1, price: float | None = None, *, hot: bool = False, extras: Sequence[str] = ()):
    return dish, count, price, hot, extras


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"count": 1e6}, ("soup", 1_000_000, None, False, ())),
        ({"count": np.int64(3)}, ("soup", 3, None, False, ())),
        ({"price": np.float32(0.5)}, ("soup", 1, 0.5, False, ())),
        ({"price": 2}, ("soup", 1, 2, False, ())),
        ({"price": Decimal("0.5")}, ("soup", 1, 0.5, False, ())),
        ({"hot": np.True_}, ("soup", 1, None, True, ())),
        ({"hot": 1, "extras": "salt"}, ("soup", 1, None, True, ["salt"])),
        ({"extras": pd.Series(["salt", "oil"])}, ("soup", 1, None, False, ["salt", "oil"])),
    ],
)
def test_arguments_are_read_where_their_meaning_is_clear(given, read):
    assert order("soup", **given) == read


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"count": True}, "order(): count: expected a whole number, got True"),
        ({"count": 1.5}, "order(): count: expected a whole number, got 1.5"),
        ({"count": "3"}, "order(): count: expected a whole number, got '3'"),
        ({"price": Decimal("NaN")}, "order(): price: expected a number, got a Decimal"),
        ({"price": 10**400}, "order(): price: expected a number, got an int"),
        ({"hot": "yes"}, "order(): hot: expected True or False, got 'yes'"),
        ({"extras": [1]}, "order(): extras: expected a list of text, got a list of 1 value"),
        ({"dish": "x" * 99, "count": []}, "order(): count: expected a whole number, got a list of 0 values"),
    ],
)
def test_arguments_are_refused_by_their_name(given, problem):
    with pytest.raises(ArgumentError) as caught:
        order(**{"dish": "soup"} | given)
    assert str(caught.value) == problem


def test_a_misspelled_argument_and_a_model_that_does_not_exist_are_what_they_were():
    with pytest.raises(TypeError, match="unknown argument 'cuont'; did you mean count"):
        order("soup", cuont=1)
    with pytest.raises(ModelNotFoundError, match="no model 'gpt-none-at-all'"):
        nbkit.get_adapter("gpt-none-at-all")


def test_a_table_may_have_columns_that_are_not_named_by_text(capsys):
    nbkit.show(pd.DataFrame([[17, 42]]))
    assert {"17", "42"} <= set(capsys.readouterr().out.split())
