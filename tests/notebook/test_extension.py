import threading

import pytest
from IPython.core.completer import provisionalcompleter
from shells import run, running_shell

import nbkit
from nbkit.billing.entry import running_cell
from nbkit.billing.total import TOTAL
from nbkit.notebook import completion
from nbkit.notebook.completion import match_models
from nbkit.settings import override


@pytest.fixture
def shell(tmp_path):
    with running_shell(tmp_path) as shell:
        yield shell


def test_load_prints_one_line_and_adds_the_catalog(shell, capsys):
    run(shell, "%load_ext nbkit")
    printed = capsys.readouterr()
    assert printed.out.startswith(f"nbkit: {len(nbkit.catalog):,} models of ")
    assert nbkit.catalog.attrs["date"] in printed.out
    assert (printed.out.count("\n"), printed.err) == (1, "")
    assert shell.user_ns["catalog"] is nbkit.catalog
    assert "catalog" in shell.user_ns_hidden  # %who lists what the user made


@pytest.mark.parametrize("own", [[1, 2], None])
def test_a_name_of_the_user_is_not_overwritten(shell, capsys, own):
    shell.push({"catalog": own})
    run(shell, "%load_ext nbkit")
    assert shell.user_ns["catalog"] is own
    assert "nbkit.catalog (your own variable catalog is kept)" in capsys.readouterr().out
    run(shell, "%unload_ext nbkit")
    assert shell.user_ns["catalog"] is own


def test_a_catalog_that_was_imported_stays(shell, capsys):
    run(shell, "from nbkit import catalog")
    run(shell, "%load_ext nbkit")
    assert "your own" not in capsys.readouterr().out
    run(shell, "%unload_ext nbkit")
    assert shell.user_ns["catalog"] is nbkit.catalog


@pytest.mark.parametrize("load", ["%load_ext nbkit", "%load_ext nbkit\nfrom nbkit import catalog"])
def test_the_catalog_is_the_one_in_force_in_each_cell(shell, load, monkeypatch, unregistered):
    """C2: a key that is set, a model that is registered; and a frame that the user has added to stays."""
    monkeypatch.setenv("GROQ_API_KEY", "")  # whatever the cells set is taken back in the end
    for line in load.splitlines():
        run(shell, line)
    run(shell, "before = catalog['has_key'].sum()")
    run(shell, "import os; os.environ['GROQ_API_KEY'] = 'k'; old = catalog")
    run(shell, "after = catalog['has_key'].sum()")
    assert shell.user_ns["after"] == shell.user_ns["before"] + (nbkit.catalog["provider"] == "groq").sum()
    assert shell.user_ns["catalog"] is nbkit.catalog is not shell.user_ns["old"]
    run(shell, "catalog['mine'] = 1; catalog = catalog")
    monkeypatch.delenv("GROQ_API_KEY")
    run(shell, "assert 'mine' in catalog")
    assert "mine" in shell.user_ns["catalog"]
    assert "mine" not in nbkit.catalog


def test_load_twice_adds_nothing_twice(shell):
    for _ in range(2):
        nbkit.load_ipython_extension(shell)
    assert shell.Completer.custom_matchers.count(match_models) == 1
    nbkit.unload_ipython_extension(shell)
    assert match_models not in shell.Completer.custom_matchers
    assert shell.find_cell_magic("chat") is None


def test_reload_keeps_chats(shell):
    run(shell, "%load_ext nbkit")
    run(shell, "%%chat demo/swift -o before --new\nHello")
    run(shell, "%reload_ext nbkit")
    run(shell, "%%chat demo/swift -o after\nAgain")
    assert shell.user_ns["before"] is shell.user_ns["after"]
    assert len(shell.user_ns["after"].conversation) == 4
    assert shell.Completer.custom_matchers.count(match_models) == 1


def test_unload_takes_everything_back(shell):
    def mine(line, cell):
        return "mine"

    shell.register_magic_function(mine, "cell", "chat")
    before = set(shell.user_ns)
    callbacks = {event: [*functions] for event, functions in shell.events.callbacks.items()}
    transforms = [*shell.input_transformers_cleanup]
    run(shell, "%load_ext nbkit")
    assert shell.check_complete("%%chat demo/swift\n")[0] == "incomplete"  # a console waits for the prompt
    run(shell, "%%compare demo/swift\nHello")
    assert any(thread.name == "nbkit-portal" for thread in threading.enumerate())
    run(shell, "%unload_ext nbkit")
    assert set(shell.user_ns) == before
    assert shell.events.callbacks == callbacks
    assert shell.input_transformers_cleanup == transforms
    assert running_cell() is None
    assert "NbkitMagics" not in shell.magics_manager.registry
    assert shell.run_cell_magic("chat", "", "x") == "mine"
    assert shell.find_cell_magic("compare") is None
    assert shell.find_line_magic("nbkit") is None
    assert match_models not in shell.Completer.custom_matchers
    assert not any(thread.name == "nbkit-portal" for thread in threading.enumerate())


CALL = "import nbkit; nbkit.get_adapter('demo/swift').execute('Hello')"


def calls_by_cell():
    return {cell: one.calls for cell, one in TOTAL.by_cell().items()}


def test_calls_are_booked_to_the_cell_that_makes_them(shell):
    before = calls_by_cell()
    shell.run_cell(f"%load_ext nbkit\n{CALL}", store_history=True, cell_id="loading").raise_error()
    shell.run_cell(f"{CALL}\n{CALL}", store_history=True, cell_id="twice").raise_error()
    number = str(shell.execution_count)
    shell.run_cell(CALL, store_history=True).raise_error()  # a console sends no id
    nbkit.get_adapter("demo/swift").execute("Hello")  # in no cell
    assert running_cell() is None
    after = calls_by_cell()
    new = {cell: calls - before.get(cell, 0) for cell, calls in after.items()}
    assert {cell: calls for cell, calls in new.items() if calls} == {"loading": 1, "twice": 2, number: 1, None: 1}


def test_calls_of_cells_that_a_cell_runs_are_its_own(shell):
    run(shell, "%load_ext nbkit")
    inner = "shell.run_cell('cells.append(running_cell())')"
    shell.push({"shell": shell, "cells": [], "running_cell": running_cell})
    shell.run_cell(f"{inner}; cells.append(running_cell())", store_history=True, cell_id="outer").raise_error()
    assert shell.user_ns["cells"] == ["outer", "outer"]
    assert running_cell() is None


def test_a_cell_that_fails_is_over(shell):
    run(shell, "%load_ext nbkit")
    assert shell.run_cell("1 / 0", cell_id="failing").error_in_exec
    assert shell.run_cell("1 +", cell_id="broken").error_before_exec
    assert running_cell() is None


def test_unload_leaves_what_was_assigned_since(shell):
    run(shell, "%load_ext nbkit")
    run(shell, "catalog = catalog.head(3)")
    run(shell, "%unload_ext nbkit")
    assert len(shell.user_ns["catalog"]) == 3


def completions(shell, text, cursor=None):
    with provisionalcompleter():
        return [match.text for match in shell.Completer.completions(text, cursor or len(text))]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("%%chat dem", "demo/sage"),  # the newest first, as in a search
        ("%%chat demo/sa", "demo/sage"),
        ("%%chat DEMO/SA", "demo/sage"),
        ("%%chat tortoi", "demo/tortoise"),
        ("%%compare demo/swift demo/sch", "demo/scholar"),
        ("%%compare -o answers --temperature 0 demo/sch", "demo/scholar"),
        ("%%compare ", "demo/swift"),
        ("%%compare demo/swift --te", "--temperature"),
        ("%%chat --new --s", "--system"),
    ],
)
def test_model_ids_are_completed(shell, text, first):
    run(shell, "%load_ext nbkit")
    assert completions(shell, text)[0] == first


def test_completion_goes_past_the_slash(shell):
    run(shell, "%load_ext nbkit")
    models = completions(shell, "%%compare demo/swift anthropic/claude-h")
    begin = [model.startswith("anthropic/claude-h") for model in models]
    assert begin[0]
    assert begin == sorted(begin, reverse=True)  # those that begin with it, then those that hold it
    assert set(models) == {model for model in nbkit.catalog.index if "anthropic/claude-h" in model}


@pytest.mark.parametrize(
    "text", ["%%chat demo/swift -o demo", "%%chat --max-tokens dem", "%%chat demo/swift\ndemo", "demo"]
)
def test_other_words_are_not_completed_with_models(shell, text):
    run(shell, "%load_ext nbkit")
    assert not any(model.startswith("demo/") for model in completions(shell, text))


def test_providers_with_a_key_come_first(monkeypatch):
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    assert not completion.complete("lama-3")[0].startswith("groq/")
    monkeypatch.setenv("GROQ_API_KEY", "canary")
    assert completion.complete("lama-3")[0].startswith("groq/")


@pytest.mark.parametrize("word", ["openai/gpt", "anthropic/claude-sonnet-4-5-2", "google/gem", "mistral/m"])
def test_ids_that_begin_with_the_word_come_first(word):
    models = completion.complete(word)
    begin = {model for model in nbkit.catalog.index if model.startswith(word)}
    assert begin
    assert begin >= set(models[: len(begin)])


@pytest.mark.parametrize("word", ["sonet", "claude-haiku", "gpt-5-mini", "qwen3-coder", "llama-4-skout", "grok-4-fast"])
def test_the_order_of_whole_words_is_that_of_search(word):
    models = completion.complete(word)
    ranked = list(nbkit.search(word, limit=None).index)
    assert ranked
    assert models[: len(ranked)] == ranked[: len(models)]


def test_letters_in_the_middle_of_an_id_will_do():
    assert completion.complete("claude-sonnet-4-202505")[0].endswith("claude-sonnet-4-20250514")


def test_a_catalog_that_cannot_be_renewed_is_words_in_the_line(shell, capsys, tmp_path, monkeypatch):
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    with override(offline=False, cache_dir=tmp_path, catalog_url="https://nobody.invalid/api.json", live=True):
        run(shell, "%load_ext nbkit")
        text, stderr = capsys.readouterr()
    assert stderr == ""
    assert text.count("\n") == 1
    assert "Errno" not in text
    assert "days old: nobody.invalid could not be reached)" in text
