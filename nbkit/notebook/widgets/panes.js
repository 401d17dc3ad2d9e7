// The panes of a comparison: answers as they stream, and what stands under them. The messages are described in
// nbkit/notebook/deltas.py.

// One answer: applies the parts of a message about it, in the order of the events.
class Turn {
  constructor(pane) {
    this.pane = pane;
    this.prompt = make("div", "nbk-prompt", { dir: "auto" });
    this.pictures = make("div", "nbk-pictures");
    this.thought = make("div", "nbk-thought", { dir: "auto" });
    this.think = make("details", "nbk-think", {}, make("summary", "", {}, "Reasoning"), this.thought);
    this.closed = make("div", "nbk-part");
    this.open = make("div", "nbk-part");
    this.answer = make("div", "nbk-answer jp-RenderedHTMLCommon", { dir: "auto" }, this.closed, this.open);
    this.end = make("div", "nbk-end");
    this.node = make("div", "nbk-turn", {}, this.prompt, this.pictures, this.think, this.answer, this.end);
    this.clear();
  }

  clear() {
    this.tail = this.drawn = this.fresh = this.source = ""; // drawn: the tail in the page; fresh: blocks that are not in it yet
    this.status = "waiting";
    this.limitedUntil = null; // when a rate limit lets it go, 0 where nobody knows
    this.figures = {};
    this.began = performance.now();
    this.think.hidden = true;
    for (const node of [this.thought, this.closed, this.open, this.end]) node.replaceChildren();
  }

  apply(news) {
    if (news.reset) this.clear();
    if (news.prompt !== undefined) {
      this.prompt.innerHTML = news.prompt;
      this.pictures.innerHTML = news.pictures ?? "";
      this.pictures.append(...(news.sent ?? []).map((text) => make("span", "nbk-chip", { title: text }, text)));
      this.system = news.system;
    }
    if (news.elapsed) this.began = performance.now() - 1000 * news.elapsed;
    if (news.status) this.status = news.status;
    if (news.limited !== undefined) this.limitedUntil = news.limited && performance.now() + 1000 * news.limited;
    if (news.think) {
      if (this.think.hidden) this.think.open = !news.end; // open while it thinks
      this.think.hidden = false;
      this.thought.insertAdjacentHTML("beforeend", news.think);
    }
    let open = this.tail;
    if (news.tail !== undefined && !this.tail && !this.fresh && !this.closed.hasChildNodes()) this.think.open = false;
    if (news.tail !== undefined) open = open.slice(0, news.keep) + news.tail + open.slice(open.length - (news.cut ?? 0));
    this.fresh += open.slice(0, news.closed ?? 0);
    this.tail = open.slice(news.closed ?? 0);
    if (news.final !== undefined) {
      this.closed.replaceChildren();
      this.fresh = news.final;
      this.tail = "";
    }
    if (this.pane.inSight || news.end) this.draw();
    if (news.end) this.finish(news.end);
  }

  draw() {
    if (this.fresh) this.closed.insertAdjacentHTML("beforeend", this.fresh);
    this.fresh = "";
    if (this.drawn !== this.tail) this.open.innerHTML = this.drawn = this.tail;
  }

  get running() {
    return this.status === "waiting" || this.status === "streaming";
  }

  // What a call that waits for its turn says, counting down; "" for one that does not.
  get limit() {
    return this.running && this.limitedUntil !== null ? describeWait(this.limitedUntil) : "";
  }

  finish(end) {
    this.source = end.source;
    this.figures = end.figures ?? {};
    this.think.open = false;
    const parts = [];
    if (end.problem) {
      const [message, advice] = end.problem;
      const todo = make("div", "nbk-todo", {});
      if (end.key) todo.append(...this.askForKey(end.key));
      else todo.append(`${advice} `, ...(end.retry ? [button("nbk-retry", "Retry", "Ask this model again", () => this.retry())] : []));
      parts.push(make("div", "nbk-problem", { role: "alert" }, make("div", "", { dir: "auto" }, message), todo));
      if (end.cause) parts.push(make("details", "nbk-note", {}, make("summary", "", {}, "Why it broke off"), make("bdi", "", {}, end.cause)));
    }
    const strip = end.strip.map(([label, value, title]) =>
      make("span", "nbk-fact", { title }, make("span", "nbk-label", {}, label), ` ${value}`));
    if (strip.length) parts.push(make("div", "nbk-strip", {}, ...strip));
    for (const note of end.notes) parts.push(make("div", "nbk-note", {}, make("bdi", "", {}, note)));
    this.end.replaceChildren(...parts);
  }

  // The button goes away with the answer that failed: the focus stays in its pane.
  retry() {
    this.pane.scroll.focus({ preventScroll: true });
    this.pane.post({ type: "retry" });
  }

  askForKey({ provider, host, variables }) {
    const label = `API key for ${provider}`;
    const box = make("input", "nbk-key", { type: "password", autocomplete: "off", "aria-label": label, placeholder: label });
    const use = () => {
      const text = box.value.trim();
      if (!text) return;
      box.value = "";
      this.pane.scroll.focus({ preventScroll: true });
      this.pane.post({ type: "key", text });
    };
    box.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.isComposing) return;
      event.stopPropagation();
      use();
    });
    const where = variables.length ? ` Or set ${variables.join(" or ")} and retry: ` : " ";
    return [
      make("div", "nbk-ask", {}, box, button("nbk-primary", "Use", `Ask again with this key`, use)),
      `It stays in this session and goes to ${host} only.${where}`,
      button("nbk-retry", "Retry", "Ask this model again", () => this.retry()),
    ];
  }
}

const SCROLLING = new Set(["ArrowUp", "ArrowDown", "PageUp", "PageDown", "Home", "End"]);
const STATUS = { waiting: "waiting", streaming: "streaming", done: "", skipped: "not asked", stopped: "stopped", failed: "failed" };

class Pane {
  constructor(head, post, menu) {
    this.post = post;
    this.turns = [];
    this.touched = false; // whether the reader has scrolled since the turn began
    this.inSight = true; // what streams out of sight is drawn when it comes into sight, or ends
    this.status = make("span", "nbk-status");
    this.menuButton = button("nbk-quiet nbk-more", "⋯", "", () => menu.open(this));
    this.menuButton.addEventListener("pointerdown", () => menu.press(this));
    this.menuButton.setAttribute("aria-haspopup", "menu");
    this.menuButton.setAttribute("aria-expanded", "false");
    this.wideButton = button("nbk-quiet", "⤢", "", () => this.widen());
    this.wideButton.setAttribute("aria-pressed", "false");
    this.title = make("span", "nbk-title", {}, make("bdi", "nbk-name"), make("bdi", "nbk-model"));
    this.branches = make("span", "nbk-branches", { role: "group", "aria-label": "Branches" });
    const header = make("div", "nbk-header", {}, this.title, this.status, this.branches, this.menuButton, this.wideButton);
    this.scroll = make("div", "nbk-scroll", { tabindex: "0", role: "log" });
    this.node = make("div", "nbk-pane", { role: "group" }, header, this.scroll);
    this.setHead(head);
    for (const type of ["wheel", "touchmove", "pointerdown", "keydown"]) {
      this.scroll.addEventListener(type, () => { this.touched = true; }, { passive: true });
    }
    // JupyterLab would go to another cell
    this.scroll.addEventListener("keydown", (event) => { if (SCROLLING.has(event.key)) event.stopPropagation(); });
    this.scroll.addEventListener("scroll", () => this.markCut(), { passive: true });
  }

  // Names, and what else stands above the answers: see `facts.describe_pane`. True where the model is another one.
  setHead(head) {
    const { name, model } = head;
    const renamed = this.model !== undefined && (this.name !== name || this.model !== model);
    Object.assign(this, { head, name, model });
    this.title.title = model;
    this.title.firstChild.textContent = name;
    this.title.lastChild.textContent = model;
    nameControl(this.menuButton, `Menu of ${name} (m)`);
    nameControl(this.wideButton, `Show the answer of ${name} in full width`);
    this.scroll.setAttribute("aria-label", `Answers of ${model}`);
    this.node.setAttribute("aria-label", model);
    this.showStatus();
    this.setBranches(head.branch);
    return renamed;
  }

  // The branches of the conversation: ‹ 1/2 ›. The button that was pressed keeps the focus.
  setBranches(branch) {
    this.branches.hidden = !branch;
    if (!branch) return;
    if (!this.branches.firstChild) {
      const go = (step) => {
        const branch = this.head.branch[0] - 1 + step;
        if (branch >= 0 && branch < this.head.branch[1]) this.post({ type: "branch", branch });
      };
      const former = button("nbk-quiet", "‹", "", () => go(-1));
      const next = button("nbk-quiet", "›", "", () => go(1));
      this.branches.append(former, make("span", "", { "aria-live": "polite" }), next);
    }
    const [number, count] = branch;
    const [former, text, next] = this.branches.children;
    text.textContent = `${number}/${count}`;
    nameControl(former, `Former branch of the conversation with ${this.name}`);
    nameControl(next, `Next branch of the conversation with ${this.name}`);
    former.ariaDisabled = String(number === 1);
    next.ariaDisabled = String(number === count);
  }

  get last() {
    return this.turns.at(-1);
  }

  get running() {
    return Boolean(this.last?.running) && this.node.dataset.status !== "stopped";
  }

  // Seconds since the answer was asked for.
  clock() {
    return `${((performance.now() - this.last.began) / 1000).toFixed(0)} s`;
  }

  widen() {
    const wide = this.node.classList.toggle("nbk-wide");
    this.wideButton.setAttribute("aria-pressed", String(wide));
    this.node.scrollIntoView({ block: "nearest" });
    this.markCut();
  }

  setSight(inSight) {
    this.inSight = inSight;
    if (!inSight) return;
    const follows = this.running && this.atBottom;
    for (const turn of this.turns) turn.draw();
    if (follows) this.toBottom();
    this.markCut();
  }

  // A fade says that the text goes on below.
  markCut() {
    this.node.classList.toggle("nbk-cut", !this.atBottom);
  }

  toTop() {
    if (this.touched) return;
    const box = this.scroll.getBoundingClientRect();
    this.scroll.scrollTop += this.last.node.getBoundingClientRect().top - box.top - 8;
  }

  get atBottom() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroll;
    return scrollHeight - scrollTop - clientHeight < 24;
  }

  toBottom() {
    this.scroll.scrollTop = this.scroll.scrollHeight;
  }

  tick() {
    if (this.running && this.last.limitedUntil !== null) this.showStatus();
  }

  apply(news) {
    if (news.drop) {
      for (const turn of this.turns.splice(news.turn)) turn.node.remove();
      if (this.last) this.setStatus(this.last.status);
      return;
    }
    if (!this.turns[news.turn]) {
      this.turns[news.turn] = new Turn(this);
      this.touched = false;
      this.scroll.append(this.turns[news.turn].node);
    }
    this.turns[news.turn].apply(news);
    this.setStatus(this.last.status);
    if (news.limited !== undefined) this.showStatus();
  }

  setStatus(status) {
    if (this.node.dataset.status === status) return;
    this.node.dataset.status = status;
    this.showStatus();
    this.scroll.setAttribute("aria-busy", String(status === "waiting" || status === "streaming"));
  }

  showStatus() {
    const status = this.node.dataset.status ?? "";
    const text = this.head.muted && !this.running ? "muted" : STATUS[status] ?? status;
    this.status.textContent = (this.running && this.last.limit) || text;
  }

  async copy() {
    const turn = this.last;
    if (!turn) return;
    let label = "Copied";
    try {
      await copy(turn.source ? await inflate(turn.source) : turn.answer.innerText);
    } catch {
      label = "Not copied";
    }
    this.status.textContent = label;
    setTimeout(() => this.showStatus(), 1500);
  }
}
