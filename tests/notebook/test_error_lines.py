"""Mistakes are one line in a notebook, whole in `%tb`, and as always in plain Python."""

import os
import re
import subprocess
import sys
from queue import Empty

import pytest
from kernels import PATIENCE, Kernel, is_end

ANSI = re.compile(r"\x1b\[[\d;]*m")


OLD_CATALOG = """
import pathlib, socket, tempfile
from nbkit.settings import override
with socket.socket() as closed:
    closed.bind(("127.0.0.1", 0))
    url = "http://127.0.0.1:%d/api.json" % closed.getsockname()[1]
    with override(offline=False, catalog_url=url, cache_dir=pathlib.Path(tempfile.mkdtemp())):
        nbkit.load_catalog(refresh=True)
"""


class Failing(Kernel):
    """A kernel whose cells may fail."""

    def shown(self, code):
        """What a cell that fails shows, and its printed text, without colors."""
        cell, texts = self.client.execute(code), []
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=PATIENCE)
            except Empty:
                pytest.fail("the cell does not end")
            content, kind = message["content"], message["msg_type"]
            if kind == "error":
                texts.append("\n".join(content["traceback"]))
            elif kind == "stream":
                texts.append(content["text"])
            elif is_end(message, cell):
                return ANSI.sub("", "".join(texts))


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    kernel = Failing(tmp_path_factory.mktemp("kernel"))
    kernel.run("import asyncio, os, ipywidgets; os.environ.pop('OPENAI_API_KEY', None)")
    yield kernel
    kernel.close()


@pytest.mark.parametrize(
    ("cell", "line"),
    [
        ("nbkit.compare('x', [])", "ConfigError: no model"),
        ("nbkit.Chat('demo/swift', temprature=1)", "ConfigError: .*'temprature'; did you mean temperature"),
        ("x = 1\nnbkit.get_adapter('demo/swfit')", r"ModelNotFoundError: .*; did you mean demo/swift\? \(line 2;"),
        ("nbkit.get_adapter('no/such')", r"ModelNotFoundError: .*'no/such'; nbkit\.search\('words'\) lists models"),
        ("nbkit.search(txt='x')", r"ArgumentError: search\(\): .*'txt'; did you mean text\?"),
        ("nbkit.search()", r"ArgumentError: search\(\): missing a required argument: 'text'"),
        ("nbkit.search('x', nbkit.catalog[['name']])", r"ArgumentError: search\(\) takes rows of the catalog"),
        ("nbkit.get_adapter('openai/gpt-5-mini').execute('Hi')", r"ApiKeyNotFoundError: .*set_key\('openai'\)"),
        ("await nbkit.get_adapter('openai/gpt-5-mini').aexecute('Hi')", "ApiKeyNotFoundError: "),
        ("nbkit.get_adapter('demo/brittle', max_retries=0).execute('please fail')", "ProviderError: .*HTTP 500"),
        ("raise BadRequestError('a\\nb\\x1b[2J\\u202ec')", r"BadRequestError: a b \[2J c"),
        ("raise ConfigError('inside') from ValueError('outside')", "ConfigError: inside"),
    ],
)
def test_a_mistake_is_one_line_and_tb_has_the_rest(kernel, cell, line):
    shown = kernel.shown(cell)
    assert re.fullmatch(line + r".*%tb shows the traceback\)", shown)
    whole = kernel.shown("%tb")
    assert "Traceback (most recent call last)" in whole
    assert shown.partition(":")[0] in whole


def test_a_mistake_in_a_callback_of_a_widget_is_one_line(kernel):
    cell = "button = ipywidgets.Button()\nbutton.on_click(lambda _: nbkit.get_adapter('demo/swfit'))\nbutton.click()"
    assert re.fullmatch(r"ModelNotFoundError: .*\(line 2; %tb shows the traceback\)", kernel.shown(cell).strip())


def test_what_is_nobodys_mistake_keeps_its_traceback(kernel):
    for cell in ("1 / 0", "try:\n    nbkit.get_adapter('no/such')\nexcept NbkitError:\n    1 / 0"):
        assert "Traceback (most recent call last)" in kernel.shown(cell)


def test_plain_python_shows_what_it_always_shows():
    code = "import nbkit; nbkit.get_adapter('demo/swfit')"
    environment = os.environ | {"NBKIT_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.stderr.startswith("Traceback (most recent call last)")
    assert done.stderr.endswith("ModelNotFoundError: no model 'demo/swfit'; did you mean demo/swift?\n")
    assert "%tb" not in done.stderr


def test_an_old_catalog_is_a_line_of_text_and_not_a_red_box(kernel):
    kernel.run(OLD_CATALOG)
    (line,) = [m["content"] for m in kernel.messages if m["msg_type"] == "stream" and "old" in m["content"]["text"]]
    assert line["name"] == "stdout"
    assert re.fullmatch(r"nbkit: the catalog is that of [\d-]+, \d+ days old: \S+: Connection refused\n", line["text"])
