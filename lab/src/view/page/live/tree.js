// The tree of all runs that were made, each below the one that it was made from.

class Tree {
  constructor(live) {
    this.live = live;
    this.box = element("aside", { id: "tree" });
    this.box.setAttribute("aria-label", "Runs that were tried");
    document.querySelector("main").prepend(this.box);
  }

  // The runs from top to bottom, each with its depth. A line of single children does not move to the right.
  ordered() {
    const { tries } = this.live.state;
    const children = new Map();
    for (const one of tries) {
      const of = children.get(one.parent) ?? [];
      of.push(one);
      children.set(one.parent, of);
    }
    const lines = [];
    const walk = (one, depth) => {
      lines.push({ one, depth });
      const next = children.get(one.id) ?? [];
      next.forEach((child) => walk(child, depth + (next.length > 1 ? 1 : 0)));
    };
    (children.get(null) ?? []).forEach((one) => walk(one, 0));
    return lines;
  }

  show() {
    const { live } = this, { shown, base } = live;
    const lines = this.ordered().map(({ one, depth }) => {
      const sign = one.reason === null ? "✓" : one.verdict === "failed" ? "✗" : "!";
      const line = element("button", { className: "try", onclick: () => live.goTo(one.id), title: this.title(one) },
        element("b", {}, sign), element("span", {}, one.name || one.words));
      line.style.paddingLeft = `${6 + depth * 12}px`;
      line.dataset.run = one.id;
      line.classList.toggle("bad", one.reason !== null);
      if (one.id === shown) line.setAttribute("aria-current", "true");
      const compare = element("button", { className: "compare", title: "Compare the run that is shown with this one (v)", onclick: () => live.compareWith(one.id) }, one.id === base ? "compared" : "compare");
      compare.hidden = one.id === shown;
      return element("div", { className: one.id === base && one.id !== shown ? "line base" : "line" }, line, compare);
    });
    const button = (text, title, act) => element("button", { title, onclick: act }, text);
    const bar = element("div", { className: "bar" }, button("Undo", "Back to the run that this one was made from (u)", () => live.undo()), button("Redo", "The run that was made last from this one (U)", () => live.redo()),
      button("Name", "Give this run a name (b)", () => live.nameIt()), button("Keep", "Keep this run in a file (k)", () => live.keeping.open()));
    this.box.replaceChildren(element("h2", {}, "What was tried"), bar, ...lines);
    this.box.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
  }

  title(one) {
    const at = one.at === null ? "" : ` at ${one.at.toFixed(6)} s`;
    return `run ${one.id}: ${one.words}\n${one.verdict}${one.reason === null ? "" : `${at}: ${one.reason}`}${one.kept ? `\nkept as ${one.kept}` : ""}`;
  }

  // The next or previous run in the tree.
  step(by) {
    const lines = this.ordered();
    const here = lines.findIndex(({ one }) => one.id === this.live.shown);
    const next = lines[here + by];
    if (next) this.live.goTo(next.one.id);
  }
}
