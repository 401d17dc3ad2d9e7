import base64
import os
import re
import subprocess
import sys
from decimal import Decimal

import pytest
from IPython.core.error import UsageError
from shells import error_of, run, running_shell

import nbkit
from nbkit.billing.money import format_usd
from nbkit.billing.total import TOTAL, Sum
from nbkit.notebook import magics
from nbkit.settings import override, settings

DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="  # a PNG


@pytest.fixture
def shell(tmp_path, capsys):
    with running_shell(tmp_path) as shell:
        run(shell, "%load_ext nbkit")
        capsys.readouterr()
        magics._sessions.clear()
        yield shell


def prompts(chat):
    """The turns that are not answers: role and text."""
    return [(turn.role, turn.text) for turn in chat.conversation if turn.role != "assistant"]


def test_chat_goes_on_from_cell_to_cell(shell):
    run(shell, "%%chat demo/swift -o first\nfirst question")
    run(shell, "%%chat demo/swift -o second\nsecond question")
    chat = shell.user_ns["second"]
    assert chat is shell.user_ns["first"]
    assert [turn.role for turn in chat.conversation] == ["user", "assistant"] * 2
    assert prompts(chat) == [("user", "first question"), ("user", "second question")]


def test_keys_are_read_from_an_env_file_and_never_printed(shell, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    path = tmp_path / "mine.env"
    path.write_text("GROQ_API_KEY=gsk-canary\nHTTPS_PROXY=https://evil.test\n")
    path.chmod(0o600)
    with override():
        run(shell, f"%nbkit env '{path}'")
        printed = capsys.readouterr().out
        assert printed.endswith("took GROQ_API_KEY; ignored HTTPS_PROXY\n")
        assert "canary" not in printed
    assert "load_env: no such file" in str(error_of(shell, "%nbkit env nowhere.env"))


def test_models_whose_calls_fail_are_listed(shell, capsys):
    with override():
        with pytest.raises(nbkit.errors.TransportError):
            nbkit.get_adapter("shed/llama", base_url="http://127.0.0.1:9/v1", max_retries=0).execute("Hi")
        run(shell, "%nbkit")
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("failing: shed/llama, circuit closed (1 failure, the last: could not connect to 127.0.0.1:9")


def test_a_comment_behind_a_magic_is_one_and_a_number_sign_in_a_word_or_in_quotes_is_not(shell, capsys):
    total = printed(shell, capsys, "%nbkit total")
    assert printed(shell, capsys, "%nbkit total  # what it's been so far") == total
    shell.run_cell("%%chat demo/swift --system '# Be brief' -o chat  # the \"first\" one\nHi #1").raise_error()
    system, prompt, _ = shell.user_ns["chat"].conversation
    assert (system.text, prompt.text) == ("# Be brief", "Hi #1")
    assert "no model 'demo/swift#2'" in str(error_of(shell, "%%compare demo/swift#2\nHi"))


def test_limits_are_listed_and_set_by_a_line(shell, capsys):
    with override():
        run(shell, "%nbkit limit")
        assert capsys.readouterr().out.startswith("no server is limited now")
        run(shell, "%nbkit limit demo 500rpm 4")
        assert capsys.readouterr().out == "demo: 500 requests a minute, 4 at once\n"
        run(shell, "%%chat demo/swift --new\nHi")
        run(shell, "%nbkit")
        assert ": 500 requests a minute, 4 at once, 0 of 4 under way\n" in capsys.readouterr().out
        run(shell, "%nbkit limit demo off")
        assert capsys.readouterr().out == "demo: limited by its answers only\n"
        with pytest.raises(UsageError, match="expected requests and tokens a minute and calls at once, as in"):
            run(shell, "%nbkit limit demo much")


def test_answers_are_kept_and_replayed_by_a_line(shell, tmp_path, capsys):
    path, again = tmp_path / "demo.replay.jsonl", "%%chat demo/swift --new -o chat\nHi"
    with override(replay="off"):
        run(shell, "%nbkit replay")
        assert capsys.readouterr().out == "replay: off\n"
        run(shell, f"%nbkit replay '{path}'")
        assert capsys.readouterr().out == "replay: demo.replay.jsonl, auto: 0 answers\n"
        run(shell, again)
        cost = shell.user_ns["chat"].cost
        run(shell, f"%nbkit replay '{path}' only")
        assert capsys.readouterr().out.endswith("replay: demo.replay.jsonl, only: 1 answer\n")
        run(shell, again)
        assert f"cost replayed, $0, saved {format_usd(cost)}" in capsys.readouterr().out
        assert shell.user_ns["chat"].cost == 0
        run(shell, "%cost")
        assert f"replayed, saved {format_usd(cost)})" in capsys.readouterr().out
        for words in ("only refresh", "a.jsonl b.jsonl"):
            with pytest.raises(UsageError, match="replay: expected one of auto, only, refresh, off, and a file"):
                run(shell, f"%nbkit replay {words}")
        with pytest.raises(UsageError, match=r"answers\.txt"):
            run(shell, "%nbkit replay answers.txt")
        run(shell, "%nbkit replay off")
        assert capsys.readouterr().out == "replay: off\n"


@pytest.mark.parametrize("option", ["--new", "--system 'Be brief'"])
def test_chat_begins_again(shell, option):
    run(shell, "%%chat demo/swift\nfirst question")
    run(shell, f"%%chat demo/swift {option} -o chat\nsecond question")
    assert ("user", "first question") not in prompts(shell.user_ns["chat"])


def test_chat_repeating_its_system_prompt_goes_on(shell):
    for question in ("one", "two"):
        run(shell, f'%%chat demo/swift --system "Answer in one word" -o chat\n{question}')
    assert prompts(shell.user_ns["chat"]) == [("system", "Answer in one word"), ("user", "one"), ("user", "two")]


def test_chat_with_other_options_goes_on(shell):
    run(shell, "%%chat demo/swift --system Brief -o first\nfirst")
    spent = shell.user_ns["first"].cost
    run(shell, "%%chat demo/swift --max-tokens 5 -o chat\nsecond")
    chat = shell.user_ns["chat"]
    assert chat.cost > spent  # the chat has one total
    assert prompts(chat) == [("system", "Brief"), ("user", "first"), ("user", "second")]
    assert chat.completion.finish_reason == "length"
    run(shell, "%%chat demo/swift --system Brief -o same\nthird")
    assert shell.user_ns["same"] is chat
    assert chat.completion.finish_reason == "length"


def test_chats_are_kept_by_model(shell):
    run(shell, "%%chat demo/swift\nto swift")
    run(shell, "%%chat demo/scholar -o scholar\nto scholar")
    assert prompts(shell.user_ns["scholar"]) == [("user", "to scholar")]


def test_compare_asks_all(shell):
    run(shell, "%%compare demo/swift -o answers demo/brittle --max-tokens 9\nExplain recursion")
    answers = shell.user_ns["answers"].completions
    assert list(answers) == ["demo/swift", "demo/brittle"]
    assert {answer.usage.completion_tokens for answer in answers.values()} == {9}


def test_a_blind_comparison_takes_a_list_of_prompts(shell):
    shell.push({"prompts": ["Hi", "Ho"]})
    run(shell, "%%compare demo/swift demo/sage --blind -o answers\n{{prompts}}")
    assert shell.user_ns["answers"].to_frame()["prompt"].tolist() == ["Hi", "Hi", "Ho", "Ho"]


def test_compare_is_the_result_of_its_cell(shell):
    run(shell, "%%compare demo/swift\nHello")
    comparison = shell.run_cell_magic("compare", "demo/swift", "Hello")
    assert comparison.completions["demo/swift"].text


@pytest.mark.parametrize("models", ["{{models}}", "{{ models }}", "demo/{{name}} {{second}}", '"{{models}}"'])
def test_models_from_variables(shell, models):
    shell.push({"models": ["demo/swift", "demo/brittle"], "name": "swift", "second": "demo/brittle"})
    run(shell, f"%%compare {models} -o answers\nHello")
    assert list(shell.user_ns["answers"].completions) == ["demo/swift", "demo/brittle"]


@pytest.mark.parametrize(
    ("cell", "prompt"),
    [
        ("Say {{x}} and {{ x }}", "Say value and value"),
        ("{{number}}", "42"),
        ("{{braces}}", "{{x}} {0} {unclosed"),  # a value is not looked through again
        ("d = {'foo': 1}; f'{x}' $x {} {{}} {{x.y}} {{1 + 1}}", "d = {'foo': 1}; f'{x}' $x {} {{}} {{x.y}} {{1 + 1}}"),
        ("  indented\n\nlines\n", "indented\n\nlines"),
    ],
)
def test_prompt(shell, cell, prompt):
    shell.push({"x": "value", "number": 42, "braces": "{{x}} {0} {unclosed"})
    run(shell, f"%%compare demo/swift -o answers\n{cell}")
    assert shell.user_ns["answers"].conversations["demo/swift"][0].text == prompt


def test_values_are_not_options(shell):
    shell.push({"text": "--new -o 'stolen"})
    run(shell, "%%chat demo/swift --system {{text}} -o chat\nHello")
    assert prompts(shell.user_ns["chat"])[0] == ("system", "--new -o 'stolen")
    assert "stolen" not in shell.user_ns


@pytest.mark.parametrize(
    "cell", ["%%chat demo/sage -o it {}\nLook", "%%compare demo/sage -o it --system Brief {}\nLook"]
)
def test_images_go_with_the_prompt(shell, tmp_path, cell):
    picture = base64.b64decode(DOT)
    (tmp_path / "a dot.png").write_bytes(picture)
    shell.push({"name": "a dot", "dot": picture})
    run(shell, cell.format(f"--image '{tmp_path}/{{{{name}}}}.png' --image {{{{dot}}}}"))
    it = shell.user_ns["it"]
    turns = it.conversation if "%%chat" in cell else it.conversations["demo/sage"]
    question = next(turn for turn in turns if turn.role == "user")
    assert question.text == "Look"
    assert [part.type for part in question.content] == ["text", "image_url", "image_url"]
    assert all(part.image_url.url.endswith(DOT) for part in question.content[1:])
    assert [turn.text for turn in turns if turn.role == "system"] == ([] if "%%chat" in cell else ["Brief"])


def test_an_image_joins_a_chat_whose_options_change(shell):
    shell.push({"dot": base64.b64decode(DOT)})
    run(shell, "%%chat demo/sage\nfirst")
    run(shell, "%%chat demo/sage --max-tokens 5 --image {{dot}} -o chat\nsecond")
    assert prompts(shell.user_ns["chat"]) == [("user", "first"), ("user", "second")]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("%%chat demo/swift --image nowhere.png\nHello", "no such file: .*nowhere.png"),
        ("%%compare demo/swift --image {{nobody}}\nHello", r"\{\{nobody\}\}: the variable 'nobody' is not defined"),
        ("%%compare demo/swift --image {{two}}\nHello", "expected a string, .* got a list of 2 values"),
        ("%%chat demo/swift\n{{nobody}}", r"\{\{nobody\}\}.*'nobody'"),
        ("%%compare demo/swift {{nobody}}\nHello", r"\{\{nobody\}\}"),
        ("%%compare {{get_ipython}}\nHello", "expected a model id"),
        ("%%chat {{two}}\nHello", "takes one model, .* holds 2"),
        ("%%chat {{none}}\nHello", "takes one model, .* holds 0"),
        ("%%compare demo/swift nobody/nothing\nHello", "nobody/nothing"),
        ("%%compare\nHello", "model"),
        ("%%compare demo/swift --bad\nHello", "--bad"),
        ("%%compare demo/swift --max-tokens many\nHello", "many"),
        ("%%compare demo/swift --temperature -1\nHello", "temperature"),
        ("%%chat demo/swift --system 'half\nHello", "(?i)quotation"),
        ("%%chat demo/swift   \n  \n", "empty"),
        ("%%chat demo/swift", "the cell is empty: write the prompt on the lines below the first"),
        ("%%compare demo/swift demo/sage\n", "the cell is empty"),
        ("%%compare", "arguments are required: model"),
        ("%%chat demo/swift -o two.words\nHello", "-o/--out: expected the name of a variable, got 'two.words'"),
        ("%%compare demo/swift --out class\nHello", "-o/--out: expected the name of a variable, got 'class'"),
        ("%%chat demo/swift --temprature 3\nHello", "unknown option --temprature; did you mean --temperature"),
        ("%%compare nope-nope\nHello", "no model 'nope-nope'; %models WORDS lists models"),
        ("%models", "say what you look for, .*: %models cheap vision"),
        ("%nbkit everything", "unknown option 'everything'"),
    ],
)
def test_mistakes_are_explained_in_one_line_and_nothing_is_sent(shell, cell, message):
    shell.push({"two": ["demo/swift", "demo/sage"], "none": []})
    before = TOTAL.total().calls
    error = error_of(shell, cell)
    assert type(error) is UsageError
    assert re.search(message, str(error))
    assert "\n" not in str(error)
    assert TOTAL.total().calls == before


def printed(shell, capsys, cell):
    capsys.readouterr()
    run(shell, cell)
    return capsys.readouterr().out


def test_total_counts_every_paid_call(shell, capsys):
    before = TOTAL.total()
    run(shell, "%%compare demo/swift demo/brittle\nHello")
    run(shell, "%%chat demo/swift\nHello")
    run(shell, "import nbkit; adapter = nbkit.get_adapter('demo/sage'); answer = adapter.execute('Hello')")
    run(shell, "with adapter.stream('Hello') as stream: next(iter(stream))")
    run(shell, "awaited = await adapter.aexecute('Hello')")
    for cell in ("%nbkit total", "%nbkit"):
        assert f"this notebook: {TOTAL.total()} for {before.calls + 6:,} calls\n" in printed(shell, capsys, cell)
    assert TOTAL.total().usd > before.usd


def test_total_has_a_line_for_each_model_the_dearest_first(shell, capsys):
    run(shell, "%%compare demo/swift demo/sage demo/brittle\nHello")
    first, *models = printed(shell, capsys, "%nbkit total").splitlines()
    assert first.startswith("this notebook: $")
    by_model = TOTAL.by_model()
    names = [line.split()[0] for line in models]
    assert set(names) == set(by_model) >= {"demo/swift", "demo/sage", "demo/brittle"}
    assert [by_model[name].usd for name in names] == sorted((one.usd for one in by_model.values()), reverse=True)
    for line in models:
        name, facts = line.split(maxsplit=1)
        cost, calls = facts.rsplit("  ", 1)
        assert (cost.strip(), int(calls.split()[0].replace(",", ""))) == (str(by_model[name]), by_model[name].calls)


def test_status(shell, capsys, monkeypatch):
    monkeypatch.setenv("GROQ_API_KEY", "canary-of-groq")
    text = printed(shell, capsys, "%nbkit")
    assert re.search(r"[\d,]+ models of \d+ providers", text)
    assert "offline" in text  # why the catalog is not fresher
    assert re.search(r"key: \d+ \(.*\bgroq\b", text)
    assert "canary" not in text


def test_magics_have_help_and_take_no_key(shell):
    for name in ("chat", "compare"):
        text = shell.find_cell_magic(name).__doc__
        assert "--out" in text
        assert f"  %%{name} [-o" in text or f"  %%{name} [--" in text
        assert text.count(f"%%{name} ") >= 3  # the usage and two examples
        assert "key" not in text


def test_nest_on_lets_cells_call_asyncio_run():
    nested = "asyncio.run(asyncio.sleep(0, 'inner'))\\nawait asyncio.sleep(0, asyncio.run(asyncio.sleep(0, 'nested')))"
    code = f"""
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "nbkit")
shell.run_line_magic("nbkit", "nest on")
shell.run_cell("import asyncio\\n{nested}")
"""
    output = subprocess.check_output([sys.executable, "-c", code], text=True, env=os.environ | {"NBKIT_OFFLINE": "1"})
    assert "asyncio.run works in cells now" in output
    assert "nested" in output
    assert "Error" not in output


def test_models_is_a_short_frame_of_what_fits(shell):
    rows = shell.run_line_magic("models", "sonnet 5.5")
    assert rows.index[0] == "anthropic/claude-sonnet-5-5"
    assert 0 < len(rows) <= 10
    assert "input_cost" in rows


def test_cost_is_that_of_the_cell_and_of_the_notebook(shell, capsys):
    ask = "import nbkit; answer = nbkit.get_adapter('demo/swift').execute('Hello')"
    shell.run_cell(f"{ask}\n{ask}\n%cost", store_history=True, cell_id="paying").raise_error()
    here, notebook, *_ = capsys.readouterr().out.splitlines()
    assert here == f"this cell: {TOTAL.by_cell()['paying']} for 2 calls"
    assert notebook.startswith("this notebook: $")
    assert "this cell" not in printed(shell, capsys, "%cost")


def test_cost_tells_today_and_this_month_from_the_ledger(shell, capsys, tmp_path):
    with override(ledger=str(tmp_path / "ledger.sqlite3")):
        run(shell, "%%compare demo/swift demo/sage\nHello")
        url = nbkit.get_adapter("demo/swift").endpoint.base_url
        cost = {"input": 1.0, "output": 2.0}
        ask = nbkit.get_adapter("scripted/swift", base_url=url, protocol="openai-chat", api_key="x", cost=cost).execute
        spent = f"{Sum(1, Decimal(str(ask('Hello').cost)))} for 1 call"
        assert printed(shell, capsys, "%cost").endswith(
            f"all notebooks: today {spent}, this month {spent}, not counting 2 simulated\n"
        )
        with override(budget="5/day, 0.10/call"):
            assert printed(shell, capsys, "%cost").splitlines()[-2:] == [
                f"budget: {format_usd(float(nbkit.ledger().cost.sum()))} of $5.00 today",
                "budget: at most $0.10 for each call",
            ]
            assert printed(shell, capsys, "%nbkit").endswith("budget: at most $0.10 for each call\n")
    with override(ledger=str(tmp_path)):  # a folder is not a ledger
        assert " cannot be read: " in printed(shell, capsys, "%cost")
    with override(ledger="off"):
        assert "all notebooks" not in printed(shell, capsys, "%cost")


def test_settings_are_a_table_without_secrets(shell, capsys):
    with override(max_retries=7, base_url_override="https://me:canary@proxy.test/v1?key=canary", ledger=""):
        text = re.sub(" +", " ", printed(shell, capsys, "%nbkit settings"))
        assert f"NBKIT_LEDGER {settings().ledger_path}\n" in text
    assert "* NBKIT_MAX_RETRIES 7\n" in text
    assert "* NBKIT_BASE_URL_OVERRIDE https://...@proxy.test/v1?...\n" in text
    assert " NBKIT_HTTP_TIMEOUT 60.0\n" in text
    assert all(f"NBKIT_{name.upper()} " in text for name in settings().__struct_fields__)
    assert "canary" not in text


def test_help_lists_the_words_of_nbkit(shell):
    text = shell.find_line_magic("nbkit").__doc__
    assert all(f"%nbkit {word}" in text for word in ("total", "settings", "env", "nest on"))
