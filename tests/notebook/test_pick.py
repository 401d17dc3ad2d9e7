import json
import re
import zlib
from base64 import b64decode
from pathlib import Path

import pytest
import traitlets
from comm.base_comm import BaseComm
from IPython.utils.capture import capture_output
from shells import running_shell

import nbkit
from nbkit.choose.kinds import can_chat
from nbkit.choose.offers import group_offers
from nbkit.errors import ArgumentError
from nbkit.notebook.favorites import keep_favorites, read_favorites
from nbkit.notebook.pick_index import make_index
from nbkit.notebook.widgets import pick as module
from nbkit.notebook.widgets.compare import CompareWidget
from nbkit.notebook.widgets.grid import GridWidget
from nbkit.notebook.widgets.pick import ModelPicker, pick
from nbkit.notebook.widgets.sources import read_style
from nbkit.providers.search_index import rate_own_offers
from nbkit.settings import override

WIDGETS = Path(module.__file__).parent


# What the index holds


def test_the_index_is_small_and_tells_each_row():
    frame = nbkit.catalog.iloc[[7, 3, 5]]
    header, codes = make_index(frame, list(frame.index))
    assert header["rows"] == 3
    assert len(codes) == 3 * len(header["columns"]) * header["width"]
    assert set(frame["name"]) == set(header["columns"]["name"][1:])
    picker = pick()
    header, codes = make_index(picker._rows, list(picker._ids))
    assert len(json.dumps(header, allow_nan=False)) + len(codes) < 1_000_000


def test_the_index_names_vendors_and_providers_as_people_do():
    frame = nbkit.catalog.loc[["tinfoil/kimi-k3", "nearai/black-forest-labs/FLUX.2-klein-4B"]]
    titles = make_index(frame, list(frame.index))[0]["titles"]
    assert titles == {
        "vendor": [None, "Moonshot AI", "Black Forest Labs"],
        "provider": [None, *frame["provider_name"]],
    }


@pytest.mark.parametrize("model", ["openai/gpt-6-luna", "anthropic/claude-sonnet-5-5", "anthropic/claude-haiku-4-5"])
def test_offers_of_one_model_are_those_of_offers(model):
    rows = nbkit.catalog
    groups = dict(zip(rows.index, group_offers(rows), strict=True))
    grouped = {one for one, group in groups.items() if group == groups[model]}
    listed = nbkit.offers(model)
    assert grouped >= set(listed.index)
    # `offers` leaves out a second one of a provider, by name; a list must have it somewhere
    assert {rows["provider"][one] for one in grouped - set(listed.index)} <= set(listed["provider"])


def test_models_that_embed_or_rank_or_transcribe_do_not_chat():
    chats = dict(zip(nbkit.catalog.index, can_chat(nbkit.catalog), strict=True))
    assert not any(chats[one] for one in ("openai/text-embedding-3-small", "vercel/cohere/rerank-v3.5"))
    assert chats["anthropic/claude-haiku-4-5"]
    assert sum(chats.values()) > 7_000


def test_all_models_begin_with_the_simulated_ones_and_vendors_come_before_resellers():
    rows = module._offer_all()
    assert list(rows.index[:5]) == list(nbkit.demo_models().index)
    own = rate_own_offers(rows["provider"], rows["vendor"])[5:] > 0
    if not rows["has_key"].any():
        assert own[:500].all()
    assert rows["release_date"].iloc[5] >= rows["release_date"].iloc[50]


# What is sent


class Wire(BaseComm):
    """A comm that keeps what is sent."""

    def __init__(self):
        self.sent = []
        super().__init__(target_name="jupyter.widget", comm_id="picker")

    def publish_msg(self, msg_type, data=None, **_):
        self.sent.append((msg_type, data))


def picker_on_a_wire(*args, **options):
    picker = pick(*args, **options)
    picker.comm = Wire()

    def ask(**message):
        picker.comm.sent.clear()
        picker._handle_msg({"content": {"data": {"method": "custom", "content": message}}, "buffers": []})
        return [data["content"] for _, data in picker.comm.sent if data.get("method") == "custom"]

    return picker, ask


def test_a_view_that_is_ready_gets_the_index_and_the_keys_that_are_missing(monkeypatch):
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    _, ask = picker_on_a_wire(value=["anthropic/claude-haiku-4-5", "demo/swift"])
    index, keys = ask(type="ready")
    assert index["type"] == "index"
    assert index["rows"] > 8_000
    assert keys == {"type": "keys", "missing": {"anthropic": "Anthropic"}}
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")  # set meanwhile
    assert ask(type="ready")[1]["missing"] == {}


def test_details_are_all_facts_and_what_a_call_costs():
    _, ask = picker_on_a_wire()
    (answer,) = ask(type="details", id="openai/gpt-5-mini")
    facts = dict(answer["facts"])
    assert facts["id"] == answer["id"] == "openai/gpt-5-mini"
    assert facts["a question (500 in, 300 out)"] == "$0.00072"
    assert ask(type="details", id="nobody/nothing") == []


def test_logos_are_sent_for_the_providers_of_a_request():
    _, ask = picker_on_a_wire()
    (answer,) = ask(type="logos", providers=["anthropic", "nobody"])
    assert answer["logos"].keys() == {"anthropic", "nobody"}
    assert all(url.startswith("data:image/svg+xml;base64,") for url in answer["logos"].values())


def test_hidden_characters_are_spelled_out_and_lone_surrogates_sent():
    frame = nbkit.demo_models()
    names = frame["name"].astype(object).where(frame.index != "demo/sage", "GPT\u202e0$-6")
    frame = frame.assign(name=names, provider=["\ud83d"] * len(frame))
    frame.index = [f"\ud83d/{one}" for one in frame["model"]]
    picker, ask = picker_on_a_wire(frame, value=[frame.index[0]])
    index, *_ = ask(type="ready")
    assert json.dumps(index, ensure_ascii=False).encode()  # as the kernel packs it
    assert "GPT⟨U+202E⟩0$-6" in index["columns"]["name"]
    assert ask(type="logos", providers=["\ud83d"])
    assert picker.get_state()["value"] == ["⟨U+D83D⟩/swift"]
    data = {"method": "update", "state": {"value": ["⟨U+D83D⟩/sage"]}, "buffer_paths": []}
    picker._handle_msg({"content": {"data": data}, "buffers": []})
    assert picker.value == ["\ud83d/sage"]


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


def test_unknown_ids_and_a_second_one_are_refused():
    picker = pick(value=["demo/swift"])
    with pytest.raises(traitlets.TraitError, match="nobody/nothing"):
        picker.value = ["nobody/nothing"]
    assert picker.value == ["demo/swift"]
    with pytest.raises(traitlets.TraitError):
        pick(nbkit.demo_models(), value=["anthropic/claude-haiku-4-5"])
    with pytest.raises(traitlets.TraitError, match="one model"):
        pick(multiple=False, value=["demo/swift", "demo/sage"])


def test_a_frame_without_the_columns_is_refused():
    with pytest.raises(ArgumentError, match="no column 'model'"):
        pick(nbkit.catalog[["name"]])


def test_stars_and_what_was_picked_last_are_kept(tmp_path):
    with override(cache_dir=tmp_path):
        _, ask = picker_on_a_wire()
        assert ask(type="star", id="demo/sage", on=True) == ask(type="picked", id="demo/swift") == []
        assert read_favorites() == {"starred": ["demo/sage"], "recent": ["demo/swift"]}
        assert ask(type="ready")[0]["starred"] == ["demo/sage"]
        ask(type="star", id="demo/sage", on=False)
        assert read_favorites()["starred"] == []
        (tmp_path / "favorites.json").write_text("[not ours")
        assert read_favorites() == {"starred": [], "recent": []}


def test_where_nothing_can_be_kept_a_note_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with override(cache_dir=tmp_path / "file"):
        assert keep_favorites(["demo/sage"], []).startswith("favorites are not kept: ")
        _, ask = picker_on_a_wire()
        assert ask(type="star", id="demo/sage", on=True)[0]["type"] == "note"


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


@pytest.mark.parametrize(("widget", "most"), [(CompareWidget, 30_000), (GridWidget, 30_000), (ModelPicker, 30_000)])
def test_modules_are_small_and_load_nothing(widget, most):
    script, style = str(widget._esm), str(widget._css)
    assert 5_000 < len(script.encode()) < most
    assert 2_000 < len(style.encode()) < 15_000
    packed = re.search(r'atob\("([^"]+)"\)', script)[1]
    for source in (script, zlib.decompress(b64decode(packed)).decode()):
        assert not re.search(r"""\bimport\b(?!\(address\))|\bfetch\(|["'`]https?:""", source)  # `address`: of a Blob
    assert "url(" not in style
    assert "/*" not in style


def test_a_style_is_sent_without_spaces_that_say_nothing():
    style = read_style("shared.css")
    assert ".nbk-live [hidden]{display:none !important}" in style
    assert '.nbk-best::after{content:" ●";font-size:0.7em' in style
    assert ".nbk-live :is(button,textarea," in style


def test_the_picker_shows_catalog_texts_as_text():
    scripts = "".join(
        (WIDGETS / name).read_text("utf-8") for name in ("pick.js", "pick_facets.js", "pick_rows.js", "search.js")
    )
    assert not re.search(r"innerHTML|insertAdjacentHTML|outerHTML", scripts)
