import json
import re
from pathlib import Path

import pytest
import traitlets
from comm.base_comm import BaseComm
from IPython.utils.capture import capture_output
from queries import QUERIES
from shells import running_shell

import nbkit
from nbkit.choose.abilities import ABILITIES, SUMMARY
from nbkit.notebook.widgets import pick as module
from nbkit.notebook.widgets.compare import CompareWidget
from nbkit.notebook.widgets.pick import ModelPicker, Models, Query, pick

WIDGETS = Path(module.__file__).parent
WARNED = pytest.mark.filterwarnings("ignore::nbkit.modelsdev.records.CatalogWarning")  # searches without a result


@pytest.fixture(scope="module")
def models():
    return Models(module._offer_all())


def find(models, text="", **query):
    places, _ = models.find(Query(text, **query))
    return models.frame.iloc[places]


def ids(models, text="", **query):
    return list(find(models, text, **query).index)


# Which rows are listed


@WARNED
@pytest.mark.parametrize("text", QUERIES)
def test_a_query_names_the_models_of_search(models, text):
    rows = models.frame[~models.frame["deprecated"]]
    searched = nbkit.search(text, frame=rows, limit=None)
    picked = ids(models, text)
    assert len(picked) == len(searched)
    assert picked[:20] == list(searched.index[:20])


@WARNED
@pytest.mark.parametrize("text", QUERIES[::4])
def test_boxes_choose_the_rows_that_are_searched(models, text):
    frame = models.frame
    rows = frame[frame["tools"] & frame["structured_output"].fillna(False) & (frame["output_cost"] <= 5)]
    picked = ids(models, text, flags=["tools", "structured_output"], ceiling=5, deprecated=True)
    assert picked == list(nbkit.search(text, frame=rows, limit=None).index)


def test_the_demo_models_are_searched_too(models):
    assert ids(models, "swift")[0] == "demo/swift"
    assert ids(models, "tortose")[0] == "demo/tortoise"
    assert ids(models)[:5] == list(nbkit.demo_models().index)  # and come first without words


@pytest.mark.parametrize(
    ("query", "note"),
    [
        (Query("gemini"), ""),
        (Query("sonet 5 visoin"), "visoin read as vision, sonet read as sonnet"),
        (Query("qqqq zzzzzz"), "no name contains 'qqqq' or a word like it"),
        (Query("opus on groq"), "no model fits all of opus, on groq"),
        (Query("opus", ceiling=-1), ""),  # the boxes let nothing pass, whatever the words
    ],
)
def test_a_note_says_what_was_corrected_or_why_nothing_fits(models, query, note):
    assert models.find(query)[1].startswith(note)
    assert bool(models.find(query)[1]) == bool(note)


def test_flags_add_up(models):
    rows = find(models, flags=("vision", "open_weights"))
    assert 0 < len(rows) < len(find(models, flags=("vision",)))
    assert (rows["vision"] & rows["open_weights"]).all()


def test_unknown_is_not_yes(models):
    unknown = models.frame.index[models.frame["structured_output"].isna()]
    assert len(unknown) > 100
    assert not set(unknown) & set(ids(models, flags=("structured_output",)))


def test_ceiling_is_of_the_output_price_and_leaves_out_the_unknown(models):
    rows = find(models, ceiling=0.5)
    assert rows["output_cost"].max() == 0.5
    assert rows["output_cost"].notna().all()


def test_deprecated_models_are_hidden_unless_wanted(models):
    shown = set(ids(models, deprecated=True)) - set(ids(models))
    assert shown == set(models.frame.index[models.frame["deprecated"]])


@pytest.mark.parametrize(
    ("sort", "column", "ascending"),
    [
        ("input_cost", "input_cost", True),
        ("output_cost", "output_cost", True),
        ("newest", "release_date", False),
        ("context", "context", False),
    ],
)
def test_sorts(models, sort, column, ascending):
    values = find(models, "gemini", sort=sort)[column]
    assert set(values.index) == set(ids(models, "gemini"))
    known = values.dropna()
    assert list(known) == sorted(known, reverse=not ascending)
    assert values.iloc[len(known) :].isna().all()  # the unknown come last


def test_order_of_the_frame_is_kept():
    frame = nbkit.catalog.iloc[[7, 3, 5]]
    assert ids(Models(frame), deprecated=True) == list(frame.index)


# What the view is sent


class Wire(BaseComm):
    """A comm that keeps what is sent."""

    def __init__(self):
        self.sent = []
        super().__init__(target_name="jupyter.widget", comm_id="picker")

    def publish_msg(self, msg_type, data=None, **_):
        self.sent.append((msg_type, data))


def picker_on_a_wire(**options):
    picker = pick(**options)
    picker.comm = Wire()
    return picker, picker.comm.sent


def rows(sent):
    (message,) = [data["content"] for _, data in sent if data.get("method") == "custom"]
    return message


def ask(picker, **query):
    message = {"kind": "query", "view": "v", "seq": 4, "text": "", "flags": [], "ceiling": None, "sort": "relevance"}
    picker._handle_msg({"content": {"data": {"method": "custom", "content": message | query}}, "buffers": []})


def test_a_query_is_answered_with_a_screenful():
    picker, sent = picker_on_a_wire(limit=5)
    ask(picker, text="claude", flags=["tools"])
    answer = rows(sent)
    assert (answer["kind"], answer["view"], answer["seq"]) == ("rows", "v", 4)
    assert len(answer["rows"]) == 5 < answer["total"]
    assert all("tools" in row["abilities"] and set(row["abilities"]) <= set(SUMMARY) for row in answer["rows"])


def test_rows_are_plain_json():
    frame = nbkit.catalog
    odd = frame[frame["input_cost"].isna() & frame["context"].isna() & frame["structured_output"].isna()]
    picker, sent = picker_on_a_wire(frame=odd)
    ask(picker, deprecated=True)
    answer = json.loads(json.dumps(rows(sent), allow_nan=False))
    assert answer["rows"][0]["input"] is answer["rows"][0]["context"] is None
    assert answer["total"] == len(odd)


def test_logos_are_sent_for_the_providers_of_a_request():
    picker, sent = picker_on_a_wire()
    message = {"kind": "logos", "providers": ["anthropic", "nobody"]}
    picker._handle_msg({"content": {"data": {"method": "custom", "content": message}}, "buffers": []})
    answer = rows(sent)
    assert answer["kind"] == "logos"
    assert answer["logos"].keys() == {"anthropic", "nobody"}
    assert all(url.startswith("data:image/svg+xml;base64,") for url in answer["logos"].values())


def test_rows_name_the_provider_for_its_logo():
    picker, sent = picker_on_a_wire(limit=1)
    ask(picker, text="claude-haiku-4-5 anthropic")
    assert rows(sent)["rows"][0]["provider_id"] == "anthropic"


def test_buttons_have_the_labels_of_the_table_of_abilities():
    assert [flag for flag, _, _ in pick().abilities] == list(SUMMARY)
    for flag, label, explanation in pick().get_state()["abilities"]:
        assert (label, explanation) == (ABILITIES[flag].label, ABILITIES[flag].explanation)
        assert explanation not in (WIDGETS / "pick.js").read_text("utf-8")


def test_state_is_small():
    picker = pick(value=["demo/swift"])
    state = {name: value for name, value in picker.get_state().items() if name not in ("_esm", "_css")}
    assert len(json.dumps(state, default=str)) < 1_000, state


# What is picked


def test_value_may_be_set_and_observed():
    picker = pick(value=["demo/swift"])
    seen = []
    picker.observe(lambda change: seen.append(change["new"]), "value")
    picker.value = ["anthropic/claude-haiku-4-5", "demo/sage", "demo/sage"]
    assert picker.value == ["anthropic/claude-haiku-4-5", "demo/sage"]
    assert seen == [picker.value]
    assert list(picker.frame.index) == picker.value


def test_unknown_ids_are_refused():
    picker = pick(value=["demo/swift"])
    with pytest.raises(traitlets.TraitError, match="nobody/nothing"):
        picker.value = ["nobody/nothing"]
    assert picker.value == ["demo/swift"]
    with pytest.raises(traitlets.TraitError):
        pick(nbkit.demo_models(), value=["anthropic/claude-haiku-4-5"])


def test_a_view_picks():
    picker = pick()
    data = {"method": "update", "state": {"value": ["demo/sage"]}, "buffer_paths": []}
    picker._handle_msg({"content": {"data": data}, "buffers": []})
    assert picker.value == ["demo/sage"]


def test_a_frame_without_the_columns_is_refused():
    with pytest.raises(ValueError, match="no column 'vision'"):
        pick(nbkit.catalog[["name"]])


# What stays


def test_without_a_person_there_is_only_the_table(tmp_path):
    frame = nbkit.demo_models()
    frame["name"] = frame["name"].astype("object").where(frame.index != "demo/sage", "<img src=x onerror=alert(1)>")
    with running_shell(tmp_path), capture_output() as shown:
        pick(frame, value=["demo/sage"])._ipython_display_()
    (output,) = shown.outputs
    assert set(output.data) == {"text/html", "text/plain"}
    assert "demo/sage" in output.data["text/html"]
    assert "demo/sage" in output.data["text/plain"]
    assert "&lt;img" in output.data["text/html"]
    assert "<img src=x" not in output.data["text/html"]


def test_nothing_picked_reads_well(tmp_path):
    with running_shell(tmp_path), capture_output() as shown:
        pick()._ipython_display_()
    assert shown.outputs[0].data["text/plain"] == "No model is picked."


# The files that go to the browser


@pytest.mark.parametrize("widget", [CompareWidget, ModelPicker])
def test_modules_are_small_and_load_nothing(widget):
    script, style = str(widget._esm), str(widget._css)
    assert 5_000 < len(script.encode()) < 30_000
    assert 2_000 < len(style.encode()) < 15_000
    assert not re.search(r"""\bimport\b|\bfetch\(|["'`]https?:""", script)
    assert "url(" not in style


def test_the_picker_shows_catalog_texts_as_text():
    assert not re.search(r"innerHTML|insertAdjacentHTML|outerHTML", (WIDGETS / "pick.js").read_text("utf-8"))
