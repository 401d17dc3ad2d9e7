// The model picker. The kernel keeps the models: this view sends a query and gets at most a screenful of rows.
//
// to the kernel    {kind: "query", view, seq, text, flags, ceiling, deprecated, sort}
//                  {kind: "logos", providers}
// from the kernel  {kind: "rows", view, seq, total, note,
//                   rows: [{id, name, provider, provider_id, abilities, status, input, output, context}]}
//                  {kind: "logos", logos: {provider_id: data URL}}; again when they have been fetched
// synced           value: the ids that are picked; abilities: [[column, label, explanation]] of the buttons
//
// Everything from the catalog is set by textContent: names come from the internet.

const SORTS = [
  ["relevance", "best match"],
  ["input_cost", "input price"],
  ["output_cost", "output price"],
  ["newest", "newest"],
  ["context", "longest context"],
];
const DEBOUNCE = 60; // ms
const PATIENCE = 1500; // ms without an answer before the view says that it waits
let views = 0;

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children); // strings become text nodes, never HTML
  return node;
}

const price = (usd) => (usd === null ? "?" : "$" + Number(usd.toPrecision(4)));

function tokens(count) {
  if (count === null) return "";
  return count >= 1e6 ? Number((count / 1e6).toPrecision(3)) + "M" : Math.round(count / 1e3) + "k";
}

function row(model, id, abilities) {
  const own = abilities.filter(([flag]) => model.abilities.includes(flag));
  const labels = own.map(([, label, title]) => make("span", { class: "nbk-pick-cap", title }, label));
  if (model.status) labels.push(make("span", { class: "nbk-pick-cap" }, model.status));
  return make(
    "div",
    { class: "nbk-pick-row", role: "option", id, "data-id": model.id, "aria-selected": "false" },
    make("span", { class: "nbk-pick-tick", "aria-hidden": "true" }),
    make(
      "span",
      { class: "nbk-pick-name", title: model.id },
      make("bdi", {}, model.name),
      " ",
      make("img", { class: "nbk-pick-logo", alt: "", "data-provider": model.provider_id }),
      make("bdi", { class: "nbk-pick-provider" }, model.provider),
    ),
    make("span", { class: "nbk-pick-caps" }, ...labels),
    make(
      "span",
      { class: "nbk-pick-num", title: "USD per million tokens: input, output" },
      `${price(model.input)} / ${price(model.output)}`,
    ),
    make("span", { class: "nbk-pick-num", title: "context, in tokens" }, tokens(model.context)),
  );
}

function render({ model, el }) {
  const view = `${Date.now().toString(36)}-${++views}`;
  const name = (part) => `nbk-pick-${view}-${part}`;
  const query = { text: "", flags: [], ceiling: null, deprecated: false, sort: "relevance" };
  const logos = new Map(); // by provider; "" while the kernel is asked
  let seq = 0;
  let active = -1;
  let debounce;
  let patience;

  const search = make("input", {
    class: "nbk-pick-search", type: "search", placeholder: "Search: sonet 5 vision cheap",
    role: "combobox", "aria-label": "Search models", "aria-expanded": "true", "aria-autocomplete": "list",
    "aria-controls": name("list"), autocomplete: "off", spellcheck: "false",
  });
  const sort = make("select", { "aria-label": "Sort by" }, ...SORTS.map(([value, label]) => make("option", { value }, label)));
  const toggles = model.get("abilities").map(([flag, label, title]) => toggle(label, title, (on) => {
    query.flags = on ? [...query.flags, flag] : query.flags.filter((other) => other !== flag);
  }));
  const ceiling = make("input", { class: "nbk-pick-price", type: "number", min: "0", step: "any", placeholder: "any" });
  const old = toggle("deprecated", "show deprecated models too", (on) => { query.deprecated = on; });
  const list = make("div", {
    class: "nbk-pick-list", id: name("list"), role: "listbox", tabindex: "0",
    "aria-label": "Models", "aria-multiselectable": "true",
  });
  const status = make("div", { class: "nbk-pick-status", role: "status" });
  const chips = make("ul", { class: "nbk-pick-chips", "aria-label": "Picked models" });
  const root = make(
    "div",
    // JupyterLab's single-key shortcuts must not act on what is typed here.
    { class: "nbk-pick nbk-live", role: "group", "aria-label": "Model picker", "data-lm-suppress-shortcuts": "true" },
    make("div", { class: "nbk-pick-bar" }, search, sort),
    make("div", { class: "nbk-pick-bar" }, ...toggles, old, make("label", {}, "output ≤ $/M", ceiling)),
    list, status, chips,
  );

  function toggle(label, title, change) {
    const button = make("button", { class: "nbk-pick-toggle", type: "button", title, "aria-pressed": "false" }, label);
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(on));
      change(on);
      ask();
    });
    return button;
  }

  function ask() {
    clearTimeout(patience);
    patience = setTimeout(() => { status.textContent = "Waiting for the kernel …"; }, PATIENCE);
    list.setAttribute("aria-busy", "true");
    model.send({ kind: "query", view, seq: ++seq, ...query });
  }

  function soon() {
    clearTimeout(debounce);
    debounce = setTimeout(ask, DEBOUNCE);
  }

  function paint() {
    const wanted = [];
    for (const image of list.querySelectorAll("img")) {
      const provider = image.dataset.provider;
      if (logos.get(provider)) image.src = logos.get(provider);
      else if (!logos.has(provider)) {
        logos.set(provider, "");
        wanted.push(provider);
      }
    }
    if (wanted.length) model.send({ kind: "logos", providers: wanted });
  }

  function answer(message) {
    if (message.kind === "logos") {
      for (const [provider, url] of Object.entries(message.logos)) logos.set(provider, url);
      paint();
      return;
    }
    if (message.kind !== "rows" || message.view !== view || message.seq !== seq) return;
    clearTimeout(patience);
    list.removeAttribute("aria-busy");
    list.replaceChildren(...message.rows.map((each, place) => row(each, name(place), model.get("abilities"))));
    list.scrollTop = 0;
    const count = message.total.toLocaleString("en-US");
    const shown = message.total > message.rows.length
      ? `The first ${message.rows.length} of ${count} models; type to narrow them down.`
      : `${count} ${message.total === 1 ? "model" : "models"}.`;
    status.textContent = message.note ? `${shown} (${message.note})` : shown;
    activate(message.rows.length ? 0 : -1);
    mark();
    paint();
  }

  function activate(place) {
    active = place;
    [...list.children].forEach((option, other) => option.classList.toggle("nbk-pick-active", other === place));
    for (const owner of [search, list]) {
      if (place < 0) owner.removeAttribute("aria-activedescendant");
      else owner.setAttribute("aria-activedescendant", name(place));
    }
    list.children[place]?.scrollIntoView({ block: "nearest" });
  }

  function mark() {
    const picked = model.get("value");
    for (const option of list.children) option.setAttribute("aria-selected", String(picked.includes(option.dataset.id)));
    chips.replaceChildren(...picked.map((id) => {
      const chip = make("button", { class: "nbk-pick-chip", type: "button", "aria-label": `Remove ${id}` }, id);
      chip.addEventListener("click", () => {
        pick(id);
        search.focus();
      });
      return make("li", {}, chip);
    }));
  }

  function pick(id) {
    const picked = model.get("value");
    model.set("value", picked.includes(id) ? picked.filter((other) => other !== id) : [...picked, id]);
    model.save_changes();
  }

  function key(event) {
    const last = list.children.length - 1;
    const moves = { ArrowDown: active + 1, ArrowUp: active - 1, PageDown: active + 8, PageUp: active - 8 };
    const inList = event.currentTarget === list;
    if (event.key in moves && last >= 0) activate(Math.max(0, Math.min(last, moves[event.key])));
    else if (inList && (event.key === "Home" || event.key === "End")) activate(event.key === "Home" ? Math.min(0, last) : last);
    else if (event.key === "Enter" || (inList && event.key === " ")) { if (active >= 0) pick(list.children[active].dataset.id); }
    else if (event.key === "Escape") {
      search.value = query.text = "";
      search.focus();
      ask();
    } else return;
    event.preventDefault();
  }

  search.addEventListener("input", () => { query.text = search.value; soon(); });
  search.addEventListener("keydown", key);
  list.addEventListener("keydown", key);
  list.addEventListener("click", (event) => {
    const option = event.target.closest("[role=option]");
    if (!option) return;
    activate([...list.children].indexOf(option));
    pick(option.dataset.id);
  });
  sort.addEventListener("change", () => { query.sort = sort.value; ask(); });
  ceiling.addEventListener("input", () => {
    query.ceiling = ceiling.value === "" ? null : Number(ceiling.value);
    soon();
  });

  model.on("msg:custom", answer);
  model.on("change:value", mark);
  el.append(root);
  mark();
  ask();
  return () => {
    clearTimeout(debounce);
    clearTimeout(patience);
    model.off("msg:custom", answer);
    model.off("change:value", mark);
  };
}

export default { render };
