// The filters at the side of the picker, each with how many models it would leave.

const MORE = 6; // vendors and providers before "more"
const swap = (list, value, on) => (on ? [...list, value] : list.filter((one) => one !== value));

class Facets {
  constructor(picker) {
    const root = make("div", "nbk-pick-facets", { role: "group", "aria-label": "Filters" });
    Object.assign(this, { picker, root, more: new Set(), ticks: new Map(), blocks: new Map() });
  }

  // A filter: made once; afterwards its count and state change in place, so that a key costs little.
  tick(key, words, count, on, change) {
    if (!this.ticks.has(key)) {
      const box = make("input", "", { type: "checkbox", "data-facet": key });
      box.addEventListener("change", () => change(box.checked));
      this.ticks.set(key, make("label", "nbk-pick-facet", {}, box, make("bdi", "", {}, words), make("span")));
    }
    const label = this.ticks.get(key);
    label.firstChild.checked = on;
    setText(label.lastChild, number(count));
    return label;
  }

  block(label, ...content) {
    if (!this.blocks.has(label)) this.blocks.set(label, make("fieldset", "", {}, make("legend", "", {}, label)));
    const block = this.blocks.get(label);
    const nodes = [block.firstChild, ...content];
    if (nodes.length !== block.childNodes.length || nodes.some((node, place) => node !== block.childNodes[place])) block.replaceChildren(...nodes);
    return block;
  }

  choose(key, label, options) {
    if (!this.ticks.has(key)) {
      const select = make("select", "nbk-input", { "aria-label": label, "data-facet": key }, ...options.map(([value, text]) => make("option", "", { value }, text)));
      select.addEventListener("change", () => this.picker.change({ [key]: select.value === "" ? null : Number(select.value) }));
      this.ticks.set(key, select);
    }
    this.ticks.get(key).value = this.picker.boxes[key] ?? "";
    return this.block(label, this.ticks.get(key));
  }

  // The names that are ticked or most frequent, and a button for all.
  listNames(name, label) {
    const { columns, titles } = this.picker.rows;
    const { values } = columns[name];
    const own = this.picker.boxes[name].map((value) => values.indexOf(value));
    const counts = this.counts[name];
    const all = [...new Set([...own, ...[...counts].sort((a, b) => b[1] - a[1]).map(([code]) => code)])];
    const whole = this.more.has(name);
    const shown = whole ? all : all.slice(0, Math.max(MORE, own.length));
    const ticks = shown.map((code) => this.tick(`${name}-${code}`, titles[name][code] ?? values[code] ?? "unknown", counts.get(code) ?? 0, own.includes(code), (on) => this.picker.change({ [name]: swap(this.picker.boxes[name], values[code], on) })));
    if (all.length > shown.length || whole) {
      const key = `${name}-more`;
      if (!this.ticks.has(key)) {
        this.ticks.set(key, button("nbk-quiet", "", `${label}: all or the most frequent`, () => { this.more[this.more.has(name) ? "delete" : "add"](name); this.show(); }));
        this.ticks.get(key).dataset.facet = key;
      }
      this.ticks.get(key).textContent = whole ? "fewer" : `${all.length - shown.length} more …`;
      ticks.push(this.ticks.get(key));
    }
    return this.block(label, ...ticks);
  }

  // Counts anew; for a key in the search only after the list is painted, and once for several quick ones.
  count(soon) {
    clearTimeout(this.waiting);
    if (soon) { this.waiting = setTimeout(() => this.count(false), 80); return; }
    this.counts = this.picker.found.tally();
    this.show();
  }

  show() {
    const focused = this.root.contains(document.activeElement) ? document.activeElement : null;
    const counts = this.counts;
    const today = Math.floor(Date.now() / 864e5);
    const blocks = [
      ...this.names.map(([label, flags]) => this.block(label, ...flags.map(([flag, words]) => this.tick(
        flag, words, counts.flags[this.picker.rows.flagNames.indexOf(flag)], this.picker.boxes.flags.includes(flag), (on) => this.picker.change({ flags: swap(this.picker.boxes.flags, flag, on) }),
      )))),
      this.listNames("vendor", "Made by"),
      this.listNames("provider", "Served by"),
      this.choose("most", "Output, at most", [["", "any price"], ...[0.5, 1, 2, 5, 10, 20].map((usd) => [usd, `$${usd.toFixed(2)} per million tokens`])]),
      this.choose("context", "Context, at least", [[0, "any length"], ...[32e3, 128e3, 200e3, 1e6].map((size) => [size, `${number(size)} tokens`])]),
      this.choose("since", "Released in the last", [[0, "any time"], [today - 91, "3 months"], [today - 183, "6 months"], [today - 365, "year"]]),
      this.block("Yours", ...[["starred", "starred"], ["recent", "picked lately"]].map(([only, words]) => this.tick(only, words, this.picker.rows[only].length, this.picker.boxes.only === only, (on) => this.picker.change({ only: on ? only : "" })))),
      this.block(
        "Show too",
        this.tick("chat", "embed, rank, speak, draw", counts.chat, !this.picker.boxes.chat, (on) => this.picker.change({ chat: !on })),
        this.tick("deprecated", "deprecated", counts.deprecated, !this.picker.boxes.deprecated, (on) => this.picker.change({ deprecated: !on })),
      ),
    ];
    if (!this.root.firstChild) this.root.append(...blocks);
    if (focused && document.activeElement !== focused) (focused.isConnected ? focused : this.picker.search).focus();
  }
}
