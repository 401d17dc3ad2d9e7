// Scrolling together: the answer that the reader last touched, or has the focus in, leads the others, by the part of it
// that is above. One at a time: two leaders would stop each other's smooth scrolling half-way.

const TOUCHES = ["wheel", "pointerdown", "keydown", "focusin"];

class Together {
  constructor(view) {
    this.on = false;
    this.grid = view.grid;
    this.button = button("nbk-quiet nbk-together", "⇅", "", () => this.toggle());
    nameControl(this.button, "Scroll the answers together (s)");
    this.button.setAttribute("aria-pressed", "false");
    const options = { capture: true, passive: true };
    for (const touch of TOUCHES) this.grid.addEventListener(touch, ({ target }) => this.choose(target), options);
    this.grid.addEventListener("scroll", ({ target }) => this.on && target === this.leader && this.lead(), options);
  }

  choose(target) {
    this.leader = target.closest(".nbk-scroll") ?? this.leader;
  }

  toggle() {
    this.on = !this.on;
    this.button.setAttribute("aria-pressed", String(this.on));
    if (!this.leader?.isConnected) this.leader = this.grid.querySelector(".nbk-scroll");
    if (this.on) this.lead();
  }

  lead() {
    const range = ({ scrollHeight, clientHeight }) => scrollHeight - clientHeight;
    const part = this.leader.scrollTop / Math.max(range(this.leader), 1);
    for (const node of this.grid.querySelectorAll(".nbk-scroll")) if (node !== this.leader) node.scrollTop = part * range(node);
  }
}
