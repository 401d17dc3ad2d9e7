// Keys of a comparison: they work while the focus is in the view, outside of text fields.

const KEYS = [
  { keys: ["?"], does: "show or hide these keys", act: (view) => view.keys.toggle() },
  { keys: ["f", "/"], does: "go to the box for a follow-up", act: (view) => view.input.focus() },
  { keys: ["b"], does: "go to the bar at the top", act: (view) => (view.stop.hidden ? view.bar : view.stop).focus() },
  { keys: ["n"], does: "next answer", act: (view) => view.keys.goTo(1) },
  { keys: ["p"], does: "previous answer", act: (view) => view.keys.goTo(-1) },
  { keys: ["w"], does: "the answer in full width, or as before", act: (view) => view.keys.pane()?.widen() },
  { keys: ["s"], does: "scroll the answers together, or each alone", act: (view) => view.together.toggle() },
  { keys: ["m"], does: "menu of the answer", act: (view) => view.keys.pane()?.menuButton.click() },
  { keys: ["c"], does: "copy the answer", act: (view) => view.keys.pane()?.copy() },
];
const OTHER_KEYS = [["Enter", "send the follow-up, in its box"], ["Shift+Enter", "a new line there"], ["Esc", "stop all answers"], ["1 to 9", "vote for an answer"], ["0 or x", "vote for a tie, or for none"], ["d", "differences between the answers"], ["j", "let a model judge"]];

// A key is for the text, not for the view.
function isWriting(event) {
  return event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, [role=menu]");
}

class Keys {
  constructor(view) {
    this.view = view;
    view.bar.tabIndex = -1;
    const rows = [...KEYS.map(({ keys, does }) => [keys.join(" or "), does]), ...OTHER_KEYS];
    const lines = rows.map(([key, does]) => make("div", "", {}, make("dt", "", {}, make("kbd", "", {}, key)), make("dd", "", {}, does)));
    this.list = make("div", "nbk-keys", { role: "group", "aria-label": "Keys", tabindex: "-1" }, make("dl", "", {}, ...lines));
    this.list.hidden = true;
    this.button = button("nbk-quiet", "? keys", "Keys of this comparison (?)", () => this.toggle());
    this.button.setAttribute("aria-expanded", "false");
  }

  toggle() {
    this.list.hidden = !this.list.hidden;
    this.button.setAttribute("aria-expanded", String(!this.list.hidden));
    (this.list.hidden ? this.button : this.list).focus({ preventScroll: true });
  }

  // The pane that has the focus.
  pane() {
    return this.view.panes.find((pane) => pane.node.contains(document.activeElement));
  }

  goTo(step) {
    const { panes } = this.view;
    const from = this.pane() ? panes.indexOf(this.pane()) : step > 0 ? -1 : 0;
    const pane = panes[(from + step + panes.length) % panes.length];
    pane.scroll.focus({ preventScroll: true });
    pane.node.scrollIntoView({ block: "nearest" });
  }

  press(event) {
    if (event.key === "Escape" && !this.list.hidden) {
      this.toggle();
      return true;
    }
    if (isWriting(event)) return false;
    const row = KEYS.find(({ keys }) => keys.includes(event.key));
    row?.act(this.view);
    return Boolean(row);
  }
}
