// The table of a grid: a row for each prompt, a cell for each answer. Only the rows in sight are in the page. The row that
// is open has a drawer below it, with all its answers in full.

const ROW = 96; // px, the height of a row
const SPARE = 4; // rows beyond what is in sight
const FIGURES = { cost: "cost", seconds: "seconds", out: "tokens" };
const WAITING = { waiting: "waiting", streaming: "answering …" };

class Sheet {
  // `view` gets the acts of the reader: vote(row, choice), open(row), and tells `columns`, `prompts`, `cells`, `votes`.
  constructor(view) {
    this.view = view;
    this.nodes = new Map(); // by row, of what is in the page
    this.order = []; // the rows that pass the filters, as they stand
    this.active = { row: 0, column: 0 }; // column 0: the prompt
    this.opened = null;
    this.height = 0; // of the drawer
    this.head = make("div", "nbk-g-row nbk-g-head", { role: "row", "aria-rowindex": "1" });
    this.body = make("div", "nbk-g-body", { role: "rowgroup" });
    this.foot = make("div", "nbk-g-row nbk-g-foot", { role: "row" });
    this.empty = make("div", "nbk-g-empty", {}, "No row passes these filters.");
    this.drawer = make("div", "nbk-g-drawer", { role: "gridcell" });
    this.below = make("div", "nbk-g-below", { role: "row" }, this.drawer);
    this.node = make("div", "nbk-g-scroll", { role: "treegrid", "aria-label": "Answers by prompt and model" },
      make("div", "", { role: "rowgroup" }, this.head), this.body, make("div", "nbk-g-end", { role: "rowgroup" }, this.foot));
    this.node.addEventListener("scroll", () => this.layOut(), { passive: true });
    this.node.addEventListener("keydown", (event) => this.onKey(event));
    this.watch = new ResizeObserver(() => {
      this.height = this.opened === null ? 0 : this.below.offsetHeight;
      this.drawer.style.width = `${this.node.clientWidth}px`;
      this.layOut();
    });
    this.watch.observe(this.node);
    this.watch.observe(this.below);
  }

  remove() {
    this.watch.disconnect();
  }

  draw() {
    const { columns } = this.view;
    this.node.style.setProperty("--nbk-columns", columns.length);
    this.node.setAttribute("aria-colcount", String(columns.length + 1));
    this.drawer.setAttribute("aria-colspan", String(columns.length + 1));
    const label = (column, index) => [make("span", "nbk-g-name", {}, make("kbd", "", {}, String(index + 1)), make("bdi", "", {}, column.name)), make("bdi", "nbk-model", {}, column.model)];
    this.heads = [["Prompt", "In the order of the prompts"], ...columns.map((column) => [column.name, `Sort by this model: ${column.model}`])].map(([name, title], index) => {
      const sort = button("nbk-quiet", index ? "" : name, title, () => this.view.sort(index));
      if (index) sort.append(...label(columns[index - 1], index - 1));
      return make("div", "nbk-g-cell", { role: "columnheader", "aria-sort": "none" }, sort);
    });
    this.head.replaceChildren(...this.heads);
    this.sums = [make("div", "nbk-g-cell", { role: "rowheader" }), ...columns.map(() => make("div", "nbk-g-cell", { role: "gridcell" }))];
    this.foot.replaceChildren(...this.sums);
    for (const node of this.nodes.values()) node.remove();
    this.nodes.clear();
  }

  setOrder(order) {
    const hadFocus = this.body.contains(document.activeElement);
    this.order = order;
    this.places = new Map(order.map((row, place) => [row, place]));
    this.node.setAttribute("aria-rowcount", String(order.length + 2));
    this.foot.setAttribute("aria-rowindex", String(order.length + 2));
    this.empty.remove();
    if (!order.length) this.body.append(this.empty);
    if (!this.places.has(this.active.row) && order.length) this.active.row = order[0];
    if (this.opened !== null && !this.places.has(this.opened)) this.close();
    this.layOut();
    if (hadFocus && !this.body.contains(document.activeElement)) this.focus();
  }

  // Places of rows: the drawer moves those below it.
  top(place) {
    return place * ROW + (this.opened !== null && place > this.places.get(this.opened) ? this.height : 0);
  }

  find(y) {
    const after = this.opened === null ? Infinity : (this.places.get(this.opened) + 1) * ROW;
    return Math.floor(y <= after ? y / ROW : Math.max(after, y - this.height) / ROW);
  }

  layOut() {
    if (!this.places) return;
    this.body.style.height = this.order.length ? `${this.top(this.order.length)}px` : "";
    const y = this.node.scrollTop;
    const wanted = new Set(this.order.slice(Math.max(0, this.find(y) - SPARE), this.find(y + this.node.clientHeight) + SPARE));
    for (const row of [this.active.row, this.opened]) if (this.places.has(row)) wanted.add(row); // the focus is there
    for (const [row, node] of this.nodes) {
      if (wanted.has(row)) continue;
      node.remove();
      this.nodes.delete(row);
    }
    for (const row of wanted) {
      if (!this.nodes.has(row)) this.add(row);
      const [node, place] = [this.nodes.get(row), this.places.get(row)];
      node.style.top = `${this.top(place)}px`;
      node.setAttribute("aria-rowindex", String(place + 2));
      node.classList.toggle("nbk-g-odd", place % 2 === 1);
    }
    if (this.opened !== null) this.below.style.top = `${(this.places.get(this.opened) + 1) * ROW}px`;
  }

  // In the page, rows stand in the order of the eye.
  add(row) {
    const cells = [make("div", "nbk-g-cell nbk-g-prompt", { role: "rowheader", tabindex: "-1" })];
    for (const _ of this.view.columns) cells.push(make("div", "nbk-g-cell", { role: "gridcell", tabindex: "-1" }));
    const node = make("div", "nbk-g-row", { role: "row" }, ...cells);
    cells.forEach((cell, column) => {
      cell.addEventListener("click", (event) => {
        if (event.target.closest("button") || String(getSelection())) return;
        const same = this.active.row === row && this.active.column === column;
        this.move(row, column);
        if (this.opened !== row || same) this.view.open(this.opened === row ? null : row);
      });
      cell.addEventListener("focus", () => this.activate(row, column));
    });
    const next = [...this.nodes].filter(([other]) => this.places.get(other) > this.places.get(row))
      .reduce((least, one) => (least && this.places.get(least[0]) < this.places.get(one[0]) ? least : one), null);
    this.body.insertBefore(node, next ? next[1] : null);
    this.nodes.set(row, node);
    this.fill(row);
  }

  fill(row) {
    const node = this.nodes.get(row);
    if (!node) return;
    const choice = this.view.votes.get(row);
    const verdict = { tie: "a tie", bad: "none is good" }[choice];
    const text = make("div", "nbk-g-text", { dir: "auto" }, this.view.prompts[row]);
    node.children[0].replaceChildren(text, make("div", "nbk-g-line", {}, make("span", "nbk-g-number", {}, `${row + 1}`), verdict ? make("span", "nbk-g-verdict", {}, verdict) : ""));
    this.view.columns.forEach((_, column) => this.fillCell(node.children[column + 1], row, column, choice));
    node.setAttribute("aria-expanded", String(this.opened === row));
    this.mark(node, row);
  }

  fillCell(node, row, column, choice) {
    const cell = this.view.cells[row][column];
    node.dataset.status = cell.status;
    const figures = Object.keys(FIGURES).map((name) => cell.figures?.[name]?.[1] + (name === "out" ? " tok" : "")).filter((value) => !value.startsWith("undefined"));
    const name = this.view.columns[column].name;
    const line = make("div", "nbk-g-line", {}, make("span", "nbk-g-figures", {}, cell.status === "failed" ? "failed" : (cell.status === "stopped" ? "stopped · " : "") + figures.join(" · ")));
    if (cell.status === "done") {
      const won = choice === column;
      const star = button("nbk-quiet nbk-star", won ? "★" : "☆", won ? `${name} is the best here; take the vote back` : `${name} is the best here (${column + 1})`, () => {
        this.activate(row, column + 1);
        this.view.vote(row, won ? null : column);
      });
      star.tabIndex = -1;
      star.setAttribute("aria-pressed", String(won));
      line.append(star);
    }
    node.classList.toggle("nbk-won", choice === column);
    node.replaceChildren(this.writeWords(cell), line);
  }

  // The beginning of an answer, in lines of text.
  writeWords({ html, status, until }) {
    const words = make("div", "nbk-g-text nbk-g-words", { dir: "auto" });
    if (html) words.innerHTML = html;
    else words.textContent = until !== undefined ? describeWait(until) : WAITING[status] ?? "(no text)";
    return words;
  }

  // Counts down what rate limits hold up.
  tick() {
    for (const [row, node] of this.nodes) this.view.cells[row].forEach(({ until }, column) => {
      if (until !== undefined) node.children[column + 1].firstChild.textContent = describeWait(until);
    });
  }

  // The cell that takes the focus.
  mark(node, row) {
    [...node.children].forEach((cell, column) => {
      cell.tabIndex = row === this.active.row && column === this.active.column ? 0 : -1;
    });
    node.classList.toggle("nbk-g-active", row === this.active.row);
  }

  activate(row, column) {
    const before = this.nodes.get(this.active.row);
    const old = this.active.row;
    this.active = { row, column };
    if (before) this.mark(before, old);
    if (this.nodes.has(row)) this.mark(this.nodes.get(row), row);
  }

  move(row, column) {
    this.activate(row, column);
    this.layOut();
    this.focus();
  }

  focus() {
    const cell = this.nodes.get(this.active.row)?.children[this.active.column];
    if (!cell) return;
    cell.focus({ preventScroll: true });
    this.show();
  }

  // Scrolls the row between head and foot, the column beside the prompts.
  show() {
    const [view, top] = [this.node, this.top(this.places.get(this.active.row))];
    const free = view.clientHeight - this.head.offsetHeight - this.foot.offsetHeight;
    const height = ROW + (this.opened === this.active.row ? Math.min(this.height, free - ROW) : 0);
    if (top < view.scrollTop) view.scrollTop = top;
    else if (top + height > view.scrollTop + free) view.scrollTop = top + height - free;
    const cell = this.nodes.get(this.active.row).children[this.active.column];
    const left = cell.offsetLeft - this.heads[0].offsetWidth;
    if (this.active.column && left < view.scrollLeft) view.scrollLeft = left;
    else if (cell.offsetLeft + cell.offsetWidth > view.scrollLeft + view.clientWidth) view.scrollLeft = cell.offsetLeft + cell.offsetWidth - view.clientWidth;
  }

  onKey(event) {
    if (event.target.closest("button, input, summary, a") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest(".nbk-g-drawer, .nbk-g-head, .nbk-g-foot")) {
      if (event.key.startsWith("Arrow") || event.key.startsWith("Page")) event.stopPropagation(); // they scroll an answer
      return;
    }
    const { row, column } = this.active;
    const [place, last] = [this.places.get(row) ?? 0, this.order.length - 1];
    const page = Math.max(1, Math.floor(this.node.clientHeight / ROW) - 2);
    const steps = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1], PageDown: [page, 0], PageUp: [-page, 0], Home: [0, -column], End: [0, this.view.columns.length] };
    if (event.key in steps && last >= 0) {
      const [down, right] = steps[event.key];
      const next = this.order[Math.min(last, Math.max(0, place + down))];
      this.move(next, Math.min(this.view.columns.length, Math.max(0, column + right)));
      if (this.opened !== null && this.opened !== next) this.view.open(next); // the drawer goes along
    } else if (event.key === "Enter" || event.key === " ") this.view.open(this.opened === row ? null : row);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  open(row) {
    const before = this.opened;
    this.opened = row;
    if (this.nodes.has(before)) this.nodes.get(before).setAttribute("aria-expanded", "false");
    this.layOut();
    const node = this.nodes.get(row);
    node.setAttribute("aria-expanded", "true");
    if (this.below.previousSibling !== node) node.after(this.below);
    this.height = this.below.offsetHeight;
    this.layOut();
    this.show();
  }

  close() {
    const hadFocus = this.below.contains(document.activeElement);
    this.nodes.get(this.opened)?.setAttribute("aria-expanded", "false");
    this.opened = null;
    this.height = 0;
    this.below.remove();
    this.layOut();
    if (hadFocus) this.focus();
  }
}
