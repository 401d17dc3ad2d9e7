// Slots: places of a comparison that the kernel fills with HTML of its own, see nbkit/notebook/deltas.py.

function makeSlot(name, className = "") {
  const node = make("div", `nbk-slot ${className}`, { "data-slot": name });
  node.hidden = true;
  return node;
}

class Slots {
  constructor(root, post) {
    this.root = root;
    this.post = post;
    this.results = makeSlot("results", "nbk-results");
    this.tools = makeSlot("tools", "nbk-tools");
    this.judge = make("div", "", {}, makeSlot("judge", "nbk-judge"), makeSlot("ahead", "nbk-label"));
    root.addEventListener("click", (event) => {
      const sender = event.target.closest(".nbk-slot button[data-send]");
      if (sender) this.send(sender, sender.form ? Object.fromEntries(new FormData(sender.form)) : {});
    });
    for (const type of ["change", "submit"]) {
      root.addEventListener(type, (event) => {
        const form = event.target.closest(".nbk-slot form[data-send]");
        if (type === "submit") event.preventDefault();
        if (form) this.send(form, Object.fromEntries(new FormData(form)));
      });
    }
  }

  send(sender, values = {}) {
    this.post({ ...values, ...JSON.parse(sender.dataset.send) });
  }

  // A control that has the focus gives it to the one that comes in its place.
  fill(slots) {
    for (const [name, html] of Object.entries(slots)) {
      const node = this.root.querySelector(`[data-slot="${name}"]`);
      if (!node) continue;
      const held = node.contains(document.activeElement) ? document.activeElement : null;
      const opens = node.hidden && this.root.contains(document.activeElement);
      node.innerHTML = html;
      node.hidden = !html;
      if (opens) node.querySelector("[autofocus]")?.focus();
      if (!held) continue;
      const next = [...node.querySelectorAll("button, input, select, textarea")].find((one) => (held.name ? one.name === held.name : one.dataset.key === held.dataset.key));
      (next ?? this.focused ?? this.tools.querySelector("button") ?? this.root.querySelector(".nbk-scroll")).focus({ preventScroll: true });
    }
  }

  clear() {
    for (const node of this.root.querySelectorAll("[data-slot]")) {
      node.hidden = true;
      node.replaceChildren();
    }
  }

  get focused() {
    return this.root.querySelector(".nbk-slot [data-focus]");
  }

  press(event) {
    if (isWriting(event) || event.key.length > 1) return false;
    const sender = this.root.querySelector(`.nbk-slot [data-key="${CSS.escape(event.key)}"]`);
    sender?.click();
    return Boolean(sender);
  }

  disable() {
    for (const node of this.root.querySelectorAll(".nbk-slot :is(button, input, select, textarea)")) node.disabled = true;
  }
}
