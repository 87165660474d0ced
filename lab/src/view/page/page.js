// The application: its state (what is shown and what is selected), its commands, and its start.

// The colours of terms in each theme. Readers who are colour-blind can tell them apart, too.
const TERMS = {
  light: ["#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#0072b2", "#d55e00", "#b8a800"],
  dark: ["#56b4e9", "#e69f00", "#22b88c", "#d88fb8", "#4b96d8", "#e8793a", "#d9cc3c"],
};

// How much wider the view becomes at most to show the end of another run.
const MOST_WIDENED = 2.5;

class App {
  constructor(run) {
    this.hidden = new Set();
    this.without = new Set();
    // What makes runs anew, in a page of `lab open`.
    this.live = null;
    if (run.n > 2000) this.without.add(run.kinds.indexOf("timer"));
    this.chosenServer = run.failure?.server ?? 0;
    this.take(run);
    this.moment = run.failure ? run.failure.last : run.n - 1;
    this.drawing = new Drawing(this);
    this.panel = new Panel(this);
    this.logs = new Logs(this);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    this.theme = dark.matches ? "dark" : "light";
    dark.addEventListener("change", () => this.setTheme(dark.matches ? "dark" : "light"));
    this.waiting = false;
  }

  take(run) {
    this.run = run;
    this.hits = [];
    this.hitSet = new Set();
    this.selected = -1;
    this.path = new Set();
    this.past = null;
    this.scale = new Scale(run);
    this.operations = new Operations(this);
  }

  // Shows another run in place of this one, with the same time in view and the same moment; all of it, if all
  // of the other was in view. If the end of the other was in view, so is the end of this one, unless it is far away.
  show(run) {
    const { scale } = this;
    const [from, to, folded] = [scale.time(scale.from), scale.time(scale.to), scale.folded];
    const isEnd = to >= this.run.end, isAll = isEnd && from <= 0;
    // The end of the one run corresponds to the end of the other.
    const at = this.moment >= this.run.n - 1 ? Infinity : this.run.at[Math.max(0, this.moment)] ?? 0;
    this.take(run);
    this.scale.folded = folded;
    const [first, last] = [this.scale.place(from), this.scale.place(to)];
    const end = this.scale.last + 0.03 * (last - first), isNear = end - first < MOST_WIDENED * (last - first);
    if (isAll) this.scale.showAll(); else this.scale.show(first, isEnd && isNear ? Math.max(last, end) : last);
    this.moment = Math.max(0, Math.min(run.eventUpTo(at), run.n - 1));
    this.describe();
    this.logs.show(this.moment);
    this.panel.showRun();
    if (byId("search").value) this.search(byId("search").value.trim());
    this.drawNow();
  }

  // Brings everything around the time line in line with the run.
  describe() {
    this.headline();
    makeFilters(this);
    this.kindButtons();
    this.operations.controls();
    byId("go-failure").hidden = !this.run.failure;
  }

  start() {
    this.setTheme(this.theme);
    this.describe();
    listenToKeys(this);
    listenToMouse(this);
    byId("go-failure").onclick = () => this.showFailure();
    byId("go-all").onclick = () => this.showAll();
    byId("scale").onclick = () => this.toggleScale();
    byId("theme").onclick = () => this.toggleTheme();
    byId("logs-button").onclick = () => this.toggleLogs();
    byId("help-button").onclick = () => showHelp(this.run);
    // Redraw before the next frame, so that the canvas never appears stretched.
    new ResizeObserver(() => this.drawNow()).observe(byId("time-box"));
    this.logs.show(this.moment);
    this.panel.showRun();
    if (this.run.failure) this.showFailure(); else this.showAll();
    this.fromAddress();
    byId("time").focus({ preventScroll: true });
  }

  kindButtons() {
    for (const button of byId("kinds").children) {
      button.setAttribute("aria-pressed", String(!this.without.has(this.run.kinds.indexOf(button.dataset.kind))));
    }
  }

  headline() {
    const { record, data, failure } = this.run;
    const verdict = byId("verdict");
    verdict.textContent = data.verdict;
    verdict.classList.toggle("bad", !!failure);
    byId("reason").textContent = byId("reason").title = failure ? failure.reason : data.begun ?? record.test;
    const at = failure?.known ? `at ${seconds(failure.at)} s, ` : "";
    const server = failure && failure.server !== null ? `${this.run.fullName(failure.server)}, ` : "";
    const found = failure?.found !== undefined && failure.found !== failure.at ? ` (found at ${seconds(failure.found)} s)` : "";
    byId("where").textContent = `${at}${server}${record.test}, seed ${record.seed}${found}`;
    byId("replay").textContent = data.replay;
    byId("replay").hidden = byId("copy").hidden = data.replay === "";
    byId("copy").textContent = "copy";
    byId("copy").onclick = async () => {
      try { await navigator.clipboard.writeText(data.replay); byId("copy").textContent = "copied"; }
      catch { getSelection().selectAllChildren(byId("replay")); }
    };
  }

  setTheme(theme) {
    this.theme = theme;
    document.documentElement.dataset.theme = theme;
    byId("theme").textContent = theme === "dark" ? "Light" : "Dark";
    const style = getComputedStyle(document.documentElement);
    const of = (name) => style.getPropertyValue(`--${name}`).trim();
    const names = { ground: 0, "row-odd": 0, "row-chosen": 0, panel: 0, line: 0, text: 0, faint: 0, bad: 0, "bad-text": 0, "on-bad": 0,
      "bad-shade": 0, select: 0, window: 0, path: 0, hit: 0, cut: 0, "cut-all": 0, "on-cut-all": 0, "cut-shade": 0, down: 0,
      persist: 0, apply: 0, commit: 0, serving: 0, waiting: 0, handing_over: 0, read: 0, write: 0, "on-bar": 0 };
    this.colours = { kinds: ["vote", "append", "snapshot", "kv", "rpc"].map(of) };
    for (const name of Object.keys(names)) this.colours[name.replace(/-(.)/g, (_, c) => c.toUpperCase())] = of(name);
    if (this.logs.moment > -2) this.logs.show(this.moment);
    this.redraw();
  }

  toggleTheme() { this.setTheme(this.theme === "dark" ? "light" : "dark"); }

  termColour(term) {
    const colours = TERMS[this.theme];
    return term === 0 ? this.colours.faint : colours[(term - 1) % colours.length];
  }

  // Whether the bands of a term have a line in them: so that only every fourteenth term looks the same.
  hasLine(term) { return term > 0 && Math.floor((term - 1) / TERMS[this.theme].length) % 2 === 1; }

  onTerm() { return "#10131a"; }

  kindColour(kind) {
    const name = this.run.kinds[kind];
    return this.colours.kinds[kind] ?? { apply: this.colours.apply, persist: this.colours.persist, test: this.colours.text, state: this.colours.select, shard: this.colours.serving }[name] ?? this.colours.faint;
  }

  // Whether the filters let an event through.
  shows(e) { return !this.without.has(this.run.kind[e]); }

  showsMessage(message) {
    if (this.without.has(message.kind)) return false;
    const a = this.run.serverOf[message.from], b = this.run.serverOf[message.to];
    return !this.hidden.has(a) && !this.hidden.has(b);
  }

  isHit(e) { return this.hitSet.has(e); }

  isDim(e) {
    if (this.past) return !this.past[e];
    return this.hits.length > 0 && !this.hitSet.has(e) && !this.hitSet.has(this.run.messageOf.get(e)?.last);
  }

  onPath(message) { return this.path.has(message.first) && (this.path.has(message.last) || this.path.has(message.told)); }

  redraw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.drawNow();
    });
  }

  drawNow() {
    this.drawing.draw();
    this.followView();
    this.logs.follow(this.chosenServer);
    this.drawing.overview(byId("overview"));
    byId("scale").textContent = this.scale.folded ? "Time folded" : "Time to scale";
    this.drawnOnce = true;
  }

  // Keeps the moment in view while no event is selected, so that server names and logs describe a moment
  // that can be seen.
  followView() {
    const { drawing, run } = this;
    if (this.selected >= 0 || !run.n) return;
    const at = run.at[this.moment] ?? 0;
    if (at >= drawing.fromTime - 1 && at <= drawing.toTime + 1) return;
    const moment = Math.max(0, at < drawing.fromTime ? drawing.first : drawing.last - 1);
    if (moment === this.moment) return;
    this.moment = Math.min(moment, run.n - 1);
    this.logs.show(this.moment);
    drawing.draw();
  }

  zoom(factor, at = null) {
    if (at === null) {
      // Keep the selected event or the failure in place, if it is in view.
      const e = this.selected, place = e >= 0 ? this.scale.place(this.run.at[e]) : this.run.failure?.known ? this.scale.place(this.run.failure.at) : NaN;
      at = place >= this.scale.from && place <= this.scale.to ? place : (this.scale.from + this.scale.to) / 2;
    }
    this.scale.zoom(factor, at);
    this.redraw();
  }

  pan(share) { this.scale.pan(share); this.redraw(); }

  goTo(share) {
    const width = this.scale.to - this.scale.from;
    const from = share === 0 ? -0.02 * width : this.scale.last - 0.96 * width;
    this.scale.show(from, from + width);
    this.redraw();
  }

  showAll() { this.scale.showAll(); this.redraw(); }

  // Shows the moments before the failure, as many as stay legible, with the failure on the right.
  showFailure() {
    const { run, scale } = this, { failure } = run;
    if (!failure) return;
    let i = lowerBound(run.messages, failure.last + 1, (m) => m.first);
    i = Math.max(0, i - 90);
    const at = scale.place(failure.at);
    let from = run.messages[i] ? scale.place(run.messages[i].start) : 0;
    // If time is folded, this is little more than 70 moments.
    if (scale.folded) from = Math.max(from, at - 200);
    if (failure.begin !== undefined) from = scale.place(failure.begin) - 0.05 * (at - scale.place(failure.begin));
    from = Math.min(from, at - scale.least);
    const width = (at - from) / 0.86;
    scale.show(at - 0.86 * width, at + 0.14 * width);
    this.moment = failure.last;
    this.selected = -1;
    this.past = null;
    this.chosenServer = failure.server ?? this.chosenServer;
    this.path = new Set(failure.e >= 0 ? run.chain(failure.e) : []);
    this.panel.showRun();
    this.logs.show(this.moment);
    this.redraw();
  }

  // Selects an event: shows its details, and the logs at its moment. -1 clears the selection.
  select(e) {
    this.selected = e;
    this.path = new Set();
    if (e < 0) { this.panel.showRun(); this.redraw(); return; }
    const { run, scale } = this;
    this.path = new Set(run.chain(e, 12));
    this.moment = e;
    const server = run.serverOf[run.node[e]];
    if (server >= 0) this.chosenServer = server;
    const place = scale.place(run.at[e]), width = scale.to - scale.from;
    if (place < scale.from + 0.02 * width || place > scale.to - 0.02 * width) scale.show(place - width / 2, place + width / 2);
    this.panel.showEvent(e);
    this.logs.show(e);
    try { history.replaceState(null, "", `#e=${e}`); } catch { /* some browsers forbid it for files */ }
    this.redraw();
  }

  // Selects the event in the page's address, after a reload or when following a link.
  fromAddress() {
    const found = /^#e=(\d+)$/.exec(location.hash);
    if (found && Number(found[1]) < this.run.n) this.select(Number(found[1]));
  }

  step(by) {
    const { run } = this;
    const node = run.serverOf.indexOf(this.chosenServer);
    if (node < 0) return;
    const events = run.ofNode[node];
    let i = lowerBound(events, this.selected >= 0 ? this.selected : this.moment);
    if (this.selected < 0 && by < 0) i = lowerBound(events, this.moment + 1);
    if (by > 0 && events[i] === this.selected) i++;
    if (by < 0) i--;
    while (i >= 0 && i < events.length && !this.shows(events[i])) i += by;
    if (i >= 0 && i < events.length) this.select(events[i]);
  }

  chooseServer(by) {
    this.chosenServer = (this.chosenServer + by + this.run.servers) % Math.max(1, this.run.servers);
    this.redraw();
  }

  showPast(e) {
    if (e < 0) return;
    this.past = this.past ? null : this.run.past(e);
    this.redraw();
  }

  toggleScale() { this.scale.toggle(); this.redraw(); }

  scrollRows(share) { this.drawing.scroll += share * this.drawing.height; this.redraw(); }

  toggleLogs() {
    byId("logs").hidden = !byId("logs").hidden;
    this.redraw();
  }

  search(text) {
    this.hits = searched(this.run, text);
    this.hitSet = new Set(this.hits);
    byId("found").textContent = text ? plural(this.hits.length, "hit") : "";
    this.redraw();
  }

  nextHit(by) {
    if (!this.hits.length) return;
    const from = this.selected >= 0 ? this.selected : this.moment;
    let i = lowerBound(this.hits, by > 0 ? from + 1 : from) + (by > 0 ? 0 : -1);
    i = (i + this.hits.length) % this.hits.length;
    this.select(this.hits[i]);
    byId("found").textContent = `${i + 1} of ${this.hits.length}`;
  }

  escape() {
    if (this.past) this.past = null;
    else if (this.hits.length) { byId("search").value = ""; this.search(""); }
    else this.select(-1);
    this.redraw();
  }

  click(x, y) {
    const { drawing, run } = this;
    if (x < GUTTER) {
      const row = drawing.serverRows.find((r) => y >= drawing.rowY(r) && y < drawing.rowY(r) + r.h);
      if (row) { this.chosenServer = row.server; this.live?.touches.ofRow(row, x, y); this.redraw(); }
      return;
    }
    const hit = drawing.find(x, y);
    byId("tip").hidden = true;
    // The menu is for what is drawn at this moment, so it opens before the view moves.
    this.live?.touches.atClick(x, y);
    if (hit) {
      const line = hit.line;
      const nearEnd = line && hit.last >= 0 && Math.hypot(line[2] - x, line[3] - y) < Math.hypot(line[0] - x, line[1] - y);
      return this.select(nearEnd ? hit.last : hit.e);
    }
    // A click on an empty spot selects only the moment.
    this.moment = run.eventUpTo(drawing.timeAt(x));
    const row = drawing.serverRows.find((r) => y >= drawing.rowY(r) && y < drawing.rowY(r) + r.h);
    if (row) this.chosenServer = row.server;
    this.logs.show(this.moment);
    this.redraw();
  }

  hover(event) {
    const tip = byId("tip"), hit = this.drawing.find(event.offsetX, event.offsetY);
    tip.hidden = !hit;
    if (!hit) return;
    const message = hit.message;
    let text = hit.text ?? `${this.run.data.nodes[this.run.node[hit.e]]}, ${seconds(this.run.at[hit.e])} s: ${this.run.label(hit.e)}`;
    if (message) text += message.lost ? ` (lost: ${message.why})` : message.last >= 0 ? ` (took ${span(message.end - message.start)})` : "";
    tip.textContent = text.slice(0, 420);
    const left = Math.min(event.clientX + 14, innerWidth - Math.min(470, tip.offsetWidth + 10));
    tip.style.left = `${left}px`;
    tip.style.top = `${event.clientY + 18 + tip.offsetHeight > innerHeight ? event.clientY - tip.offsetHeight - 10 : event.clientY + 18}px`;
  }
}

// A read-only view of the page's state, for tests.
function watched(app, firstDraw) {
  const { drawing } = app;
  const state = {
    get live() { return app.live ? app.live.watched() : null; },
    get ready() { return !!app.drawnOnce; },
    get firstDraw() { return firstDraw(); },
    get servers() { return app.run.servers; },
    get events() { return app.run.n; },
    get messages() { return app.run.messages.length; },
    get view() { const { scale } = app; return { from: scale.time(scale.from), to: scale.time(scale.to), folded: scale.folded }; },
    get failure() {
      const { run } = app;
      if (!run.failure) return null;
      const x = drawing.x(run.failure.at);
      return { at: run.failure.at, event: run.failure.e, x, isInView: x >= GUTTER && x <= drawing.width };
    },
    get drawn() { return { ...drawing.drawn, rows: drawing.serverRows.filter((r) => !r.hidden).length }; },
    get hits() { return app.hits.length; },
    get selected() { return app.selected; },
    get moment() { return app.moment; },
    get theme() { return app.theme; },
    get lanes() { return app.operations.lanes().length; },
    get bad() { return app.run.operations.filter((o) => o.bad).length; },
    // The places on the canvas that can be clicked.
    get targets() { return drawing.hits.map((h) => ({ e: h.e, at: h.point ?? (h.line ? [(h.line[0] + h.line[2]) / 2, (h.line[1] + h.line[3]) / 2] : [h.box[0], h.box[1]]), isArrow: !!h.message, first: h.message?.first ?? -1,
      what: WHAT[app.run.what[h.e]], isReply: !!h.message?.isReply, from: h.message ? app.run.data.nodes[h.message.from] : null, to: h.message ? app.run.data.nodes[h.message.to] : null, line: h.line, arrives: (h.message?.last ?? -1) >= 0 && !h.message.lost, name: app.run.name[h.e] < 0 ? "" : app.run.texts[app.run.name[h.e]] })); },
    get names() { return Array.from({ length: app.run.servers }, (_, i) => app.run.serverName(i)); },
    get groups() { return app.run.groups.map((group) => ({ gid: group.gid, configs: group.changes.length, lanes: group.lanes.map((spans) => spans.map((span) => span.state)) })); },
    get migrations() { return app.run.migrations; },
    get groupRows() { return drawing.rows.filter((row) => row.type === "group").map((row) => ({ gid: row.group.gid, y: drawing.laneY(row, 0) })); },
    // The middle of each server's row.
    get rows() { return drawing.serverRows.map((row) => ({ server: row.server, y: drawing.middle(row) + 30, height: row.h })); },
    // The place of a time, in nanoseconds; the message at a place; the server that leads at a time, or -1.
    xOf(at) { return drawing.x(at); },
    messageAt(x, y) { const row = drawing.serverRows.find((r) => Math.abs(y - drawing.middle(r)) < 9); return row ? -1 : drawing.find(x, y)?.message?.first ?? -1; },
    leaderAt(at) { return Array.from({ length: app.run.servers }, (_, i) => i).find((i) => { const { state, runs } = app.run.stateAt(i, app.run.eventUpTo(at)); return runs && state?.role === "leader"; }) ?? -1; },
    // Shows the period between two times.
    show(from, to) { app.scale.show(app.scale.place(from), app.scale.place(to)); app.redraw(); },
  };
  return Object.freeze(state);
}

async function main() {
  try {
    const live = typeof Live === "undefined" ? null : new Live();
    if (!live && typeof DecompressionStream === "undefined") throw new Error("this browser is too old: it needs DecompressionStream (Chrome 103, Firefox 113, Safari 16.4)");
    const data = live ? await live.first() : await unpack(byId("data").textContent);
    byId("data").remove();
    const app = new App(new Run(data));
    app.live = live;
    let firstDraw = 0;
    window.lab = watched(app, () => firstDraw);
    app.start();
    live?.start(app);
    requestAnimationFrame(() => { firstDraw = performance.now(); });
  } catch (error) {
    byId("reason").textContent = `Cannot show this run: ${error.message}`;
    throw error;
  }
}

main();
