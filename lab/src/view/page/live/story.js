// Stories: walking through one, and keeping runs as one, as a file or as a test.

// Walks through the steps of a story.
class Story {
  constructor(live, story) {
    this.live = live;
    this.story = story;
    this.step = 0;
    const go = (by) => () => this.go(by);
    this.words = element("p");
    this.count = element("span");
    this.box = element("section", { id: "story" }, element("b", {}, story.title), this.count,
      element("button", { onclick: go(-1), title: "The step before (left arrow)" }, "‹"), element("button", { onclick: go(1), title: "The next step (right arrow)" }, "›"), this.words);
    this.box.setAttribute("aria-label", "Story");
    byId("overview").before(this.box);
  }

  async go(by) {
    const step = Math.max(0, Math.min(this.step + by, this.story.steps.length - 1));
    if (step === this.step && by !== 0) return;
    this.step = step;
    const { say, run, show } = this.story.steps[step];
    this.words.textContent = say;
    this.count.textContent = `step ${step + 1} of ${this.story.steps.length}`;
    await this.live.goTo(run);
    // The sentence says what there is to see; a comparison comes with the first touch.
    this.live.comparison = null;
    this.live.hint();
    const { app } = this.live;
    if (show) app.scale.show(app.scale.place(show[0] * 1e9), app.scale.place(show[1] * 1e9));
    else app.showAll();
    if (show) { app.moment = Math.max(0, app.run.eventUpTo(show[1] * 1e9)); app.logs.show(app.moment); }
    app.redraw();
  }
}

// The dialog that keeps the run that is shown.
class Keeping {
  constructor(live) {
    this.live = live;
    this.box = element("dialog", { id: "keep" });
    this.box.setAttribute("aria-label", "Keep this run");
    document.body.append(this.box);
  }

  // The runs from the first one to the one that is shown.
  path() {
    const path = [];
    for (let id = this.live.shown; id !== null; id = this.live.state.tries[id].parent) path.unshift(this.live.state.tries[id]);
    return path;
  }

  open() {
    const { live } = this;
    const one = live.state.tries[live.shown];
    const name = element("input", { type: "text", value: one.name || `run-${one.id}`, id: "keep-name" });
    const told = element("div", { id: "kept" });
    const tell = async (act) => {
      try { told.replaceChildren(...(await act())); } catch (error) { told.replaceChildren(element("p", { className: "bad" }, error.message)); }
    };
    const keep = (test) => tell(async () => {
      const kept = await live.talk.json("keep", { run: live.shown, keep: { name: name.value, ...(test ? { test } : {}) } });
      await live.refresh();
      const lines = [element("p", {}, "The run is kept in ", element("code", {}, kept.path), kept.replaced ? ", in place of what had that name" : "", ". These commands make it again, and open it here:"), element("pre", {}, `${kept.replay}\n${kept.open}`)];
      if (kept.test) lines.push(element("p", {}, "This test is in ", element("code", {}, kept.test.path), ":"), element("pre", {}, kept.test.text));
      return lines;
    });
    const steps = this.path().map((one) => ({ one, say: element("textarea", { rows: 2, value: one.words }) }));
    const story = () => tell(async () => {
      const asked = steps.map(({ one, say }) => ({ run: one.id, say: say.value, show: live.views.get(one.id) ?? null }));
      const kept = await live.talk.json("story", { title: name.value, steps: asked });
      return [element("p", {}, "The story is kept. This command walks through it:"), element("pre", {}, kept.open)];
    });
    const must = one.reason === null ? "passes" : "fails";
    this.box.replaceChildren(element("h2", {}, "Keep this run"), element("p", {}, "under the name ", name),
      element("div", { className: "bar" }, element("button", { onclick: () => keep(null), id: "keep-file" }, "as a file"),
        element("button", { onclick: () => keep("passes"), id: "keep-test" }, "as a test that expects it to pass"),
        ...(must === "fails" ? [element("button", { onclick: () => keep("fails") }, "as a test that expects this failure")] : []),
        element("button", { onclick: story, id: "keep-story" }, "as a story")),
      element("details", {}, element("summary", {}, "the sentences of the story, one for each run from the first to this one"), ...steps.map(({ say }) => say)),
      told, element("button", { onclick: () => this.box.close() }, "Close (Esc)"));
    this.box.showModal();
    name.select();
  }
}
