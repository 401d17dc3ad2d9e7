// Slots: places of a comparison that the kernel fills with HTML of its own, see nbkit/notebook/deltas.py.

class Slots {
  constructor(post) {
    this.results = make("div", "nbk-slot nbk-results");
    this.tools = make("div", "nbk-slot");
    for (const node of [this.results, this.tools]) {
      node.hidden = true;
      node.addEventListener("click", (event) => {
        const sender = event.target.closest("[data-send]");
        if (sender) post(JSON.parse(sender.dataset.send));
      });
    }
  }

  fill(slots) {
    for (const [name, html] of Object.entries(slots)) {
      this[name].innerHTML = html;
      this[name].hidden = !html;
    }
  }

  clear() {
    this.fill({ results: "", tools: "" });
  }

  find(selector) {
    return this.tools.querySelector(selector) ?? this.results.querySelector(selector);
  }

  get focused() {
    return this.find("[data-focus]");
  }

  press(event) {
    const sender = isWriting(event) || event.key.length > 1 ? null : this.find(`[data-key="${CSS.escape(event.key)}"]`);
    sender?.click();
    return Boolean(sender);
  }

  disable() {
    for (const node of [this.results, this.tools]) for (const one of node.querySelectorAll("button, input, select, textarea")) one.disabled = true;
  }
}
