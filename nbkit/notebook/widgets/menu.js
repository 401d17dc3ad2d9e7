// The menu of a pane, and the forms that it opens. Both stand in the browser's top layer: a pane would cut them off.
// Each row: its label, where it applies, and what it does with the pane and the menu.

const ACTS = [
  { label: "Stop", can: (pane) => pane.running, act: (pane) => pane.post({ type: "stop_one" }) },
  { label: "Ask again", can: (pane) => pane.last && !pane.running, act: (pane) => pane.post({ type: "regenerate" }) },
  { label: "Edit a prompt ...", can: (pane, view) => pane.last && !view.busy, act: (pane, menu) => menu.editPrompt(pane) },
  { label: "Leave out of the next prompts", can: (pane, view) => view.panes.length > 1 && !pane.head.muted, act: (pane) => pane.post({ type: "mute", muted: true }) },
  { label: "Ask the next prompts again", can: (pane) => pane.head.muted, act: (pane) => pane.post({ type: "mute", muted: false }) },
  { label: "Swap the model ...", can: (pane, view) => view.panes.length > 1, act: (pane, menu) => menu.askModel(pane, "Swap the model", "Ask it the last prompt", "swap") },
  { label: "Add a model ...", can: (pane, view) => view.panes.length > 1, act: (pane, menu) => menu.askModel(pane, "Add a model", "Ask it all prompts so far", "add") },
  { label: "Settings ...", can: (pane) => Object.keys(pane.head.settings ?? {}).length, act: (pane, menu) => menu.set(pane) },
  { label: "Copy the answer", record: true, can: (pane) => pane.last, act: (pane) => pane.copy() },
  { label: "Copy as Markdown", can: (pane) => pane.last, act: (pane, menu) => menu.copy(pane, "markdown") },
  { label: "Copy as code", can: (pane) => pane.last, act: (pane, menu) => menu.copy(pane, "code") },
  { label: "Continue as chat", can: (pane, view) => pane.last && view.panes.length > 1 && !view.busy, act: (pane) => pane.post({ type: "chat" }) },
];
const STEPS = { ArrowDown: 1, ArrowUp: -1 };

class Menu {
  constructor(view) {
    this.view = view;
    this.node = make("div", "nbk-menu", { popover: "auto", tabindex: "-1" });
    this.node.addEventListener("toggle", ({ newState }) => this.turn(newState === "open"));
    this.node.addEventListener("keydown", (event) => this.onKey(event));
    this.place = () => this.put();
  }

  press(pane) {
    this.pressed = this.pane === pane && this.node.matches(":popover-open");
  }

  open(pane) {
    const isClosing = this.pressed; // the press of this click closes the menu
    this.pressed = false;
    if (isClosing) return;
    const { kernel, foot } = this.view;
    const usable = kernel.alive && !foot.closed && !foot.blind;
    const acts = ACTS.filter(({ can, record }) => (usable || record) && can(pane, this.view));
    const items = acts.map(({ label, act }) => {
      const item = make("button", "nbk-item", { type: "button", role: "menuitem", tabindex: "-1" }, label);
      item.addEventListener("click", () => {
        if (!label.endsWith("...")) this.node.hidePopover();
        act(pane, this);
      });
      return item;
    });
    this.show(pane, "menu", `Acts on the answer of ${pane.name}`, items);
  }

  // Shows these children at the pane's button, and gives the first control the focus.
  show(pane, role, label, children) {
    this.pane = pane;
    this.node.setAttribute("role", role);
    this.node.setAttribute("aria-label", label);
    this.node.replaceChildren(...children);
    if (!this.node.matches(":popover-open")) {
      pane.menuButton.focus({ preventScroll: true }); // which gets it back in the end
      this.node.showPopover();
    }
    this.put();
    this.node.querySelector("textarea, input, select, button")?.focus({ preventScroll: true });
  }

  turn(open) {
    this.pane.menuButton.setAttribute("aria-expanded", String(open));
    document[open ? "addEventListener" : "removeEventListener"]("scroll", this.place, true);
  }

  put() {
    const { right, bottom, top } = this.pane.menuButton.getBoundingClientRect();
    const { offsetWidth, offsetHeight } = this.node;
    const below = bottom + offsetHeight + 8 < innerHeight;
    this.node.style.left = `${Math.max(4, Math.min(right, innerWidth - 4) - offsetWidth)}px`;
    this.node.style.top = `${below ? bottom + 2 : Math.max(4, top - offsetHeight - 2)}px`;
  }

  onKey(event) {
    event.stopPropagation(); // the keys of the comparison, and JupyterLab's, are not meant
    if (event.key === "Escape" || (event.key === "Tab" && this.node.role === "menu")) this.node.hidePopover();
    const items = [...this.node.querySelectorAll("[role=menuitem]")];
    const at = items.indexOf(document.activeElement);
    const next = { Home: 0, End: items.length - 1 }[event.key] ?? (event.key in STEPS ? (at + STEPS[event.key] + items.length) % items.length : -1);
    if (!items[next]) return;
    items[next].focus();
    event.preventDefault();
  }

  // A form: `fields` are [label, control] pairs, `send` makes the message from what is written there.
  ask(pane, title, submit, fields, send) {
    const rows = fields.map(([label, control]) => make("label", "nbk-field", {}, control.type === "checkbox" ? "" : label, control, control.type === "checkbox" ? label : ""));
    const use = button("nbk-primary", submit, submit, () => form.requestSubmit());
    const cancel = button("", "Cancel", "Cancel (Esc)", () => this.node.hidePopover());
    const form = make("form", "", {}, make("div", "nbk-name", {}, title), ...rows, make("div", "nbk-todo", {}, use, cancel));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const message = send();
      this.node.hidePopover();
      if (message) pane.post(message);
    });
    form.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.target.tagName === "BUTTON") return;
      event.preventDefault();
      form.requestSubmit();
    });
    this.show(pane, "dialog", `${title}: ${pane.name}`, [form]);
  }

  editPrompt(pane) {
    const text = make("textarea", "nbk-input", { rows: "4", dir: "auto" });
    const turns = make("select", "nbk-input", {}, ...pane.turns.map((turn, index) => make("option", "", { value: index }, `${index + 1}`)));
    const all = make("input", "", { type: "checkbox" });
    const many = this.view.panes.length;
    turns.value = pane.turns.length - 1;
    turns.onchange = () => { text.value = pane.turns[turns.value].prompt.textContent; };
    turns.onchange();
    all.checked = many > 1;
    const fields = [
      ...(pane.turns.length > 1 ? [["Prompt", turns]] : []),
      ["Text", text],
      ...(many > 1 ? [[`Ask all ${many} models`, all]] : []),
    ];
    this.ask(pane, "Edit a prompt", "Ask on a new branch", fields, () =>
      text.value.trim() && { type: "edit", turn: Number(turns.value), text: text.value, all: all.checked });
    text.focus();
  }

  // Models are suggested while their names, or words about them, are typed.
  askModel(pane, title, submit, type) {
    const name = `nbk-models-${this.view.id}`;
    const id = make("input", "nbk-input", { placeholder: "provider/model", spellcheck: "false", autocomplete: "off", list: name });
    this.models = make("datalist", "", { id: name });
    const suggest = () => pane.post({ type: "suggest", text: id.value, view: this.view.id });
    id.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(suggest, 150);
    });
    suggest();
    this.ask(pane, title, submit, [["Model id", id]], () => id.value.trim() && { type, text: id.value });
    this.node.append(this.models);
  }

  // `models`: [id, the words that found it, and its name].
  suggest(models) {
    this.models?.replaceChildren(...models.map(([id, label]) => make("option", "", { value: id }, label)));
  }

  set(pane) {
    const settings = Object.entries(pane.head.settings);
    const controls = settings.map(([name, [value, choices]]) => {
      const control = choices.length
        ? make("select", "nbk-input", {}, make("option", "", { value: "" }, "as the others"), ...choices.map((choice) => make("option", "", {}, choice)))
        : make("input", "nbk-input", { type: "number", min: "0", step: "any", placeholder: "as the others" });
      control.value = value ?? ""; // of this model alone
      return [name, control];
    });
    const read = ({ value, type }) => (value === "" ? null : type === "number" ? Number(value) : value);
    this.ask(pane, "Settings for the next answers", "Set", controls.map(([name, control]) => [name.replaceAll("_", " "), control]), () =>
      ({ type: "options", options: Object.fromEntries(controls.map(([name, control]) => [name, read(control)])) }));
  }

  // The kernel writes it, and answers to all views: this one knows its own id.
  copy(pane, form) {
    pane.post({ type: "copy", form, view: this.view.id });
  }
}
