// Views of a comparison. The messages are described in nbkit/notebook/deltas.py. HTML comes from the kernel, where it was
// sanitized; everything else is set as text.

const SILENCE = 8000; // ms without a message from the kernel before a ping, and again before the reader gets a notice

function make(tag, className, attributes = {}, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function button(className, label, title, onClick) {
  const node = make("button", `nbk-button ${className}`, { type: "button", title }, label);
  node.addEventListener("click", onClick);
  return node;
}

// navigator.clipboard exists only on https and localhost; Jupyter is often served over plain http.
async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = make("textarea", "nbk-offscreen");
  area.value = text;
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  if (!copied) throw new Error("the browser did not copy");
}

// One answer: applies the parts of a message about it, in the order of the events.
class Turn {
  constructor(retry) {
    this.retry = retry;
    this.prompt = make("div", "nbk-prompt", { dir: "auto" });
    this.thought = make("div", "nbk-thought", { dir: "auto" });
    this.think = make("details", "nbk-think", {}, make("summary", "", {}, "Reasoning"), this.thought);
    this.closed = make("div", "nbk-part");
    this.open = make("div", "nbk-part");
    this.answer = make("div", "nbk-answer jp-RenderedHTMLCommon", { dir: "auto" }, this.closed, this.open);
    this.end = make("div", "nbk-end");
    this.node = make("div", "nbk-turn", {}, this.prompt, this.think, this.answer, this.end);
    this.clear();
  }

  clear() {
    this.tail = this.text = "";
    this.status = "waiting";
    this.think.hidden = true;
    for (const node of [this.thought, this.closed, this.open, this.end]) node.replaceChildren();
  }

  apply(news) {
    if (news.reset) this.clear();
    if (news.prompt !== undefined) this.prompt.innerHTML = news.prompt;
    if (news.status) this.status = news.status;
    if (news.think) {
      this.think.hidden = false;
      this.thought.insertAdjacentHTML("beforeend", news.think);
    }
    let open = this.tail;
    if (news.tail !== undefined) open = open.slice(0, news.keep) + news.tail + open.slice(open.length - news.cut);
    if (news.closed) this.closed.insertAdjacentHTML("beforeend", open.slice(0, news.closed));
    this.setTail(open.slice(news.closed ?? 0));
    if (news.final !== undefined) {
      this.closed.innerHTML = news.final;
      this.setTail("");
    }
    if (news.end) this.finish(news.end);
  }

  setTail(html) {
    if (html !== this.tail) this.open.innerHTML = this.tail = html;
  }

  finish(end) {
    this.text = end.text;
    const parts = [];
    if (end.problem) {
      const [message, advice] = end.problem;
      const retry = button("", "Retry", "Ask this model again", () => this.retry());
      const todo = make("div", "", {}, `${advice} `, retry);
      parts.push(make("div", "nbk-problem", { role: "alert" }, make("div", "", { dir: "auto" }, message), todo));
    }
    const strip = end.strip.map(([label, value, title]) =>
      make("span", "nbk-fact", { title }, make("span", "nbk-label", {}, label), ` ${value}`));
    if (strip.length) parts.push(make("div", "nbk-strip", {}, ...strip));
    for (const note of end.notes) parts.push(make("div", "nbk-note", {}, make("bdi", "", {}, note)));
    this.end.replaceChildren(...parts);
  }
}

const STATUS = { waiting: "waiting", streaming: "streaming", done: "", stopped: "stopped", failed: "failed" };

class Pane {
  constructor({ name, model }, retry) {
    this.retry = retry;
    this.turns = [];
    this.status = make("span", "nbk-status");
    this.copyButton = button("nbk-quiet", "Copy", `Copy the last answer of ${name}`, () => this.copy());
    const title = make("span", "nbk-title", {}, make("bdi", "nbk-name", {}, name), make("bdi", "nbk-model", {}, model));
    const header = make("header", "nbk-header", {}, title, this.status, this.copyButton);
    this.scroll = make("div", "nbk-scroll", { tabindex: "0", role: "log", "aria-label": `Answers of ${name}` });
    this.node = make("section", "nbk-pane", { "aria-label": name }, header, this.scroll);
  }

  get atBottom() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroll;
    return scrollHeight - scrollTop - clientHeight < 24;
  }

  toBottom() {
    this.scroll.scrollTop = this.scroll.scrollHeight;
  }

  apply(news) {
    if (!this.turns[news.turn]) {
      this.turns[news.turn] = new Turn(this.retry);
      this.scroll.append(this.turns[news.turn].node);
    }
    this.turns[news.turn].apply(news);
    this.setStatus(this.turns.at(-1).status);
  }

  setStatus(status) {
    if (this.node.dataset.status === status) return;
    this.node.dataset.status = status;
    this.status.textContent = STATUS[status] ?? status;
    this.scroll.setAttribute("aria-busy", String(status === "waiting" || status === "streaming"));
  }

  async copy() {
    const turn = this.turns.at(-1);
    if (!turn) return;
    let label = "Copied";
    try {
      await copy(turn.text || turn.answer.innerText);
    } catch {
      label = "Not copied";
    }
    this.copyButton.textContent = label;
    setTimeout(() => { this.copyButton.textContent = "Copy"; }, 1500);
  }
}

class View {
  constructor(model, el) {
    this.model = model;
    this.seq = -1; // no snapshot yet
    this.panes = [];
    this.busy = this.disconnected = false;

    this.grid = make("div", "nbk-panes");
    this.input = make("textarea", "nbk-input", { rows: "1", "aria-label": "Follow-up", enterkeyhint: "send" });
    this.send = button("nbk-primary", "Send", "Send the follow-up (Enter)", () => this.ask());
    this.stop = button("nbk-stop", "Stop", "Stop all answers (Esc)", () => this.halt());
    this.notice = make("span", "nbk-notice", { role: "status" });
    this.totals = make("span", "nbk-totals");
    this.footer = make("footer", "nbk-footer", {},
      make("div", "nbk-ask", {}, this.input, this.send, this.stop),
      make("div", "nbk-line", {}, this.totals, this.notice));
    // Without this, JupyterLab would treat Enter, Escape and Shift+Enter as shortcuts of the notebook.
    this.root = make("div", "nbk-live", { role: "group", "data-lm-suppress-shortcuts": "true" }, this.grid, this.footer);
    this.root.addEventListener("keydown", (event) => this.onKey(event));
    this.input.addEventListener("input", () => this.fit());
    el.append(this.root);

    this.onMessage = (message) => this.receive(message);
    this.onLive = () => setTimeout(() => {
      this.setDisconnected(Boolean(this.root.closest(".jupyter-widgets-disconnected")));
    });
    this.onState = () => { if (this.seq < 0) this.restore(); };
    model.on("msg:custom", this.onMessage);
    model.on("comm_live_update", this.onLive);
    model.on("change:state", this.onState);
    this.invitation = "";
    this.setFoot({ busy: false, totals: "", ahead: "" });
    this.restore();
    this.post({ type: "ready" });
    this.onLive();
  }

  remove() {
    clearTimeout(this.timer);
    this.model.off("msg:custom", this.onMessage);
    this.model.off("comm_live_update", this.onLive);
    this.model.off("change:state", this.onState);
  }

  // Shows the snapshot of the last finished turn until the kernel answers.
  restore() {
    const state = this.model.get("state");
    if (state?.panes) this.draw(state);
  }

  post(message) {
    if (this.disconnected) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.notify("No answer from the kernel yet; it may be busy with a cell."), SILENCE);
    try {
      this.model.send(message);
    } catch {
      this.setDisconnected(true); // the comm is closed
    }
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
    } else if (message.type !== "pong") return;
    clearTimeout(this.timer);
    if (this.busy) this.timer = setTimeout(() => this.post({ type: "ping" }), SILENCE);
    this.notify("");
  }

  draw(snapshot) {
    this.panes = snapshot.panes.map((pane, index) => new Pane(pane, () => this.post({ type: "retry", pane: index })));
    this.grid.replaceChildren(...this.panes.map((pane) => pane.node));
    this.grid.dataset.panes = this.panes.length;
    const many = this.panes.length > 1;
    this.root.setAttribute("aria-label", many ? `Comparison of ${this.panes.length} models` : "Chat");
    this.invitation = many ? `Ask all ${this.panes.length} models a follow-up` : "Ask a follow-up";
    this.update(snapshot);
  }

  update({ news, foot }) {
    // First read, then write, then scroll: the browser lays the page out once.
    const followed = news.filter(({ pane, prompt }) => prompt !== undefined || this.panes[pane].atBottom);
    for (const item of news) this.panes[item.pane].apply(item);
    for (const { pane } of followed) this.panes[pane].toBottom();
    if (foot) this.setFoot(foot);
  }

  setFoot({ busy, totals, ahead }) {
    this.busy = busy;
    this.totals.textContent = totals;
    this.ahead = ahead;
    this.input.placeholder = this.invitation + (ahead && ` (${ahead})`);
    const hadFocus = document.activeElement === this.stop || document.activeElement === this.send;
    this.stop.hidden = !busy;
    this.send.hidden = busy;
    this.stop.disabled = this.disconnected;
    this.send.disabled = this.input.disabled = this.disconnected;
    if (hadFocus) (busy ? this.stop : this.input).focus({ preventScroll: true });
  }

  setDisconnected(disconnected) {
    if (disconnected === this.disconnected) return;
    this.disconnected = disconnected;
    clearTimeout(this.timer);
    this.notify(disconnected ? "The kernel has ended; run the cell again to continue." : "");
    if (disconnected) for (const pane of this.panes) if (pane.scroll.ariaBusy === "true") pane.setStatus("stopped");
    this.setFoot({ busy: this.busy && !disconnected, totals: this.totals.textContent, ahead: this.ahead });
  }

  notify(text) {
    if (this.notice.textContent !== text) this.notice.textContent = text;
  }

  ask() {
    const text = this.input.value.trim();
    if (!text || this.busy || this.disconnected) return;
    this.post({ type: "ask", text });
    if (this.disconnected) return; // the text stays in the box
    this.input.value = "";
    this.fit();
  }

  halt() {
    if (!this.busy || this.disconnected) return;
    this.stop.disabled = true;
    this.post({ type: "stop" });
    this.notify("Stopping ...");
  }

  onKey(event) {
    if (event.key === "Escape" && this.busy) {
      this.halt();
    } else if (event.key === "Enter" && event.target === this.input && !event.shiftKey && !event.isComposing) {
      this.ask();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  fit() {
    this.input.style.height = "auto";
    this.input.style.height = `${Math.min(this.input.scrollHeight + 2, 160)}px`;
  }
}

export default {
  render({ model, el }) {
    const view = new View(model, el);
    return () => view.remove();
  },
};
