// Files that go with the next prompt: pasted, dropped or chosen. The kernel checks each of them, and has the last word.

const PICTURE = /^image\/(png|jpeg|gif|webp)$/;

class Files {
  constructor(view) {
    this.view = view;
    this.chips = new Map(); // by id
    this.list = make("span", "nbk-chips");
    this.note = make("span", "", { role: "status" });
    this.node = make("div", "nbk-line nbk-files", {}, this.list, this.note);
    const picker = make("input", "", { type: "file", multiple: "" });
    picker.onchange = () => this.add([...picker.files]).then(() => { picker.value = ""; });
    const title = "Attach images and files; they can be pasted and dropped too";
    this.button = button("nbk-quiet nbk-attach", "+", title, () => picker.click());
    this.button.ariaLabel = title;
    view.input.addEventListener("paste", (event) => this.take(event, event.clipboardData));
    for (const type of ["dragover", "drop"]) view.root.addEventListener(type, (event) => this.take(event, event.dataTransfer));
  }

  // A cell of a spreadsheet is pasted as text, though it is a picture as well.
  take(event, { types, files }) {
    if (this.view.input.disabled || !types.includes("Files") || (event.type === "paste" && types.includes("text/plain"))) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.type !== "dragover") this.add([...files]);
  }

  async add(files) {
    this.tell();
    for (const file of files) {
      const id = Math.random().toString(36).slice(2);
      const chip = button("nbk-chip", "...", "Remove", () => this.remove(id));
      if (PICTURE.test(file.type)) {
        const image = make("img", "", { alt: "", src: URL.createObjectURL(file) });
        image.onload = () => URL.revokeObjectURL(image.src);
        chip.prepend(image);
      }
      this.chips.set(id, chip);
      this.list.append(chip);
      const bytes = file.size <= 8 << 20 && await file.arrayBuffer().catch(() => null);
      if (bytes) this.view.post({ type: "attach", id, name: file.name }, [bytes]);
      else this.settle({ id, problem: bytes === null ? "It cannot be read." : "It is longer than 8 MiB: pass it in Python, by nbkit.attach()." });
    }
  }

  // The kernel's answer.
  settle({ id, label, note, problem }) {
    const chip = this.chips.get(id);
    if (!chip) return; // another view's
    if (problem) this.remove(id);
    else {
      chip.lastChild.textContent = `${label} ×`;
      chip.ariaLabel = chip.title = `Remove ${label}`;
      chip.note = note;
    }
    this.tell(problem);
  }

  remove(id) {
    this.chips.get(id).remove();
    this.chips.delete(id);
    this.tell();
    this.view.post({ type: "detach", id });
    this.view.input.focus({ preventScroll: true });
  }

  // Says what is wrong with a file, or which models do not read which.
  tell(problem) {
    this.note.textContent = [problem, ...[...this.chips.values()].map((chip) => chip.note)].filter(Boolean).join(" · ");
  }

  get pending() {
    return [...this.chips.values()].some((chip) => chip.note === undefined);
  }

  clear() {
    this.chips.clear();
    this.list.replaceChildren();
    this.tell();
  }
}
