// A page whose run can be touched: shows the run that a touch makes in place of the other, and what changed.

// How many runs are kept in the page.
const KEPT_MODELS = 8;

class Live {
  constructor() {
    this.talk = new Talk();
    this.models = new Map();
    // The period in which each run was looked at, in virtual seconds.
    this.views = new Map();
    this.shown = 0;
    this.base = null;
    this.comparison = null;
    this.asked = 0;
    this.lucks = 0;
  }

  // The data of the first run.
  async first() {
    this.state = await this.talk.json("state");
    const { data } = await this.talk.run("run/0");
    return data;
  }

  start(app) {
    this.app = app;
    this.models.set(0, app.run);
    this.touches = new Touches(this);
    this.tree = new Tree(this);
    this.keeping = new Keeping(this);
    this.banner = element("section", { id: "changes", hidden: true });
    this.banner.setAttribute("aria-live", "polite");
    this.describe();
    byId("overview").before(this.banner);
    if (this.state.story) { this.story = new Story(this, this.state.story); this.story.go(0); }
    this.tree.show();
    this.hint();
    this.listen();
    this.hear();
  }

  hint() {
    const words = this.state.world ? "Click on a server's row to crash it, cut it off or give it a command at that moment; click on a message to lose it."
      : "Click on a message to lose it, deliver it now or later, or on a server's row to do something to it at that moment. Drag the head of an arrow or a timer to another time.";
    this.say(this.story ? "Walk with the arrow keys. Click on a message or on a server's row to try something else." : words);
  }

  say(text, isBad = false) {
    this.banner.replaceChildren(element("span", { className: isBad ? "bad" : "" }, text));
    this.banner.hidden = false;
  }

  nextLuck() { return ++this.lucks; }

  nextCommand() { return `x${1 + this.state.tries[this.shown].commands}`; }

  // Has something done to the run that is shown, and shows the run that this makes.
  async touch(touch) {
    const begun = performance.now();
    const on = this.shown;
    const other = this.app.run;
    await this.bring(() => this.talk.run("touch", { on, touch }, other), on, true);
    this.lastTook = performance.now() - begun;
  }

  async goTo(id) {
    const known = this.models.get(id);
    const parent = this.state.tries[id]?.parent ?? null;
    if (known) return this.show(id, known, parent);
    await this.bring(() => this.talk.run(`run/${id}`), parent);
  }

  // Asks for a run and shows it, unless something else was asked for meanwhile. A failure is said.
  async bring(ask, base, isNew = false) {
    const number = ++this.asked;
    const begun = Date.now();
    const waiting = setInterval(() => this.say(`The run is being made (${Math.round((Date.now() - begun) / 1000)} s) …`), 400);
    try {
      const { known, data, same } = await ask();
      clearInterval(waiting);
      this.learn(known);
      const run = this.models.get(known.id) ?? new Run(data);
      this.remember(known.id, run);
      if (number === this.asked) this.show(known.id, run, base === known.id ? known.parent : base, same, isNew);
    } catch (error) {
      clearInterval(waiting);
      this.say(error.message, true);
    }
  }

  learn(known) {
    this.state.tries[known.id] = known;
  }

  remember(id, run) {
    this.models.delete(id);
    this.models.set(id, run);
    for (const old of this.models.keys()) if (this.models.size > KEPT_MODELS && old !== this.shown && old !== this.base) this.models.delete(old);
  }

  // Shows a run, compared with another one, with which it shares at least this many events. In a run that was just
  // made, the moment is right after what was done.
  show(id, run, base, same = 0, isNew = false) {
    const { scale } = this.app;
    this.views.set(this.shown, [scale.time(scale.from) / 1e9, scale.time(scale.to) / 1e9]);
    this.shown = id;
    this.base = base;
    this.comparison = null;
    if (this.app.run !== run) this.app.show(run);
    this.tree.show();
    this.describe();
    const other = this.models.get(base);
    if (other && other !== run) {
      this.comparison = new Comparison(other, run, same);
      if (isNew) this.showParting();
      this.app.redraw();
      this.tellChanges();
    } else if (base === null || base === undefined) this.hint();
    else this.compareWith(base);
  }

  // Compares the run that is shown with another one.
  async compareWith(id) {
    if (id === this.shown) return;
    try {
      if (!this.models.has(id)) {
        const { known, data } = await this.talk.run(`run/${id}`);
        this.learn(known);
        this.remember(id, new Run(data));
      }
      this.base = id;
      this.comparison = new Comparison(this.models.get(id), this.app.run);
      this.tree.show();
      this.tellChanges();
      this.app.redraw();
    } catch (error) {
      this.say(error.message, true);
    }
  }

  // What the frame of the page says of the run that is shown.
  describe() {
    const { run } = this.app;
    if (this.state.world && !run.failure) byId("verdict").textContent = "ran";
    if (run.data.replay !== "") return;
    byId("copy").hidden = false;
    byId("copy").textContent = "keep it, to replay it (k)";
    byId("copy").onclick = () => this.keeping.open();
  }

  // Shows the servers as they are once what was done has happened.
  showParting() {
    const { app, comparison } = this;
    if (comparison.at === null || app.run.failure) return;
    app.moment = Math.max(0, app.run.eventUpTo(comparison.at));
    app.logs.show(app.moment);
  }

  // Why what was done had no effect: a server does not lead and takes no command, for example. Empty if it had one.
  ignored() {
    const { run } = this.app, { at, same } = this.comparison;
    const why = [];
    for (let e = same; e < run.n && run.at[e] <= at; e++) if (run.facts.get(e)?.fact === "ignored") why.push(run.facts.get(e).why);
    return why;
  }

  // Buttons that take back one of several things that were done in the run that is shown.
  takeBack() {
    const { done } = this.state.tries[this.shown];
    if (done.length < 2) return [];
    const buttons = done.map(({ words, acts }) => element("button", { onclick: () => this.touch({ undo: acts }) }, words));
    return [element("details", { id: "take-back" }, element("summary", {}, "Take back only one of these"), element("div", { className: "bar" }, ...buttons))];
  }

  // Says how the run differs from the one that it is compared with. The lists come when asked for.
  tellChanges() {
    const { comparison } = this;
    const one = this.state.tries[this.shown], other = this.state.tries[this.base];
    const isBad = this.app.run.failure !== null;
    const parts = [element("b", { className: isBad ? "bad" : "good" }, comparison.verdict(this.state.world))];
    if (comparison.at !== null) {
      parts.push(...this.ignored().map((why) => element("span", {}, `${why[0].toUpperCase()}${why.slice(1)}.`)),
        element("span", {}, `It parts from “${(other.name || other.words).slice(0, 60)}” at ${seconds(comparison.at)} s.`),
        element("button", { onclick: () => this.goToParting(), title: "Show where the runs part (g)" }, "Where they part"),
        element("button", { onclick: () => this.listChanges(), title: "List what is new and what is gone (w)" }, "What is new, what is gone"));
    }
    parts.push(element("button", { onclick: () => this.undo(), title: "Back to the run that this one was made from (u)" }, "Undo"));
    this.banner.replaceChildren(...parts);
    this.banner.hidden = false;
    byId("said").textContent = `${one.words}. ${comparison.verdict(this.state.world)}`;
  }

  goToParting() {
    const at = this.comparison?.at;
    if (at === null || at === undefined) return;
    const { scale } = this.app;
    const width = scale.to - scale.from, place = scale.place(at);
    scale.show(place - width / 3, place + width * 2 / 3);
    this.app.moment = Math.max(0, this.app.run.eventUpTo(at));
    this.app.logs.show(this.app.moment);
    this.app.redraw();
  }

  listChanges() {
    const { comparison, app } = this;
    if (!comparison || comparison.at === null) return;
    const { fresh, gone } = comparison.changes();
    const { panel } = app;
    const old = comparison.before;
    const goneLine = (e) => element("p", { className: "gone" }, `${(old.at[e] / 1e9).toFixed(5)} ${old.data.nodes[old.node[e]].replace("server ", "S")}: ${old.label(e).slice(0, 140)}`);
    panel.box.replaceChildren(element("h2", {}, "What changed"),
      element("p", {}, `${plural(fresh.length, "event")} new, ${plural(gone.length, "event")} gone; the most telling:`),
      ...panel.list("New", Comparison.telling(app.run, fresh)),
      ...(gone.length ? [element("h3", {}, "Gone"), ...Comparison.telling(old, gone).map(goneLine)] : []),
      element("div", { className: "bar" }, element("button", { onclick: () => app.select(-1) }, "Close (Esc)")));
    panel.box.scrollTop = 0;
  }

  undo() {
    const parent = this.state.tries[this.shown].parent;
    if (parent === null) return this.say("This is the first run: there is nothing to undo.");
    return this.goTo(parent);
  }

  redo() {
    const made = this.state.tries.filter((one) => one.parent === this.shown).at(-1);
    if (!made) return this.say("Nothing was made from this run yet.");
    return this.goTo(made.id);
  }

  async nameIt() {
    const one = this.state.tries[this.shown];
    const name = prompt("The name of this run", one.name || one.words);
    if (name === null) return;
    try {
      await this.talk.ask("name", { run: this.shown, name });
      await this.refresh();
    } catch (error) {
      this.say(error.message, true);
    }
  }

  async refresh() {
    this.state = await this.talk.json("state");
    this.tree.show();
  }

  // Waits for runs that the page did not ask for: the program was built again.
  async hear() {
    for (;;) {
      try {
        const state = await this.talk.json(`news/${this.state.news}`);
        const isNew = state.news !== this.state.news;
        this.state = state;
        if (isNew) { this.models.clear(); this.models.set(this.shown, this.app.run); await this.goTo(state.tries.length - 1); }
      } catch (error) {
        this.say(error.message, true);
        await new Promise((done) => setTimeout(done, 3000));
      }
    }
  }

  // A read-only view of the state, for tests.
  watched() {
    return { shown: this.shown, base: this.base, tries: this.state.tries, took: this.lastTook, parts: this.comparison?.at ?? null, said: this.banner?.textContent ?? "", menu: this.touches ? !this.touches.box.hidden : false };
  }

  listen() {
    const keys = { Enter: () => this.touches.atSelection(), u: () => this.undo(), U: () => this.redo(), "[": () => this.tree.step(-1), "]": () => this.tree.step(1),
      b: () => this.nameIt(), k: () => this.keeping.open(), g: () => this.goToParting(), w: () => this.listChanges(), v: () => this.compareNext() };
    const inStory = { ArrowLeft: () => this.story.go(-1), ArrowRight: () => this.story.go(1) };
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]") || this.touches.box.contains(event.target)) return;
      if (event.target.matches("input, select, textarea")) return;
      if (event.key === "Enter" && event.target.matches("button, summary")) return;
      const act = (this.story && !event.shiftKey && inStory[event.key]) || keys[event.key];
      if (!act) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      act();
    }, { capture: true });
  }

  // Compares the run that is shown with the next one in the tree.
  compareNext() {
    const others = this.tree.ordered().map(({ one }) => one.id).filter((id) => id !== this.shown);
    if (others.length) this.compareWith(others[(others.indexOf(this.base) + 1) % others.length]);
  }

  // Draws what belongs to a comparison: the roles of the other run below those of this one, and where they part.
  draw(drawing) {
    const { comparison, app } = this;
    this.touches.placeNames(drawing);
    if (!comparison || comparison.at === null) return;
    const c = drawing.context;
    for (const row of drawing.serverRows) {
      if (row.hidden || !comparison.before.bands[row.server]) continue;
      const y = drawing.middle(row) + 10;
      for (const band of comparison.before.bands[row.server]) {
        if (band.to < Math.max(drawing.fromTime, comparison.at) || band.from > drawing.toTime) continue;
        const x0 = Math.max(drawing.x(Math.max(band.from, comparison.at)), GUTTER - 4), x1 = Math.min(drawing.x(band.to), drawing.width + 4);
        drawing.termBar(c, band, x0, y, Math.max(x1 - x0, 1), band.role === "leader" ? 4 : 2.5, 0.4);
      }
    }
    const x = drawing.x(comparison.at);
    if (x < GUTTER || x > drawing.width) return;
    c.strokeStyle = app.colours.hit;
    c.lineWidth = 2;
    c.beginPath();
    c.moveTo(x, drawing.fixed);
    c.lineTo(x, drawing.height);
    c.stroke();
    c.fillStyle = app.colours.hit;
    const words = "parts here", { width } = c.measureText(words);
    c.fillText(words, x + 4 + width < drawing.width ? x + 4 : x - 4 - width, drawing.height - 8);
  }
}
