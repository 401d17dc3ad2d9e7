// Views of a grid: the bar with the cost, Start and Stop; filters; the table (sheet.js). The messages are described in
// nbkit/notebook/sheet.py.

const SILENCE = 8000; // ms without a message from the kernel before a ping, and again before the reader gets a notice

class View {
  constructor(model, el) {
    this.model = model;
    this.seq = -1; // no snapshot yet
    this.columns = this.prompts = this.cells = [];
    this.votes = new Map();
    this.answers = new Map(); // by row, in full
    this.sorted = { column: 0, down: false };
    this.kernel = new Kernel(model, () => this.becomeRecord());

    this.title = make("span", "nbk-g-title", { dir: "auto" });
    this.state = make("span", "nbk-g-state", { role: "timer", "aria-live": "off" });
    this.ahead = make("span", "nbk-g-ahead");
    this.start = button("nbk-primary", "Start", "Send all calls", () => this.act("start"));
    this.retry = button("", "Retry", "Ask again where it failed", () => this.act("retry"));
    this.stop = button("nbk-stop", "Stop", "Stop all answers (Esc)", () => this.act("stop"));
    this.progress = make("div", "nbk-g-progress", { "aria-hidden": "true" }, make("i", ""));
    this.search = make("input", "nbk-input", { type: "search", placeholder: "Find in prompts ( / )", "aria-label": "Find in prompts" });
    this.toggles = Object.fromEntries(["different", "failed", "without a vote"].map((name) => [name, this.makeToggle(name)]));
    this.figure = make("select", "nbk-select", { "aria-label": "Figure to sort by" }, ...Object.entries(FIGURES).map(([name, label]) => make("option", "", { value: name }, `sort by ${label}`)));
    this.count = make("span", "nbk-g-count", { role: "status" });
    this.sheet = new Sheet(this);
    this.totals = make("span", "nbk-g-totals");
    this.notice = make("span", "nbk-g-notice", { role: "status" });
    this.keys = make("span", "nbk-g-keys", {}, "↑↓←→ move · Enter opens · 1-9 or v best · 0 tie · x none · / find");
    // Without this, JupyterLab would treat Enter, Escape and letters as shortcuts of the notebook.
    this.root = make("div", "nbk-live nbk-grid", { role: "group", "data-lm-suppress-shortcuts": "true" },
      make("div", "nbk-g-bar", {}, make("div", "nbk-g-top", {}, this.title, this.state, this.ahead, this.retry, this.start, this.stop), this.progress),
      make("div", "nbk-g-tools", {}, this.search, ...Object.values(this.toggles), this.figure, this.count),
      this.sheet.node,
      make("div", "nbk-g-under", {}, this.totals, this.notice, this.keys));
    this.root.addEventListener("keydown", (event) => this.onKey(event));
    this.search.addEventListener("input", () => this.filter());
    this.figure.addEventListener("change", () => this.filter());
    el.append(this.root);
    this.setFoot({ busy: false, done: 0, failed: 0, total: 0, elapsed: 0, spent: "", totals: "", start: "", retry: "", columns: [] });

    this.onMessage = (message) => this.receive(message);
    model.on("msg:custom", this.onMessage);
    this.notify("Waiting for the kernel …");
    this.post({ type: "ready" });
  }

  remove() {
    clearTimeout(this.timer);
    clearInterval(this.ticker);
    this.sheet.remove();
    this.model.off("msg:custom", this.onMessage);
    this.kernel.remove();
  }

  makeToggle(name) {
    const toggle = button("nbk-toggle", name === "without a vote" ? "no vote yet" : `only ${name}`, `Show the rows ${name === "without a vote" ? name : `with ${name} answers`} only`, () => {
      toggle.setAttribute("aria-pressed", String(toggle.getAttribute("aria-pressed") !== "true"));
      this.filter();
    });
    toggle.setAttribute("aria-pressed", "false");
    return toggle;
  }

  // Messages

  post(message) {
    if (!this.kernel.alive) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.notify("No answer from the kernel yet; it may be busy with a cell."), SILENCE);
    this.kernel.send(message);
  }

  receive(message) {
    if (message.type === "snapshot") {
      if (message.seq !== this.seq || this.lost) this.draw(message);
      this.seq = message.seq;
      this.lost = false;
    } else if (message.type === "delta") {
      if (this.seq < 0 || this.lost) return; // the snapshot is on its way
      if (message.seq !== this.seq + 1) {
        this.lost = true;
        this.post({ type: "resync" });
        return;
      }
      this.seq = message.seq;
      this.update(message);
    } else if (message.type === "answers") {
      this.answers.set(message.row, message);
      if (this.sheet.opened === message.row) this.fillDrawer();
    } else if (message.type !== "pong") return;
    clearTimeout(this.timer);
    if (this.foot.busy) this.timer = setTimeout(() => this.post({ type: "ping" }), SILENCE);
    this.notify("");
  }

  draw(snapshot) {
    this.columns = snapshot.columns;
    this.prompts = snapshot.prompts;
    this.sought = this.prompts.map((prompt) => prompt.toLowerCase());
    this.cells = this.prompts.map(() => this.columns.map(() => ({ status: "waiting" })));
    this.votes = new Map();
    this.answers.clear();
    this.title.textContent = snapshot.title;
    this.root.setAttribute("aria-label", `Grid of ${this.prompts.length} prompts and ${this.columns.length} models`);
    this.sheet.draw();
    this.update(snapshot);
    this.filter();
  }

  update({ cells, votes, foot }) {
    const changed = new Set();
    for (const cell of cells) {
      if (cell.limited !== undefined) cell.until = cell.limited && performance.now() + 1000 * cell.limited;
      this.cells[cell.row][cell.column] = cell;
      this.answers.delete(cell.row);
      changed.add(cell.row);
    }
    for (const { row, choice } of votes) {
      if (choice === null) this.votes.delete(row);
      else this.votes.set(row, choice);
      changed.add(row);
    }
    for (const row of changed) this.sheet.fill(row);
    if (cells.length && this.sheet.places && this.isFiltered) this.filter();
    const opened = this.sheet.opened;
    if (changed.has(opened)) {
      if (this.answers.has(opened)) this.fillDrawer();
      else this.post({ type: "open", row: opened });
    }
    this.setFoot(foot);
  }

  // The bar, the foot of the table

  setFoot(foot) {
    this.foot = foot;
    this.began = performance.now() - 1000 * foot.elapsed;
    const busy = foot.busy && this.kernel.alive;
    const [held] = [this.start, this.stop, this.retry].filter((one) => one === document.activeElement);
    this.totals.textContent = foot.totals;
    this.stop.hidden = !busy;
    this.start.hidden = busy || !foot.start;
    this.retry.hidden = busy || !foot.retry;
    this.start.textContent = foot.done || foot.failed || foot.elapsed ? "Go on" : "Start";
    this.retry.textContent = `Retry ${foot.failed} failed`;
    this.retry.title = `Ask again where it failed: ${foot.retry}`;
    this.start.disabled = this.retry.disabled = !this.kernel.alive;
    this.stop.disabled = false;
    this.ahead.textContent = busy ? "" : foot.start;
    if (held?.hidden) ([this.stop, this.start, this.retry].find((one) => !one.hidden) ?? this.search).focus({ preventScroll: true });
    this.progress.hidden = !busy;
    this.progress.firstChild.style.width = `${(100 * (foot.done + foot.failed)) / Math.max(foot.total, 1)}%`;
    this.setState();
    clearInterval(this.ticker);
    if (busy) this.ticker = setInterval(() => { this.setState(); this.sheet.tick(); }, 500);
    if (this.sheet.sums) this.setSums(foot);
  }

  setState() {
    const { busy, done, failed, total, elapsed, spent } = this.foot;
    const parts = [`${done + failed} of ${total} done`];
    if (failed) parts.push(`${failed} failed`);
    if (busy || elapsed) parts.push(`${(busy ? (performance.now() - this.began) / 1000 : elapsed).toFixed(0)} s`);
    if (spent) parts.push(spent);
    const text = total && (busy || elapsed || done) ? parts.join(" · ") : "";
    if (this.state.textContent !== text) this.state.textContent = text;
  }

  setSums({ columns, failed }) {
    const find = (value, best) => {
      const known = columns.map(value).filter((one) => one !== null && one !== undefined);
      return known.length > 1 && new Set(known).size > 1 ? best(...known) : null;
    };
    const share = (sums) => (sums.votes ? sums.won / sums.votes : null);
    const best = [
      [(sums) => (sums.seconds === null ? null : sums.cost[0]), Math.min, "cheapest"],
      [(sums) => sums.seconds, Math.min, "fastest"],
      [share, Math.max, "won most"],
    ].map(([value, pick, label]) => ({ value, top: find(value, pick), label }));
    this.sheet.sums[0].replaceChildren(make("span", "nbk-label", {}, "all prompts"), make("span", "nbk-g-voted", {}, this.votes.size ? `${this.votes.size} of ${this.prompts.length} voted on` : ""));
    columns.forEach((sums, index) => {
      const facts = [sums.seconds === null ? "" : sums.cost[1], sums.seconds === null ? "" : `${sums.seconds.toFixed(1)} s`, sums.votes ? `won ${sums.won} of ${sums.votes}` : ""];
      const nodes = facts.map((text, fact) => {
        const isTop = best[fact].top !== null && best[fact].value(sums) === best[fact].top;
        return make("span", isTop ? "nbk-best" : "", isTop ? { title: best[fact].label } : {}, text);
      });
      if (sums.failed) nodes.push(make("span", "nbk-bad", {}, `${sums.failed} failed`));
      const bar = make("span", "nbk-win", { "aria-hidden": "true" }, make("i", ""));
      bar.firstChild.style.width = `${100 * (share(sums) ?? 0)}%`;
      this.sheet.sums[index + 1].replaceChildren(...nodes, ...(this.votes.size ? [bar] : []));
    });
  }

  act(type) {
    if (!this.kernel.alive) return;
    if (type === "stop") {
      this.stop.disabled = true;
      this.sheet.focus();
    }
    this.post({ type });
  }

  becomeRecord() {
    clearTimeout(this.timer);
    this.root.classList.add("nbk-record");
    this.setFoot({ ...this.foot, busy: false });
    this.notify(RECORD);
  }

  notify(text) {
    if (this.notice.textContent !== text) this.notice.textContent = text;
  }

  // Filters and order

  isOn(name) {
    return this.toggles[name].getAttribute("aria-pressed") === "true";
  }

  get isFiltered() {
    return this.sorted.column > 0 || Object.keys(this.toggles).some((name) => this.isOn(name));
  }

  filter() {
    const words = this.search.value.toLowerCase().trim();
    const tests = [];
    if (words) tests.push((row) => this.sought[row].includes(words));
    if (this.isOn("different")) tests.push((row) => new Set(this.cells[row].flatMap((cell) => cell.key ?? [])).size > 1);
    if (this.isOn("failed")) tests.push((row) => this.cells[row].some((cell) => cell.status === "failed"));
    if (this.isOn("without a vote")) tests.push((row) => !this.votes.has(row));
    let rows = [...this.prompts.keys()].filter((row) => tests.every((test) => test(row)));
    const { column, down } = this.sorted;
    if (column) {
      const value = (row) => this.cells[row][column - 1].figures?.[this.figure.value]?.[0];
      const known = rows.filter((row) => value(row) !== undefined).sort((a, b) => (value(a) - value(b)) * (down ? -1 : 1));
      rows = [...known, ...rows.filter((row) => value(row) === undefined)];
    } else if (down) rows.reverse();
    this.count.textContent = tests.length ? `${rows.length} of ${this.prompts.length} rows` : "";
    this.sheet.setOrder(rows);
  }

  sort(column) {
    this.sorted = { column, down: this.sorted.column === column && !this.sorted.down };
    this.sheet.heads.forEach((head, index) => head.setAttribute("aria-sort", index !== column ? "none" : this.sorted.down ? "descending" : "ascending"));
    this.filter();
  }

  // Votes, the drawer

  vote(row, choice) {
    const done = this.cells[row].map(({ status }) => status === "done");
    const allowed = choice === null || (done.filter(Boolean).length > 1 && (typeof choice === "string" || done[choice]));
    if (allowed) this.post({ type: "vote", row, choice });
  }

  open(row) {
    if (row === null) return this.sheet.close();
    if (this.answers.has(row)) this.sheet.opened = row;
    else {
      this.drawEmpty(row);
      this.post({ type: "open", row });
    }
    if (this.answers.has(row)) this.fillDrawer();
    this.sheet.open(row);
  }

  drawEmpty(row) {
    const words = this.cells[row].map((cell, index) => this.makeAnswer(row, index, this.sheet.writeWords(cell)));
    const note = !this.kernel.alive ? [make("div", "nbk-label", {}, "Without the kernel, only the first words of each answer are here.")] : [];
    this.sheet.drawer.replaceChildren(...note, make("div", "nbk-g-answers", {}, ...words));
  }

  makeAnswer(row, column, ...content) {
    const { name, model } = this.columns[column];
    const vote = button(this.votes.get(row) === column ? "nbk-primary" : "", this.votes.get(row) === column ? "★ best" : "best", `${name} is the best here (${column + 1})`, () => this.vote(row, this.votes.get(row) === column ? null : column));
    vote.setAttribute("aria-pressed", String(this.votes.get(row) === column));
    vote.disabled = this.cells[row][column].status !== "done" || !this.kernel.alive;
    const text = make("div", "nbk-scroll", { tabindex: "0", role: "group", "aria-label": `Answer of ${model}` }, ...content);
    const head = make("div", "nbk-g-who", {}, make("kbd", "", {}, String(column + 1)), make("bdi", "nbk-g-name", { title: model }, name), vote);
    return make("section", "nbk-g-answer", {}, head, text);
  }

  fillDrawer() {
    const row = this.sheet.opened;
    const { prompt, cells } = this.answers.get(row);
    const held = this.sheet.drawer.contains(document.activeElement) ? [...this.sheet.drawer.querySelectorAll("button, .nbk-scroll")].indexOf(document.activeElement) : -1;
    const question = make("div", "nbk-g-question", { dir: "auto", tabindex: "0", role: "group", "aria-label": "Prompt" });
    question.innerHTML = prompt;
    const answers = cells.map(({ status, html, end }, column) => {
      const answer = make("div", "nbk-answer jp-RenderedHTMLCommon", { dir: "auto" });
      answer.innerHTML = html;
      const below = [];
      if (end?.problem) below.push(make("div", "nbk-problem", {}, make("div", "", { dir: "auto" }, end.problem[0]), end.problem[1]));
      if (end) below.push(make("div", "nbk-strip", {}, ...end.strip.map(([label, value, title]) => make("span", "nbk-fact", { title }, make("span", "nbk-label", {}, label), ` ${value}`))));
      for (const note of end?.notes ?? []) below.push(make("div", "nbk-label", {}, make("bdi", "", {}, note)));
      if (!end) below.push(make("div", "nbk-label", {}, WAITING[status]));
      return this.makeAnswer(row, column, answer, ...below);
    });
    const choice = this.votes.get(row);
    const rest = [["tie", "tie", "All are equally good (0)"], ["bad", "none is good", "No answer is good (x)"]].map(([name, label, title]) => {
      const vote = button(choice === name ? "nbk-primary" : "", label, title, () => this.vote(row, choice === name ? null : name));
      vote.setAttribute("aria-pressed", String(choice === name));
      vote.disabled = !this.kernel.alive;
      return vote;
    });
    const close = button("nbk-quiet", "close", "Close the answers (Esc)", () => this.sheet.close());
    this.sheet.drawer.replaceChildren(question, make("div", "nbk-g-answers", {}, ...answers), make("div", "nbk-g-rest", {}, ...rest, close));
    if (held >= 0) (this.sheet.drawer.querySelectorAll("button, .nbk-scroll")[held] ?? close).focus({ preventScroll: true });
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target === this.search;
    const { row, column } = this.sheet.active;
    const choices = { 0: "tie", t: "tie", x: "bad", b: "bad", v: column - 1 };
    if (event.key === "Escape") {
      if (typing && this.search.value) {
        this.search.value = "";
        this.filter();
      } else if (this.sheet.opened !== null) {
        this.sheet.close();
        this.sheet.focus();
      } else if (this.foot.busy) this.act("stop");
      else return;
    } else if (typing) {
      if (event.key === "ArrowDown" || event.key === "Enter") this.sheet.focus();
      else return event.stopPropagation();
    } else if (event.key === "/") this.search.focus();
    else if (this.sheet.body.contains(event.target) && (event.key in choices || /^[1-9]$/.test(event.key))) {
      const choice = choices[event.key] ?? Number(event.key) - 1;
      if (choice === -1 || choice >= this.columns.length) return;
      this.vote(row, this.votes.get(row) === choice ? null : choice);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

export default showOver(View);
