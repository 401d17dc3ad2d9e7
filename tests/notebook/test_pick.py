import json
import re
from pathlib import Path

import pytest
import traitlets
from comm.base_comm import BaseComm
from IPython.utils.capture import capture_output
from shells import running_shell

import nbkit
from nbkit.notebook.widgets import pick as module
from nbkit.notebook.widgets.pick import FLAGS, Models, Query, pick

WIDGETS = Path(module.__file__).parent


@pytest.fixture(scope="module")
def models():
    return Models(module._all())


def ids(models, *words, **query):
    return list(models.find(Query(" ".join(words), **query)).index)


# What is found


def test_every_word_must_be_held(models):
    found = models.find(Query("Haiku anthropic"))
    assert len(found) > 10
    for model, name, provider in zip(found.index, found["name"], found["provider_name"], strict=True):
        assert all(word in f"{model} {name} {provider}".lower() for word in ("haiku", "anthropic"))


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("sonnet 5.5", "anthropic/claude-sonnet-5-5"),
        ("claude haiku 4.5", "anthropic/claude-haiku-4-5"),
        ("gpt-6 luna", "openai/gpt-6-luna"),
        ("tortoise", "demo/tortoise"),
    ],
)
def test_a_vendors_own_offer_comes_before_resellers(models, words, first):
    assert ids(models, words)[0] == first


@pytest.mark.parametrize("words", ["anthropc claud hiku", "tortose"])
def test_misspelled_words_find_the_nearest(models, words):
    assert not any(all(word in model for word in words.split()) for model in models.frame.index)
    assert re.search("claude-.*haiku|tortoise", ids(models, words)[0])


def test_nonsense_finds_nothing(models):
    assert ids(models, "qqqq zzzzzz xxxxxx") == []


def test_without_words_the_simulated_models_come_first(models):
    assert ids(models)[:5] == list(nbkit.demo_models().index)


def test_flags_add_up(models):
    found = models.find(Query("", ("vision", "open_weights")))
    assert 0 < len(found) < len(models.find(Query("", ("vision",))))
    assert (found["vision"] & found["open_weights"]).all()


def test_unknown_is_not_yes(models):
    unknown = models.frame.index[models.frame["structured_output"].isna()]
    assert len(unknown) > 100
    assert not set(unknown) & set(ids(models, flags=("structured_output",)))


def test_ceiling_is_of_the_output_price_and_leaves_out_the_unknown(models):
    found = models.find(Query(ceiling=0.5))
    assert found["output_cost"].max() == 0.5
    assert found["output_cost"].notna().all()


def test_deprecated_models_are_hidden_until_asked_for(models):
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
    values = models.find(Query("gemini", sort=sort))[column]
    known = values.dropna()
    assert list(known) == sorted(known, reverse=not ascending)
    assert values.iloc[len(known) :].isna().all()  # the unknown come last


def test_order_of_the_frame_is_kept(models):
    frame = nbkit.catalog.iloc[[7, 3, 5]]
    assert ids(Models(frame), deprecated=True) == list(frame.index)


# What the view is told


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
    assert all("tools" in row["caps"] and set(row["caps"]) <= set(FLAGS) for row in answer["rows"])


def test_rows_are_plain_json():
    frame = nbkit.catalog
    odd = frame[frame["input_cost"].isna() & frame["context"].isna() & frame["structured_output"].isna()]
    picker, sent = picker_on_a_wire(frame=odd)
    ask(picker, deprecated=True)
    answer = json.loads(json.dumps(rows(sent), allow_nan=False))
    assert answer["rows"][0]["input"] is answer["rows"][0]["context"] is None
    assert answer["total"] == len(odd)


def test_logos_are_sent_for_the_providers_that_a_view_asks_about():
    picker, sent = picker_on_a_wire()
    message = {"kind": "logos", "providers": ["anthropic", "nobody"]}
    picker._handle_msg({"content": {"data": {"method": "custom", "content": message}}, "buffers": []})
    answer = rows(sent)
    assert answer["kind"] == "logos"
    assert answer["logos"].keys() == {"anthropic", "nobody"}
    assert all(url.startswith("data:image/svg+xml;base64,") for url in answer["logos"].values())


def test_rows_name_the_provider_by_which_its_logo_is_asked_for():
    picker, sent = picker_on_a_wire(limit=1)
    ask(picker, text="claude-haiku-4-5 anthropic")
    assert rows(sent)["rows"][0]["provider_id"] == "anthropic"


def test_state_is_small():
    picker = pick(value=["demo/swift"])
    state = {name: value for name, value in picker.get_state().items() if name not in ("_esm", "_css")}
    assert len(json.dumps(state, default=str)) < 1_000


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


@pytest.mark.parametrize("script", sorted(WIDGETS.glob("*.js")), ids=lambda path: path.name)
def test_modules_are_small_and_load_nothing(script):
    source = script.read_text("utf-8")
    assert len(source.encode()) + len(script.with_suffix(".css").read_bytes()) < 30_000
    assert not re.search(r"""\bimport\b|\bfetch\(|["'`]https?:""", source)
    assert "url(" not in script.with_suffix(".css").read_text("utf-8")


def test_the_picker_shows_catalog_texts_as_text():
    assert not re.search(r"innerHTML|insertAdjacentHTML|outerHTML", (WIDGETS / "pick.js").read_text("utf-8"))
