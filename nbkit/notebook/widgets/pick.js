// The model picker. Its messages are described in pick.py; `Rows`, which come with the index, find, this shows.

const HEIGHT = 42; // px of a row
const HEADS = [
  ["name", "model"], ["input", "input", "$ / M"], ["output", "output", "$ / M"], ["cached", "cached", "$ / M"],
  ["context", "context", "tokens"], ["released", "released"], ["offers", "offers"],
];
const SORTS = { name: 1, input: 1, output: 1, cached: 1, context: -1, released: -1, offers: -1 }; // the first direction
const HINTS = "↑ ↓ move · Space picks · → details · o offers · s star · / search · Esc back";
let pickers = 0;

// A price filled up, so that the points stand below each other.
const align = (text) => text + "\u2007".repeat(text === "–" ? 0 : Math.max(0, text.indexOf(".") + 4 - text.length));

const [MONTH, NUMBER] = [new Intl.DateTimeFormat("en-US", { month: "short", year: "numeric", timeZone: "UTC" }), new Intl.NumberFormat("en-US")];
const month = (day) => (day === null ? "–" : MONTH.format(day * 864e5));
const number = (value) => (value === null ? "–" : NUMBER.format(value));

// Writes only what changes: the browser then has little to lay out.
function setText(node, text) { if (node.textContent !== text) node.textContent = text; }
function setAll(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

const newBoxes = () => ({ text: "", flags: [], vendor: [], provider: [], most: null, context: 0, since: 0, chat: true, deprecated: true, only: "", sort: "", turn: 1 });

// The module that the kernel has deflated: the search is no part of the widget's state.
async function importDeflated(packed) {
  const address = URL.createObjectURL(new Blob([await inflate(packed)], { type: "text/javascript" }));
  try { return await import(address); } finally { URL.revokeObjectURL(address); }
}

class Picker {
  constructor(model, el) {
    Object.assign(this, { model, name: `nbk-pick-${++pickers}`, boxes: newBoxes(), open: new Set(), logos: new Map(), lines: [], active: 0, missing: {}, record: false });
    this.build();
    el.append(this.root);
    this.onMessage = (message, buffers) => this.receive(message, buffers);
    this.onValue = () => { this.showPicked(); this.paint(true); };
    model.on("msg:custom", this.onMessage);
    model.on("change:value", this.onValue);
    this.kernel = new Kernel(model, () => this.turnToRecord());
    this.waiting = setTimeout(() => this.say("Waiting for the kernel …"), 1500);
    this.showPicked();
    this.kernel.send({ type: "ready" });
  }

  remove() {
    this.watch.disconnect();
    clearTimeout(this.waiting);
    clearTimeout(this.facets.waiting);
    this.kernel.remove();
    this.model.off("msg:custom", this.onMessage);
    this.model.off("change:value", this.onValue);
  }

  build() {
    this.search = make("input", "nbk-input nbk-pick-search", { type: "search", placeholder: "Names, providers, abilities, prices: sonet 5 vision cheap, under $2, open weights", "aria-label": "Search models", "aria-controls": `${this.name}-list`, autocomplete: "off", spellcheck: "false" });
    this.clear = button("", "clear", "clear the search and all filters", () => { this.change(newBoxes(), true); this.search.focus(); });
    this.facets = new Facets(this);
    this.folded = make("details", "nbk-pick-side", {}, make("summary", "", {}, "Filters"), this.facets.root);
    this.head = make("div", "nbk-pick-line nbk-pick-head", { role: "row" });
    this.sheet = make("div", "nbk-pick-sheet", { role: "rowgroup" });
    this.list = make("div", "nbk-pick-list", { id: `${this.name}-list`, role: "treegrid", tabindex: "0", "aria-label": "Models", "aria-multiselectable": String(this.model.get("multiple")) }, make("div", "", { role: "rowgroup" }, this.head), this.sheet);
    this.drawer = make("div", "nbk-pick-drawer", { role: "region", "aria-label": "Details", tabindex: "0" });
    this.drawer.hidden = true;
    this.status = make("div", "nbk-pick-status", { role: "status" });
    this.picked = make("ul", "nbk-pick-picked", { "aria-label": "Picked models" });
    this.keys = make("div", "nbk-pick-keys", { role: "status" });
    this.root = make(
      "div", "nbk-pick nbk-live", { role: "group", "aria-label": "Model picker", "data-lm-suppress-shortcuts": "true" },
      make("div", "nbk-pick-bar", {}, this.search, this.clear),
      make("div", "nbk-pick-body", {}, this.folded, this.list, this.drawer),
      make("div", "nbk-pick-foot", {}, this.status, make("div", "nbk-pick-hints", {}, HINTS)), this.picked, this.keys,
    );
    // As high as all rows need, up to a limit: what passes the filters moves nothing below.
    this.root.style.setProperty("--nbk-rows", this.model.get("rows"));
    // beside the list, or folded above it: as pick.css has it
    this.watch = new ResizeObserver(([{ contentRect }]) => {
      const beside = contentRect.width > 760;
      if (beside !== this.beside) this.folded.open = this.beside = beside;
    });
    this.watch.observe(this.root);
    this.search.addEventListener("input", () => this.change({ text: this.search.value }));
    this.search.addEventListener("keydown", (event) => this.pressInSearch(event));
    this.list.addEventListener("keydown", (event) => this.pressInList(event));
    this.list.addEventListener("scroll", () => this.paint());
    this.list.addEventListener("click", (event) => this.click(event));
    this.drawer.addEventListener("keydown", (event) => { if (event.key === "Escape" || event.key === "ArrowLeft") { this.closeDrawer(); event.preventDefault(); } });
    this.showHead();
  }

  async receive(message, buffers) {
    if (message.type === "index") {
      const { Rows } = await importDeflated(buffers[1]);
      clearTimeout(this.waiting);
      this.facets.names = message.facets;
      this.rows = new Rows(message, buffers[0]);
      this.change({});
      this.showPicked();
    } else if (message.type === "details" && message.id === this.detailed) this.showFacts(message.facts);
    else if (message.type === "keys") { this.missing = message.missing; this.showKeys(); }
    else if (message.type === "note") this.say(message.text);
    else if (message.type === "logos") {
      for (const [provider, url] of Object.entries(message.logos)) this.logos.set(provider, url);
      this.paint(true);
    }
  }

  turnToRecord() {
    this.record = true;
    clearTimeout(this.waiting);
    this.root.classList.add("nbk-pick-record");
    this.say(RECORD);
    this.showPicked();
  }

  say(text) { this.status.textContent = text; }

  change(boxes, reset = false) {
    Object.assign(this.boxes, boxes);
    if (reset) this.search.value = "";
    if (!this.rows) return;
    this.found = this.rows.find(this.boxes);
    this.list.scrollTop = 0;
    this.active = 0;
    this.unfold();
    const typed = Object.keys(boxes).join() === "text" && !reset;
    if (!typed) this.showHead();
    this.facets.count(typed);
    const { groups, count, note } = this.found;
    const offers = count === groups.length ? "" : ` in ${number(count)} offers`;
    if (this.record) this.say(RECORD);
    else this.say(`${number(groups.length)} ${groups.length === 1 ? "model" : "models"}${offers}${note ? ` (${note})` : ""}`);
  }

  // The lines of the list: a model, and below an open one its offers, cheapest first.
  unfold() {
    this.lines = [];
    for (const group of this.found.groups) {
      this.lines.push({ row: group.row, group });
      if (group.offers.length < 2 || !this.open.has(this.rows.get("group", group.row))) continue;
      for (const row of this.rows.rank(group.offers)) this.lines.push({ row });
    }
    this.list.setAttribute("aria-rowcount", this.lines.length + 1);
    this.paint(true); // it measures, so it comes before what would make the browser lay out anew
    this.sheet.style.height = `${this.lines.length * HEIGHT}px`;
  }

  paint(fresh = false) {
    const first = Math.max(0, Math.floor(this.list.scrollTop / HEIGHT) - 3);
    const last = Math.min(this.lines.length, first + Math.ceil(this.list.clientHeight / HEIGHT) + 6);
    if (!this.rows || (!fresh && first === this.first && last === this.last)) return;
    [this.first, this.last] = [first, last];
    const picked = this.model.get("value");
    while (this.sheet.childElementCount > last - first) this.sheet.lastChild.remove();
    while (this.sheet.childElementCount < last - first) this.sheet.append(this.makeLine());
    this.lines.slice(first, last).forEach((line, place) => this.fill(this.sheet.children[place], line, first + place, picked));
    const shown = this.lines[this.active] ? `${this.name}-${this.active}` : "";
    for (const owner of [this.list, this.search]) owner.setAttribute("aria-activedescendant", shown);
    const wanted = new Set(this.lines.slice(first, last).map(({ row }) => this.rows.get("provider", row)).filter((provider) => provider && !this.logos.has(provider)));
    for (const provider of wanted) this.logos.set(provider, "");
    if (wanted.size) this.kernel.send({ type: "logos", providers: [...wanted] });
  }

  // A row of the list; `fill` writes a model into it, so that rows are made once.
  makeLine() {
    const cell = (className, ...content) => make("span", className, { role: "gridcell" }, ...content);
    const star = make("span", "nbk-pick-act", { "data-act": "star", role: "img" });
    const amounts = ["input", "output", "cached", "context", "released"].map((name) => cell(`nbk-pick-number nbk-pick-${name}`));
    const line = make("div", "", { role: "row" }, cell("nbk-pick-tick"), cell("nbk-pick-name"), ...amounts, cell("nbk-pick-number nbk-pick-offers"), cell("nbk-pick-star", star));
    const key = make("span", "nbk-pick-key", { title: "a key of this provider is set" }, "key");
    const [title, status, image, name] = [make("bdi", "nbk-pick-title"), make("span", "nbk-chip"), make("img", "nbk-pick-logo", { alt: "" }), make("bdi", "")];
    line.children[1].append(make("div", "", {}, title, " ", key, status), make("div", "nbk-pick-id", {}, image, name));
    line.parts = { title, key, status, image, name, amounts, offers: line.children[7], star };
    return line;
  }

  fill(line, { row, group }, place, picked) {
    const { rows } = this;
    const get = (name) => rows.get(name, row);
    const id = rows.id(row);
    const { title, key, status, image, name, amounts, offers, star } = line.parts;
    const starred = rows.starred.includes(id);
    setAll(line, { class: `nbk-pick-line${place === this.active ? " nbk-pick-active" : ""}${group ? "" : " nbk-pick-offer"}`, id: `${this.name}-${place}`, "data-place": place, "aria-rowindex": place + 2, "aria-level": group ? 1 : 2, "aria-selected": picked.includes(id), style: `top:${place * HEIGHT}px` });
    if (group?.offers.length > 1) setAll(line, { "aria-expanded": this.open.has(get("group")) });
    else line.removeAttribute("aria-expanded");
    setText(title, (group ? get("name") : get("provider_name")) ?? id);
    setText(name, id);
    key.hidden = !rows.has("has_key", row);
    setText(status, get("status") ?? "");
    status.hidden = !get("status");
    const logo = this.logos.get(get("provider"));
    if (logo) setAll(image, { src: logo });
    else image.removeAttribute("src");
    [...["input", "output", "cached"].map((name) => align(rows.write(get(name)))), number(get("context")), month(get("released"))].forEach((text, column) => setText(amounts[column], text));
    this.countOffers(offers, group);
    setText(star, starred ? "★" : "☆");
    setAll(star, { title: starred ? "take the star away" : "star: listed first", "aria-label": starred ? "starred" : "not starred" });
  }

  countOffers(cell, group) {
    const count = group?.offers.length ?? 0;
    if (count < 2) return setText(cell, count ? "1" : "");
    const hosts = new Set(group.offers.map((row) => this.rows.get("provider", row))).size;
    const least = this.rows.cheapest(group);
    if (!cell.firstElementChild) cell.replaceChildren(make("span", "nbk-pick-act", { "data-act": "offers" }));
    setText(cell.firstChild, `${hosts}${least < Infinity ? `, from ${this.rows.write(least)}` : ""} ${this.open.has(this.rows.get("group", group.row)) ? "▴" : "▾"}`);
    setAll(cell.firstChild, { title: `${hosts} providers, ${count} offers` });
  }

  showHead() {
    const label = ([name, text, unit]) => {
      const sorted = this.boxes.sort === name;
      const sign = this.boxes.turn;
      const head = button("nbk-quiet nbk-pick-sort", text, `sort by ${text}`, () => {
        // the natural direction, the other one, and no more
        this.change(!sorted ? { sort: name, turn: SORTS[name] } : sign === SORTS[name] ? { turn: -sign } : { sort: "" });
        this.head.querySelector(`[data-sort=${name}]`).focus();
      });
      head.dataset.sort = name;
      if (unit) head.append(make("small", "", {}, ` ${unit}`));
      if (sorted) head.append(sign > 0 ? " ↑" : " ↓");
      return make("span", `nbk-pick-${name}`, { role: "columnheader", "aria-sort": sorted ? (sign > 0 ? "ascending" : "descending") : "none" }, head);
    };
    const blank = (text) => make("span", "", { role: "columnheader" }, make("span", "nbk-pick-unseen", {}, text));
    this.head.replaceChildren(blank("picked"), ...HEADS.map(label), blank("star"));
  }

  showPicked() {
    const picked = this.model.get("value");
    this.picked.replaceChildren(...picked.map((id) => {
      const chip = button("nbk-pick-chip", `${id} ×`, `remove ${id}`, () => { this.pick(id); this.search.focus(); });
      chip.disabled = this.record;
      return make("li", "", {}, chip);
    }));
    this.showKeys();
  }

  showKeys() {
    const providers = Object.entries(this.missing);
    this.keys.replaceChildren(...providers.map(([provider, name]) => make("div", "", {}, `no key for ${name}: `, make("code", "", {}, `nbkit.set_key("${provider}")`))));
  }

  pick(id) {
    if (this.record) return;
    const picked = this.model.get("value");
    const own = picked.includes(id);
    this.model.set("value", own ? picked.filter((one) => one !== id) : this.model.get("multiple") ? [...picked, id] : [id]);
    this.model.save_changes();
    if (!own) this.kernel.send({ type: "picked", id });
  }

  star(row) {
    const id = this.rows.id(row);
    const on = !this.rows.starred.includes(id);
    this.rows.starred = on ? [id, ...this.rows.starred] : this.rows.starred.filter((one) => one !== id);
    this.kernel.send({ type: "star", id, on });
    this.paint(true);
    this.facets.show();
  }

  toggleOffers({ row, group }) {
    if (!group || group.offers.length < 2) return;
    const key = this.rows.get("group", row);
    this.open[this.open.has(key) ? "delete" : "add"](key);
    this.unfold();
  }

  activate(place) {
    this.active = Math.max(0, Math.min(this.lines.length - 1, place));
    const view = this.list.clientHeight - 2 * HEIGHT; // the head covers one row
    const top = this.active * HEIGHT;
    if (top < this.list.scrollTop) this.list.scrollTop = top;
    else if (top > this.list.scrollTop + view) this.list.scrollTop = top - view;
    this.paint(true);
    if (!this.drawer.hidden) this.showDetails();
  }

  pressInSearch(event) {
    const line = this.lines[this.active];
    if (event.key === "ArrowDown") { this.list.focus(); this.activate(this.active + 1); }
    else if (event.key === "Enter" && line) this.pick(this.rows.id(line.row));
    else if (event.key === "Escape") {
      if (!this.drawer.hidden) this.closeDrawer();
      else this.change(this.search.value ? { text: "" } : newBoxes(), true);
    } else return;
    event.preventDefault();
  }

  pressInList(event) {
    const line = this.lines[this.active];
    if (event.target !== this.list || !line || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(this.list.clientHeight / HEIGHT) - 2);
    const moves = { ArrowDown: this.active + 1, PageDown: this.active + page, PageUp: this.active - page, Home: 0, End: this.lines.length };
    if (event.key in moves) this.activate(moves[event.key]);
    else if (event.key === "ArrowUp") { if (this.active) this.activate(this.active - 1); else this.search.focus(); }
    else if (event.key === " " || event.key === "Enter") this.pick(this.rows.id(line.row));
    else if (event.key === "ArrowRight") this.showDetails();
    else if (event.key === "ArrowLeft") this.closeDrawer();
    else if (event.key === "o") this.toggleOffers(line);
    else if (event.key === "s") this.star(line.row);
    else if (event.key === "/") this.search.focus();
    else if (event.key === "Escape") { if (this.drawer.hidden) this.search.focus(); else this.closeDrawer(); }
    else return;
    event.preventDefault();
  }

  click(event) {
    const element = event.target.closest("[data-place]");
    if (!element) return;
    const line = this.lines[element.dataset.place];
    const act = event.target.closest("[data-act]")?.dataset.act;
    this.active = Number(element.dataset.place);
    if (act === "star") this.star(line.row);
    else if (act === "offers") this.toggleOffers(line);
    else if (event.target.closest(".nbk-pick-tick")) this.pick(this.rows.id(line.row));
    else this.showDetails();
    this.paint(true);
  }

  // What the index tells at once; all else when the kernel answers.
  showDetails() {
    const { row } = this.lines[this.active];
    const id = this.rows.id(row);
    this.detailed = id;
    this.facts = make("dl", "", {}, ...this.record ? [] : [make("dt", "", {}, "…")]);
    const picked = this.model.get("value").includes(id);
    const pick = button("nbk-primary", picked ? "Remove" : "Pick", `pick or remove ${id}`, () => { this.pick(id); this.showDetails(); this.drawer.querySelector(".nbk-primary").focus(); });
    pick.disabled = this.record;
    const group = this.found.groups.find((one) => one.offers.includes(row));
    const offers = this.rows.rank(group.offers);
    this.drawer.replaceChildren(
      make("div", "nbk-pick-top", {}, make("bdi", "nbk-pick-title", {}, this.rows.get("name", row) ?? id), pick, button("nbk-quiet", "×", "close the details (Esc)", () => this.closeDrawer())),
      this.facts,
      make("div", "nbk-pick-title", {}, `Offers: ${offers.length}`),
      make("dl", "", {}, ...offers.flatMap((one) => [make("dt", "", {}, this.rows.id(one)), make("dd", "", {}, ["input", "output"].map((name) => this.rows.write(this.rows.get(name, one))).join(" / "))])),
    );
    this.drawer.hidden = false;
    this.root.classList.add("nbk-pick-detailed");
    this.kernel.send({ type: "details", id });
  }

  showFacts(facts) {
    this.facts.replaceChildren(...facts.flatMap(([name, text]) => [make("dt", "", {}, name), make("dd", "", {}, make("bdi", "", {}, text))]));
  }

  closeDrawer() {
    const inside = this.drawer.contains(document.activeElement);
    this.drawer.hidden = true;
    this.root.classList.remove("nbk-pick-detailed");
    if (inside) this.list.focus();
  }
}

export default showOver(Picker);
