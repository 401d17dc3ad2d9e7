// Helpers of all widgets; a widget's script is put behind them. HTML comes from the kernel, where it was sanitized;
// everything else is set as text.

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

// Names a control for the mouse and for screen readers.
function nameControl(node, title) {
  node.title = title;
  node.setAttribute("aria-label", title);
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

// What a call says that a rate limit holds up until then, counting down; 0 where nobody knows how long.
function describeWait(until) {
  const seconds = Math.ceil((until - performance.now()) / 1000);
  return seconds > 0 ? `waiting ${seconds} s, rate limited` : "waiting, rate limited";
}

// The text that the kernel has deflated: bytes, or their base64.
async function inflate(packed) {
  const bytes = typeof packed === "string" ? Uint8Array.from(atob(packed), (char) => char.charCodeAt(0)) : packed;
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).text();
}

const RECORD = "The kernel was restarted: this is a record. Run the cell again to go on.";

// The kernel of a widget. `lost` is called once, when it was restarted or has died: the model stays in the page, but
// nobody answers it. Jupyter tells so by the event only, and a view that is made later by nothing but a failed `send`.
class Kernel {
  constructor(model, lost) {
    this.model = model;
    this.alive = true;
    this.lose = () => {
      if (!this.alive) return;
      this.alive = false;
      lost();
    };
    model.on("comm_live_update", this.lose);
  }

  send(message, buffers) {
    if (!this.alive) return;
    try {
      this.model.send(message, undefined, buffers);
    } catch {
      this.lose(); // the comm is closed
    }
  }

  remove() {
    this.model.off("comm_live_update", this.lose);
  }
}

// Parts of an answer that scroll sideways or down can be scrolled by keyboard: they take the focus, and have a name.
const SCROLLED = { PRE: "Code", TABLE: "Table", DIV: "Text", MATH: "Formula" };
function reachScrolling(root) {
  for (const node of root.querySelectorAll("pre, table, math[display=block], .nbk-thought, .nbk-prompt")) {
    const scrolls = node.scrollWidth > node.clientWidth + 1 || node.scrollHeight > node.clientHeight + 1;
    if (scrolls === node.hasAttribute("tabindex")) continue;
    if (!scrolls) { node.removeAttribute("tabindex"); continue; }
    node.setAttribute("tabindex", "0");
    if (!node.hasAttribute("aria-label")) node.setAttribute("aria-label", SCROLLED[node.tagName.toUpperCase()]);
    if (node.tagName !== "TABLE" && node.tagName.toUpperCase() !== "MATH") node.setAttribute("role", "group");
  }
}
