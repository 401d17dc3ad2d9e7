// Votes on the answers of a comparison: a button for each pane, tie and bad; the keys 1 to 9, 0 and x.

class Votes {
  constructor(vote) {
    this.vote = vote;
    this.label = make("span", "nbk-label", {}, "Which is best?");
    this.agreement = make("span", "nbk-label nbk-agreement", { title: "Mean share of the words that two answers have in common" });
    this.node = make("div", "nbk-votes", { role: "group", "aria-label": "Vote: which answer is best?" });
    this.choices = [];
  }

  draw(panes) {
    this.panes = panes;
    const ending = / \([^()]+\)$/.exec(panes[0]?.name)?.[0] ?? "";  // where all are "(simulated)", it tells none from another
    const shared = panes.every((pane) => pane.name.endsWith(ending)) ? ending.length : 0;
    const names = panes.map(({ name }) => name.slice(0, name.length - shared));
    this.choices = [
      ...panes.map((pane, index) => this.addChoice(index, index < 9 ? String(index + 1) : "", names[index], `The answer of ${pane.model} is best`)),
      this.addChoice("tie", "0", "tie", "All answers are equally good"),
      this.addChoice("bad", "x", "none", "No answer is good"),
    ];
    this.node.replaceChildren(this.label, ...this.choices.map((choice) => choice.node), this.agreement);
    this.node.hidden = true;
  }

  addChoice(value, key, name, title) {
    const node = button("nbk-vote", "", key ? `${title} (${key})` : title, () => this.choose(value));
    if (key) node.append(make("kbd", "nbk-kbd", {}, key));
    node.append(make("bdi", "", {}, name));
    return { value, key, node };
  }

  // The same choice again takes the vote back.
  choose(value) {
    if (this.node.hidden || this.choices[0].node.disabled) return;
    this.vote(value === this.choice ? null : value);
  }

  update(votes, disconnected) {
    this.node.hidden = !votes?.ready;
    if (!votes) return;
    this.choice = votes.choice;
    for (const { value, node } of this.choices) {
      node.setAttribute("aria-pressed", String(value === votes.choice));
      node.disabled = disconnected;
    }
    this.agreement.textContent = votes.agreement;
    this.panes.forEach((pane, index) => {
      if (pane.last) Object.assign(pane.last.figures, { agrees: undefined, won: undefined, score: undefined }, votes.figures[index]);
    });
  }

  // A key counts while the focus is in the comparison.
  onKey(event) {
    if (isWriting(event)) return false;
    const choice = this.node.hidden ? null : this.choices.find(({ key }) => key && key === event.key);
    if (choice) this.choose(choice.value);
    return Boolean(choice);
  }
}
