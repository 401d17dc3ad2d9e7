// Views of a comparison: the bar that stays, the score line, the panes (panes.js), the box for a follow-up. The messages
// are described in nbkit/notebook/deltas.py.

const SILENCE = 8000; // ms without a message from the kernel before a ping, and again before the reader gets a notice

// A row for each model, about its last answer. A click on a head sorts, a click on a name goes to its pane.
const COLUMNS = [
  { key: "cost", label: "cost", title: "USD of this answer", best: Math.min, mark: "cheapest" },
  { key: "first", label: "first token", title: "seconds until the answer began", best: Math.min, mark: "first to begin" },
  { key: "seconds", label: "seconds", title: "seconds of the whole call", best: Math.min, mark: "fastest" },
  { key: "speed", label: "tokens/s", title: "tokens of the answer per second of the whole call", best: Math.max, mark: "most tokens per second" },
  { key: "out", label: "out", title: "tokens of the answer, reasoning included" },
  { key: "agrees", label: "agrees", title: "share of the words that this answer and the base have in common" },
  { key: "won", label: "won", title: "pairs of answers won by your votes, of so many; a tie is half", best: Math.max, mark: "most wins" },
  { key: "score", label: "score", title: "pairs of answers won by the judge model's verdicts", best: Math.max, mark: "the judge's best" },
];

class Score {
  constructor() {
    this.body = make("tbody", "");
    this.heads = COLUMNS.map((column) => {
      const sort = button("nbk-quiet", column.label, `Sort by ${column.label}: ${column.title}`, () => this.sort(column.key));
      return make("th", "", { scope: "col", "aria-sort": "none" }, sort);
    });
    const model = button("nbk-quiet", "model", "In the order of the panes", () => this.sort(null));
    const heads = make("tr", "", {}, make("th", "", { scope: "col" }, model), ...this.heads);
    this.node = make("table", "nbk-score", { "aria-label": "Cost and speed of the answers" }, make("thead", "", {}, heads), this.body);
    this.node.hidden = true; // until a snapshot has rows
    this.key = null; // the column that sorts; null: the order of the panes
    this.down = false;
  }

  draw(panes) {
    this.rows = panes.map((pane) => {
      const name = button("nbk-quiet nbk-jump", pane.name, `Go to the answer of ${pane.model}`, () => {
        pane.scroll.focus();
        pane.node.scrollIntoView({ block: "nearest" });
      });
      const cells = COLUMNS.map(() => make("td", ""));
      const title = make("th", "", { scope: "row" }, name, make("bdi", "nbk-model", {}, pane.model));
      return { pane, cells, node: make("tr", "", {}, title, ...cells) };
    });
    this.node.hidden = panes.length < 2;
    this.update();
  }

  update() {
    const ended = this.rows.filter(({ pane }) => pane.last && pane.last.status === "done").length;
    COLUMNS.forEach(({ key, best, mark }, index) => {
      const values = this.rows.flatMap(({ pane }) => pane.last?.status === "done" ? pane.last.figures[key]?.[0] ?? [] : []);
      const top = best && ended > 1 && new Set(values).size > 1 ? best(...values) : null;
      const empty = index > 4 && !this.rows.some(({ pane }) => pane.last?.figures[key]);
      this.heads[index].hidden = empty;
      for (const { pane, cells } of this.rows) {
        cells[index].hidden = empty;
        const [value, text] = pane.last?.figures[key] ?? [];
        const live = key === "seconds" && value === undefined && pane.running ? pane.clock() : "";
        cells[index].textContent = text ?? live;
        const isTop = top !== null && value === top && pane.last.status === "done";
        cells[index].className = isTop ? "nbk-best" : live ? "nbk-live-figure" : "";
        if (isTop) cells[index].title = mark;
        else cells[index].removeAttribute("title");
      }
    });
    this.order();
  }

  sort(key) {
    this.down = key !== null && this.key === key ? !this.down : COLUMNS.find((column) => column.key === key)?.best === Math.max;
    this.key = key;
    this.heads.forEach((head, index) => {
      const sorted = COLUMNS[index].key === key;
      head.setAttribute("aria-sort", sorted ? (this.down ? "descending" : "ascending") : "none");
    });
    this.order();
  }

  order() {
    const value = ({ pane }) => pane.last?.figures[this.key]?.[0];
    const rows = [...this.rows];
    if (this.key !== null) {
      const known = rows.filter((row) => value(row) !== undefined).sort((a, b) => (value(a) - value(b)) * (this.down ? -1 : 1));
      rows.splice(0, rows.length, ...known, ...rows.filter((row) => value(row) === undefined));
    }
    if (rows.some((row, index) => this.body.children[index] !== row.node)) this.body.replaceChildren(...rows.map((row) => row.node));
  }
}

class View {
  constructor(model, el) {
    this.model = model;
    this.id = Math.random().toString(36).slice(2);
    this.seq = -1; // no snapshot yet
    this.panes = [];
    this.busy = false;

    this.stop = button("nbk-stop", "Stop", "Stop all answers (Esc)", () => this.halt());
    this.prompt = make("span", "nbk-asked", { dir: "auto" });
    this.pictures = make("span", "nbk-pictures");
    this.system = make("details", "nbk-think", {}, make("summary", "", {}, "System prompt"), make("div", "nbk-thought", { dir: "auto" }));
    this.system.addEventListener("toggle", () => reachScrolling(this.bar));
    this.state = make("span", "nbk-state", { role: "timer", "aria-live": "off" });
    this.progress = make("div", "nbk-progress", { "aria-hidden": "true" }, make("i", ""));
    this.grid = make("div", "nbk-panes");
    this.together = new Together(this);
    this.bar = make("div", "nbk-bar", {}, make("div", "nbk-line", {}, this.prompt, this.pictures, this.state, this.together.button, this.stop), this.system, this.progress);
    this.score = new Score();
    this.input = make("textarea", "nbk-input", { rows: "1", dir: "auto", "aria-label": "Follow-up", enterkeyhint: "send" });
    this.send = button("nbk-primary nbk-send", "Send", "Send the follow-up (Enter)", () => this.ask());
    this.notice = make("span", "nbk-notice", { role: "status" });
    this.totals = make("span", "nbk-totals");
    this.ahead = make("span", "nbk-ahead");
    this.keys = new Keys(this);
    this.context = make("span", "nbk-context");
    this.votes = new Votes((choice) => this.post({ type: "vote", choice }));
    // Without this, JupyterLab would treat Enter, Escape and Shift+Enter as shortcuts of the notebook.
    this.root = make("div", "nbk-live", { role: "group", "data-lm-suppress-shortcuts": "true" });
    this.files = new Files(this);
    this.slots = new Slots(this.root, (message) => this.post(message));
    this.footer = make("div", "nbk-footer", {},
      this.keys.list,
      make("div", "nbk-verdict", {}, this.votes.node, this.slots.tools),
      this.files.node,
      make("div", "nbk-ask", {}, this.files.button, this.input, this.send),
      make("div", "nbk-line", {}, this.totals, this.context, this.notice, this.ahead, this.keys.button));
    this.menu = new Menu(this);
    this.root.append(makeSlot("style"), this.bar, this.slots.judge, this.slots.results, this.score.node, this.grid, this.footer, this.menu.node);
    this.root.addEventListener("keydown", (event) => this.onKey(event));
    this.input.addEventListener("input", () => this.fit());
    el.append(this.root);

    this.sight = new IntersectionObserver((seen) => {
      for (const { target, isIntersecting } of seen) this.panes.find(({ node }) => node === target)?.setSight(isIntersecting);
    });
    this.width = new ResizeObserver(() => reachScrolling(this.grid));
    this.width.observe(this.grid);
    this.onMessage = (message) => this.receive(message);
    this.onState = () => { if (this.seq < 0) this.restore(); };
    model.on("msg:custom", this.onMessage);
    this.kernel = new Kernel(model, () => this.becomeRecord());
    model.on("change:state", this.onState);
    this.invitation = "";
    this.foot = { busy: false, totals: "", ahead: "", spent: "" };
    this.setFoot(this.foot);
    this.restore();
    this.post({ type: "ready" });
  }

  remove() {
    if (this.home?.isConnected) this.kernel.send({ type: "left" }); // cleared, or moved; not closed with its notebook
    clearTimeout(this.timer);
    clearInterval(this.ticker);
    this.sight.disconnect();
    this.width.disconnect();
    this.model.off("msg:custom", this.onMessage);
    this.kernel.remove();
    this.model.off("change:state", this.onState);
  }

  // Shows the snapshot of the last finished turn until the kernel answers.
  async restore() {
    const packed = this.model.get("state");
    if (!packed?.byteLength) return;
    const state = JSON.parse(await inflate(packed));
    if (this.seq < 0) this.draw(state);
  }

  post(message, buffers) {
    if (!this.kernel.alive) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.notify("No answer from the kernel yet; it may be busy with a cell."), SILENCE);
    this.kernel.send(message, buffers);
  }

  receive(message) {
    this.home ??= this.root.closest(".jp-Notebook");
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
      if (message.panes && message.panes.length !== this.panes.length) {
        this.lost = true;
        this.post({ type: "resync" });
        return;
      }
      this.update(message);
    } else if (message.type === "attached") this.files.settle(message);
    else if (message.type === "suggestions") message.view === this.id && this.menu.suggest(message.models);
    else if (message.type === "notice" || message.type === "copy") {
      clearTimeout(this.timer);
      if (message.type === "notice") this.notify(message.text);
      else if (message.view === this.id) copy(message.text).then(() => this.notify("Copied"), () => this.notify("Not copied"));
      return;
    } else if (message.type !== "pong") return;
    clearTimeout(this.timer);
    if (this.busy) this.timer = setTimeout(() => this.post({ type: "ping" }), SILENCE);
    this.notify("");
  }

  draw(snapshot) {
    const hadFocus = this.root.contains(document.activeElement);
    const post = (index) => (message) => this.post({ ...message, pane: index });
    this.panes = snapshot.panes.map((pane, index) => new Pane(pane, post(index), this.menu));
    this.panes.forEach((pane, index) => { pane.compared = makeSlot(`differences${index}`, "nbk-compared"); });
    this.grid.replaceChildren(...this.panes.map((pane) => pane.node));
    this.sight.disconnect();
    for (const pane of this.panes) this.sight.observe(pane.node);
    this.grid.dataset.panes = this.panes.length;
    if (this.panes.length === 1) this.panes[0].scroll.prepend(this.system);
    this.drawNames();
    const many = this.panes.length > 1;
    this.root.classList.toggle("nbk-many", many);
    this.together.button.hidden = !many;
    this.root.setAttribute("aria-label", many ? `Comparison of ${this.panes.length} models` : "Chat");
    this.invitation = many ? `Ask all ${this.panes.length} models a follow-up` : "Ask a follow-up";
    this.slots.clear();
    this.update(snapshot);
    if (hadFocus && !this.root.contains(document.activeElement)) (this.slots.focused ?? this.bar).focus({ preventScroll: true });
  }

  drawNames() {
    this.score.draw(this.panes);
    this.votes.draw(this.panes);
  }

  update({ panes, news, foot, slots }) {
    const renamed = panes?.filter((head, index) => this.panes[index].setHead(head)).length;
    if (renamed) this.drawNames();
    // First read, then write, then scroll: the browser lays the page out once.
    const followed = news.filter(({ pane, prompt }) => prompt !== undefined || this.panes[pane].atBottom);
    for (const item of news) this.panes[item.pane].apply(item);
    const first = this.panes[0].turns[0]?.prompt.innerHTML; // the bar has it, unless there are further turns
    for (const { node, turns: [turn] } of this.panes) node.classList.toggle("nbk-own", turn?.prompt.innerHTML !== first);
    for (const { pane } of followed) this.panes[pane].toBottom();
    for (const { pane, end, closed } of news) {
      if (end || closed) reachScrolling(this.panes[pane].scroll);
      if (end) this.panes[pane].toTop(); // an answer is read from its start
      this.panes[pane].markCut();
    }
    for (const pane of this.panes) pane.last?.end.before(pane.compared);
    this.slots.fill(slots ?? {});
    this.setFoot(foot ?? this.foot);
    this.score.update();
  }

  setFoot(foot) {
    this.foot = foot;
    this.busy = foot.busy && this.kernel.alive;
    this.totals.textContent = foot.totals;
    this.votes.update(this.busy ? null : foot.votes, !this.kernel.alive);
    this.ahead.textContent = this.busy || foot.closed ? "" : foot.ahead;
    const [context, full] = foot.context ?? ["", false];
    this.context.textContent = context;
    this.context.classList.toggle("nbk-full", full);
    this.root.classList.toggle("nbk-closed", Boolean(foot.closed));
    this.root.classList.toggle("nbk-blind", foot.blind === "hidden");
    this.root.classList.toggle("nbk-rounds", Boolean(foot.blind));
    if (foot.blind) this.invitation = "Ask another prompt, blind";
    const invitation = this.panes.some((pane) => pane.last) ? this.invitation : this.invitation.replace("a follow-up", "something");
    this.input.placeholder = foot.closed || invitation;
    const hadFocus = document.activeElement === this.stop || document.activeElement === this.send;
    this.stop.hidden = !this.busy;
    this.stop.disabled = !this.kernel.alive;
    this.send.disabled = this.busy || !this.kernel.alive || Boolean(foot.closed);
    this.files.button.disabled = this.input.disabled = !this.kernel.alive || Boolean(foot.closed);
    if (hadFocus) (this.busy ? this.stop : this.input).focus({ preventScroll: true });
    this.setBar();
    clearInterval(this.ticker);
    if (this.busy) this.ticker = setInterval(() => this.tick(), 200);
  }

  // The bar: the prompt once, how far the answers are, how long they take, what they cost so far.
  setBar() {
    const turns = this.panes.map((pane) => pane.last).filter(Boolean);
    const [first] = turns;
    const { system } = this.panes[0]?.turns[0] ?? {};
    this.system.hidden = !system;
    if (system) this.system.lastChild.innerHTML = system;
    // a chat that is idle has its prompt and its cost elsewhere
    this.bar.hidden = !first || (turns.length === 1 && !this.busy);
    if (this.bar.hidden) return;
    if (this.panes.length > 1) {
      for (const part of ["prompt", "pictures"]) if (this[part].innerHTML !== first[part].innerHTML) this[part].innerHTML = first[part].innerHTML;
    }
    const done = turns.filter((turn) => !turn.running).length;
    const parts = this.panes.length > 1 && this.busy ? [`${done} of ${turns.length} done`] : [];
    if (this.busy) parts.push(`${((performance.now() - Math.min(...turns.map((turn) => turn.began))) / 1000).toFixed(0)} s`);
    if (this.foot.spent) parts.push(this.foot.spent);
    const text = parts.join(" · ");
    if (this.state.textContent !== text) this.state.textContent = text;
    this.progress.hidden = !this.busy;
    this.progress.firstChild.style.width = `${(100 * done) / Math.max(turns.length, 1)}%`;
  }

  tick() {
    this.setBar();
    this.score.update();
    for (const pane of this.panes) pane.tick();
  }

  becomeRecord() {
    clearTimeout(this.timer);
    this.notify(RECORD);
    for (const pane of this.panes) if (pane.scroll.ariaBusy === "true") pane.setStatus("stopped");
    this.setFoot(this.foot);
    this.slots.disable();
  }

  notify(text) {
    if (this.notice.textContent !== text) this.notice.textContent = text;
  }

  ask() {
    const text = this.input.value.trim();
    const files = [...this.files.chips.keys()];
    if (!text && !files.length) return;
    if (this.busy) this.notify("Wait until the answers are complete, or stop them (Esc).");
    else if (this.files.pending) this.notify("Wait until the files are checked.");
    if (this.busy || this.files.pending || !this.kernel.alive) return;
    this.post({ type: "ask", text, files });
    if (!this.kernel.alive) return; // the text stays in the box
    this.input.value = "";
    this.files.clear();
    this.fit();
  }

  halt() {
    if (!this.busy || !this.kernel.alive) return;
    this.stop.disabled = true;
    this.post({ type: "stop" });
    this.notify("Stopping ...");
  }

  onKey(event) {
    if (this.slots.press(event) || this.keys.press(event)) {
      // done
    } else if (event.key === "Escape" && this.busy) {
      this.halt();
    } else if (event.key === "Enter" && event.target === this.input && !event.shiftKey && !event.isComposing) {
      this.ask();
    } else if (!this.votes.onKey(event)) return;
    event.preventDefault();
    event.stopPropagation();
  }

  fit() {
    this.input.style.height = "auto";
    this.input.style.height = `${Math.min(this.input.scrollHeight + 2, 160)}px`;
  }
}

export default showOver(View);
