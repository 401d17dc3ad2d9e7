import threading
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from shutil import copy

import pandas as pd
import pytest
from IPython.utils.capture import capture_output
from kernels import Kernel, displays
from shells import running_shell

import nbkit
from nbkit.modelsdev.snapshot import BUNDLED
from nbkit.notebook.show import fetch_logos, pictures, show, table
from nbkit.settings import override

VOTES = ["prompt", "left", "right", "winner", "voter", "left_cost", "right_cost"]
MODELS = ["openai/gpt-6-luna", "anthropic/claude-haiku-4-5", "groq/whisper-large-v3"]


@pytest.fixture
def frame():
    return nbkit.catalog.loc[MODELS]


class Reader(HTMLParser):
    """The texts of a table, row by row, and every tag with its attributes."""

    def __init__(self, html):
        super().__init__()
        self.rows, self.tags, self.caption = [], [], ""
        self._open = None
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self.rows[-1].append("")
        if tag in ("caption", "style", "th", "td"):
            self._open = tag

    def handle_data(self, data):
        if self._open == "caption":
            self.caption += data
        elif self._open in ("th", "td"):
            self.rows[-1][-1] += data.lstrip()  # a space parts picture and name

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def read(tmp_path):
    """What `show` displays: the table read from its HTML, and its twin as plain text."""

    def shown(frame, columns=None, limit=50):
        with running_shell(tmp_path), capture_output() as captured:
            show(frame, columns, limit)
        (output,) = captured.outputs
        assert set(output.data) == {"text/html", "text/plain"}
        return Reader(output.data["text/html"]), output.data["text/plain"]

    return shown


# What is read


def test_the_columns_that_choosing_takes(read, frame):
    html, plain = read(frame)
    head, luna, haiku, whisper = html.rows
    assert head == ["model", "provider", "input $/M", "output $/M", "context", "abilities", "released"]
    row = frame.loc["anthropic/claude-haiku-4-5"]
    assert haiku == [
        f"{row['name']}anthropic/claude-haiku-4-5",
        "Anthropic",
        f"${row['input_cost']:.2f}",
        f"${row['output_cost']:.2f}",
        f"{row['context']:,}",
        "vision, tools, reasoning, JSON",
        row["release_date"].date().isoformat(),
    ]
    assert whisper[2:5] == ["–"] * 3
    for text in (*luna[1:], *haiku[1:], *MODELS, *head):
        assert text in plain


def test_status_is_a_column_where_one_has_any(read, frame):
    old = nbkit.catalog[nbkit.catalog["deprecated"]].head(1)
    html, _ = read(pd.concat([frame, old]))
    assert html.rows[0][-1] == "status"
    assert [row[-1] for row in html.rows[1:]] == ["", "", "", "deprecated"]


def test_columns_that_are_not_of_the_catalog_are_shown_too(read, frame):
    html, _ = read(nbkit.estimate(frame, input_tokens=10_000, output_tokens=0, calls=100).assign(my_rank=[1, 2, 3]))
    place = html.rows[0].index("cost")
    assert [row[place] for row in html.rows[1:3]] == [
        f"${amount:.2f}" for amount in sorted(frame["input_cost"].dropna())
    ]
    assert [row[html.rows[0].index("my rank")] for row in html.rows[1:]] == ["1", "2", "3"]


def test_chosen_columns_in_the_given_order(read, frame):
    names = ["provider", "vision", "context", "tiers", "structured_output", "abilities", "cache_read_cost"]
    html, _ = read(frame, names)
    assert html.rows[0] == [
        "provider", "vision", "context", "tiers", "structured output", "abilities", "cache read $/M",
    ]  # fmt: skip
    assert html.rows[2][:2] == ["Anthropicanthropic/claude-haiku-4-5", "yes"]
    assert html.rows[3][3] == ""
    assert html.rows[3][4] in ("no", "–")


def test_a_frame_of_a_few_columns_is_shown_as_it_is(read, frame):
    html, _ = read(frame[["input_cost", "env"]])
    assert html.rows[0] == ["input $/M", "env"]
    assert html.rows[2] == ["$1.00anthropic/claude-haiku-4-5", "ANTHROPIC_API_KEY"]


def test_an_unknown_column_is_named(frame):
    with pytest.raises(ValueError, match="no column 'color'"):
        show(frame, ["name", "color"])
    with pytest.raises(ValueError, match="no column 'abilities'"):
        show(frame[["name"]], ["abilities"])
    with pytest.raises(ValueError, match="no column to show"):
        show(frame, [])


@pytest.mark.parametrize(
    ("limit", "note"),
    [(2, "The first 2 of 3 models; 1 not shown."), (3, "3 models."), (0, "The first 0 of 3 models; 3 not shown.")],
)
def test_the_caption_says_what_is_not_shown(read, frame, limit, note):
    html, plain = read(frame, limit=limit)
    assert html.caption.startswith(note)
    assert plain.startswith(html.caption)
    assert len(html.rows) == 1 + limit
    assert html.caption.endswith(f"Catalog of {nbkit.catalog.attrs['date']}. Prices are USD per million tokens.")


def test_other_frames_have_their_own_words_and_a_dash_for_the_unknown(read, frame):
    votes = pd.DataFrame([["a", "demo/swift", "demo/sage", "left", "human", 0.0041, None]], columns=VOTES)
    html, plain = read(nbkit.rank(votes))
    assert html.caption == "2 rows."
    assert (html.rows[0][:2], html.rows[1][0], html.rows[2][0]) == (["model", "rank"], "demo/swift", "demo/sage")
    place = html.rows[0].index("cost per win")
    assert [row[place] for row in html.rows[1:]] == ["$0.0041", "–"]
    assert "nan" not in plain.lower()
    html, _ = read(votes)
    assert html.rows == [[name.replace("_", " ") for name in VOTES], [*votes.iloc[0, :5], "$0.0041", "–"]]
    earlier = nbkit.catalog.loc[MODELS].drop(index=MODELS[0])
    earlier.loc[MODELS[1], "input_cost"] = 2.5
    html, plain = read(nbkit.changes(earlier, nbkit.catalog.loc[MODELS]))
    assert html.rows[1] == [MODELS[1], "repriced", "input_cost", "$2.50", "$1.00", "-60"]
    assert html.rows[2] == [MODELS[0], "added", *["–"] * 4]
    assert plain.splitlines()[1].split() == html.rows[0]


def test_no_rows(read, frame):
    html, plain = read(frame.head(0))
    assert html.caption == plain
    assert plain.startswith("0 models.")
    assert len(html.rows) == 1


# For every reader


def test_headers_are_headers_of_their_row_or_column(read, frame):
    html, _ = read(frame)
    scopes = [attributes["scope"] for attributes in html.all("th")]
    assert scopes == ["col"] * len(html.rows[0]) + ["row"] * len(frame)


def test_pictures_are_decoration_and_need_no_network(read, frame):
    html, _ = read(frame)
    images = html.all("img")
    assert len(images) == len(frame)
    assert all(image["alt"] == "" and image["src"].startswith("data:image/svg+xml;base64,") for image in images)
    assert not {"script", "link", "svg"} & {tag for tag, _ in html.tags}


def test_a_table_of_fifty_models_is_small():
    assert len(table(nbkit.catalog.head(50))["text/html"]) < 80_000


def test_names_are_shown_as_text(read, frame):
    hostile = '<img src=x onerror="alert(1)">\u202e\n$x$'
    row = frame.head(1).assign(name=hostile, provider_name=hostile, more=hostile)
    row.columns = [*row.columns[:-1], "<script>"]
    row.index = [f"{hostile}/{hostile}"]
    html, plain = read(row)
    assert not html.all("script")
    assert all(image["src"].startswith("data:") for image in html.all("img"))
    assert html.rows[1][0].startswith('<img src=x onerror="alert(1)">⟨U+202E⟩ $x$')
    assert html.rows[0][-1] == "<script>"
    assert "\u202e" not in plain
    assert len(plain.splitlines()) == 3  # no name begins a row of its own
    assert "mathjax_ignore" in html.all("div")[0]["class"]


def test_long_texts_are_cut(read, frame):
    html, _ = read(frame.assign(name="x" * 5000))
    assert len(html.rows[1][0]) < 200


def test_without_ipython_it_is_printed(frame, capsys):
    show(frame)
    printed = capsys.readouterr().out
    assert "claude-haiku-4-5" in printed
    assert "<" not in printed


# Logos


@pytest.fixture
def site():
    """The address of a models.dev on 127.0.0.1, and the paths that were requested."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            there = self.path == "/logos/anthropic.svg"
            self.send_response(200 if there else 404)
            self.end_headers()
            self.wfile.write(b'<svg viewBox="0 0 9 9"><circle r="4" fill="#123abc"/></svg>' if there else b"")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/api.json", requests
    server.shutdown()
    server.server_close()
    thread.join()


def test_logos_of_a_users_own_providers_are_not_requested(site, tmp_path):
    copy(BUNDLED, tmp_path / "models.dev.snapshot")  # a catalog of today: none is fetched
    with override(offline=False, catalog_url=site[0], cache_dir=tmp_path):
        there = threading.Event()
        tiles = pictures(["demo", "anthropic", "my-company", ""])
        fetch_logos(["demo", "anthropic", "my-company", ""], lambda _: there.set())
        assert there.wait(60)
        changed = {provider for provider, url in pictures(tiles).items() if url != tiles[provider]}
    assert changed == {"anthropic"}
    assert site[1] == ["/logos/default.svg", "/logos/anthropic.svg"]


def test_logos_are_put_in_where_the_table_stands(site, tmp_path):
    copy(BUNDLED, tmp_path / "models.dev.snapshot")
    kernel = Kernel(tmp_path)
    try:
        kernel.run(
            f"""
            from nbkit.settings import override
            nbkit.catalog
            changed = override(offline=False, catalog_url={site[0]!r})
            changed.__enter__()
        """.replace("            ", "")
        )
        messages = kernel.run('nbkit.show(nbkit.catalog.loc[["anthropic/claude-haiku-4-5"]])')
        (first,) = displays(messages, "text/html")
        kernel.until(lambda: displays(kernel.messages, "text/html", "update_display_data"))
        (later,) = displays(kernel.messages, "text/html", "update_display_data")
    finally:
        kernel.close()
    before, after = (Reader(bundle["text/html"]) for bundle in (first, later))
    assert before.rows == after.rows
    assert before.all("img") != after.all("img")


# One row


@pytest.fixture(scope="module")
def whole():
    return nbkit.catalog


def test_one_row_is_a_card(read, whole):
    """C5, C6: what one model costs, can do and is called by."""
    html, text = read(whole.loc["google/gemini-2.5-pro"])
    assert html.rows[0] == ["id", "google/gemini-2.5-pro"]
    assert read(whole.reset_index().set_index("path").loc["google/google/gemini-2.5-pro"])[0].rows[0] == html.rows[0]
    facts = dict(html.rows)
    assert facts["price"] == "input $1.25, output $10.00, cache read $0.125 per million tokens"
    assert facts["above 200,000"] == "input $2.50, output $15.00, cache read $0.25"
    assert facts["tokens"] == "context 1,048,576, answer 65,536"
    assert facts["reads"].split(", ") == ["text", "image", "audio", "video", "pdf"]
    assert facts["unknown"] == "GDPR"
    assert facts["call"].startswith('nbkit.get_adapter("google/gemini-2.5-pro"), gemini-generate; key ')
    for name, fact in facts.items():
        assert f"{name}  " in text
        assert fact in text


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows.loc["gitlab/duo-chat-opus-5"],
        lambda rows: rows.loc["openai/gpt-image-1"],  # of unknown price
        lambda rows: rows.iloc[0],
        lambda rows: rows.reset_index().iloc[0],
        lambda rows: rows.loc["openai/gpt-5", ["name", "input_cost"]],
        lambda rows: rows.astype(object).loc["openai/gpt-5"],
        lambda rows: nbkit.estimate(rows, input_tokens=5, output_tokens=5).iloc[0],
        lambda rows: nbkit.search("gpt", rows).iloc[0],
        lambda rows: nbkit.offers("openai/gpt-oss-120b").iloc[0],
        lambda rows: next(rows.head(1).iterrows())[1],
        lambda rows: rows["vendor"].head(3),  # a column
        lambda rows: rows["vendor"].value_counts().head(3),
    ],
)
def test_whatever_series_a_frame_gives_is_shown(read, whole, change):
    html, text = read(change(whole))
    assert html.rows
    assert text.strip()


def test_a_card_of_hostile_text(read, whole):
    row = whole.loc["openai/gpt-5"].copy()
    row["name"], row["description"] = "<script>alert(1)</script>", "a\u202eb\x1b[2J"
    html, text = read(row)
    assert not html.all("script")
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "nbkit.show" not in text


def test_columns_of_one_row_are_a_table(read, whole):
    html, _ = read(whole.loc["openai/gpt-5"], ["name", "context"])
    assert html.rows[0] == ["model", "context"]
    assert html.rows[1][1] == "400,000"


def test_a_lone_surrogate_in_a_name_of_a_provider_is_spelled_out():
    frame = nbkit.demo_models().head(2)
    bundle = table(frame.assign(provider="\ud83d", provider_name="\ud83d"))
    assert "⟨U+D83D⟩" in bundle["text/html"]
    assert all(text.encode() for text in bundle.values())  # as the kernel packs them
