// Scrolling together: the answer under the pointer, or with the focus, leads the others, by the part of it that is above.

class Together {
  constructor(view) {
    this.on = false;
    this.grid = view.grid;
    this.button = button("nbk-quiet nbk-together", "⇅", "", () => this.toggle());
    nameControl(this.button, "Scroll the answers together (s)");
    this.button.setAttribute("aria-pressed", "false");
    this.grid.addEventListener("scroll", (event) => this.follow(event.target), { capture: true, passive: true });
  }

  toggle() {
    this.on = !this.on;
    this.button.setAttribute("aria-pressed", String(this.on));
    const leader = this.grid.querySelector(".nbk-scroll:focus-within") ?? this.grid.querySelector(".nbk-scroll");
    if (this.on) this.lead(leader);
  }

  follow(leader) {
    if (this.on && leader.matches(".nbk-scroll:is(:hover, :focus-within)")) this.lead(leader);
  }

  lead(leader) {
    const range = ({ scrollHeight, clientHeight }) => scrollHeight - clientHeight;
    const part = leader.scrollTop / Math.max(range(leader), 1);
    for (const node of this.grid.querySelectorAll(".nbk-scroll")) {
      const top = part * range(node);
      if (node !== leader && Math.abs(node.scrollTop - top) > 1) node.scrollTop = top;
    }
  }
}
