import threading
import time

import pytest
from IPython.core.completer import provisionalcompleter
from shells import run, running_shell

import nbkit
from nbkit.notebook import completion
from nbkit.notebook.completion import match_models


@pytest.fixture
def shell(tmp_path):
    with running_shell(tmp_path) as shell:
        yield shell


def test_load_says_one_line_and_adds_the_catalog(shell, capsys):
    run(shell, "%load_ext nbkit")
    said = capsys.readouterr()
    assert said.out.startswith(f"nbkit: {len(nbkit.catalog):,} models of ")
    assert nbkit.catalog.attrs["date"] in said.out
    assert (said.out.count("\n"), said.err) == (1, "")
    assert shell.user_ns["catalog"] is nbkit.catalog
    assert "catalog" in shell.user_ns_hidden  # %who lists what the user made


@pytest.mark.parametrize("own", [[1, 2], None])
def test_a_name_of_the_user_is_not_overwritten(shell, capsys, own):
    shell.push({"catalog": own})
    run(shell, "%load_ext nbkit")
    assert shell.user_ns["catalog"] is own
    assert "nbkit.catalog" in capsys.readouterr().out
    run(shell, "%unload_ext nbkit")
    assert shell.user_ns["catalog"] is own


def test_a_catalog_that_was_imported_stays(shell, capsys):
    run(shell, "from nbkit import catalog")
    run(shell, "%load_ext nbkit")
    assert "yours" not in capsys.readouterr().out
    run(shell, "%unload_ext nbkit")
    assert shell.user_ns["catalog"] is nbkit.catalog


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
    run(shell, "%load_ext nbkit")
    run(shell, "%%compare demo/swift\nHello")
    assert any(thread.name == "nbkit-portal" for thread in threading.enumerate())
    run(shell, "%unload_ext nbkit")
    assert set(shell.user_ns) == before
    assert "NbkitMagics" not in shell.magics_manager.registry
    assert shell.run_cell_magic("chat", "", "x") == "mine"
    assert shell.find_cell_magic("compare") is None
    assert shell.find_line_magic("nbkit") is None
    assert match_models not in shell.Completer.custom_matchers
    assert not any(thread.name == "nbkit-portal" for thread in threading.enumerate())


def test_unload_leaves_what_was_assigned_since(shell):
    run(shell, "%load_ext nbkit")
    run(shell, "catalog = catalog.head(3)")
    run(shell, "%unload_ext nbkit")
    assert len(shell.user_ns["catalog"]) == 3


def completions(shell, text, cursor=None):
    with provisionalcompleter():
        return [found.text for found in shell.Completer.completions(text, cursor or len(text))]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("%%chat dem", "demo/swift"),
        ("%%chat demo/sa", "demo/sage"),
        ("%%chat DEMO/SA", "demo/sage"),
        ("%%chat tortoi", "demo/tortoise"),
        ("%%compare demo/swift demo/sch", "demo/scholar"),
        ("%%compare -o answers --temperature 0 demo/sch", "demo/scholar"),
        ("%%compare ", "demo/swift"),
    ],
)
def test_model_ids_are_completed(shell, text, first):
    run(shell, "%load_ext nbkit")
    assert completions(shell, text)[0] == first


def test_completion_goes_past_the_slash(shell):
    run(shell, "%load_ext nbkit")
    found = completions(shell, "%%compare demo/swift anthropic/claude-h")
    begin = [model.startswith("anthropic/claude-h") for model in found]
    assert begin[0]
    assert begin == sorted(begin, reverse=True)  # those that begin with it, then those that contain it
    assert all("anthropic/claude-h" in model for model in found)
    assert set(found) <= set(nbkit.catalog.index)


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


def test_completion_is_quick(shell):
    run(shell, "%load_ext nbkit")
    times = []
    for word in ("g", "gp", "google/ge", "claude-haiku", "nothing-like-that"):
        began = time.perf_counter()
        completion.complete(word)
        times.append(time.perf_counter() - began)
    assert sorted(times)[2] < 0.02
