// The logs of all servers at the chosen moment, with one row per server and one cell per entry, as in the
// paper's figures. If the run has several clusters: of the cluster that the chosen server belongs to.

// The width of a cell in pixels: wide enough for most commands, within limits.
let CELL = 66;

class Logs {
  constructor(app) {
    this.app = app;
    this.box = byId("logs");
    this.rows = byId("log-rows");
    this.scroll = byId("log-scroll");
    this.scroll.addEventListener("scroll", () => this.fill());
    this.moment = -2;
  }

  // Shows the logs of another cluster if the chosen server belongs to one.
  follow(server) {
    if (this.moment > -2 && this.app.run.clusterOf(server) !== this.cluster) this.show(this.moment);
  }

  show(e) {
    const { run } = this.app;
    this.moment = e;
    this.cluster = run.clusterOf(this.app.chosenServer);
    const servers = this.cluster.servers.map((server) => {
      const { state, runs } = run.stateAt(server, e);
      return { server, state, runs };
    });
    this.servers = servers;
    const known = servers.filter((s) => s.state);
    this.first = Math.min(...known.map((s) => s.state.first_index), Infinity);
    this.last = Math.max(...known.map((s) => s.state.last_index), 0);
    byId("log-title").textContent = e < 0 ? "Logs before the run" :
      `Logs${this.cluster.name && ` of ${this.cluster.name}`} at ${seconds(run.at[e])} s`;
    byId("log-heads").replaceChildren(element("div", { className: "log-head axis" }),
      ...servers.map((s) => this.head(s)));
    const count = Math.max(0, this.last - this.first + 1);
    this.measure(known);
    byId("log-wide").style.width = `${count * CELL + 12}px`;
    byId("log-empty").hidden = count > 0;
    if (!count) this.rows.replaceChildren();
    else this.look(known);
    this.fill();
  }

  measure(known) {
    const lengths = [];
    for (const server of known) {
      for (let index = this.last; index > this.last - 30 && index >= this.first; index--) lengths.push(this.entry(server, index)?.command.length ?? 0);
    }
    lengths.sort((a, b) => a - b);
    CELL = Math.round(Math.min(170, Math.max(58, 34 + 6.6 * (lengths[Math.floor(lengths.length * 0.9)] ?? 4))));
    this.box.style.setProperty("--cell", `${CELL}px`);
  }

  head({ server, state, runs }) {
    const short = !state ? "no state" : !runs ? "down" :
      `${state.role} T${state.term}`;
    const rest = state ? `commit ${state.commit_index} · applied ${state.last_applied}` : "";
    const head = element("div", { className: `log-head ${runs ? state?.role ?? "" : "down"}` },
      element("b", {}, `${this.app.run.serverName(server)} `), short, element("small", {}, rest));
    const vote = state?.voted_for;
    head.title = state ? `log ${state.first_index}..${state.last_index}` +
      (vote === null || vote === undefined ? ", no vote" : `, voted for ${this.app.run.bareName(vote)}`) : "";
    if (state) head.style.setProperty("--term", this.app.termColour(state.term));
    return head;
  }

  // Scrolls to the first index at which logs differ. If none do, scrolls to the end of the shortest log of a
  // running server, or to where the last log begins if that is later.
  look(known) {
    let target = this.last;
    for (let index = this.first; index <= this.last; index++) {
      if (this.parts(index)) { target = index; break; }
    }
    const ends = known.filter((s) => s.runs).map((s) => s.state.last_index);
    if (target === this.last) target = Math.min(this.last, Math.max(...known.map((s) => s.state.first_index), Math.min(this.last, ...ends)));
    this.parting = target;
    const wide = this.scroll.clientWidth || 600;
    const x = (target - this.first) * CELL;
    if (x < this.scroll.scrollLeft || x + 3 * CELL > this.scroll.scrollLeft + wide) {
      this.scroll.scrollLeft = Math.max(0, x - wide * 0.55);
    }
  }

  entry({ server, state }, index) {
    if (!state || index < state.first_index || index > state.last_index) return null;
    return this.app.run.entryAt(server, index, this.moment) ?? null;
  }

  // Whether servers have different entries at an index.
  parts(index) {
    let first = null;
    for (const server of this.servers) {
      const entry = this.entry(server, index);
      if (!entry) continue;
      if (first && (first.term !== entry.term || first.command !== entry.command)) return true;
      first ??= entry;
    }
    return false;
  }

  // Creates the cells that are in view.
  fill() {
    if (!this.servers || this.last < this.first) return;
    const { scrollLeft, clientWidth } = this.scroll;
    const from = Math.max(this.first, this.first + Math.floor(scrollLeft / CELL) - 2);
    const to = Math.min(this.last, from + Math.ceil((clientWidth || 600) / CELL) + 4);
    const lines = [element("div", { className: "log-line axis" })];
    for (let index = from; index <= to; index++) {
      lines[0].append(this.cell(index, "log-index", String(index)));
    }
    for (const server of this.servers) {
      const line = element("div", { className: `log-line ${server.runs ? "" : "down"}` });
      for (let index = from; index <= to; index++) {
        const entry = this.entry(server, index);
        if (entry) line.append(this.entryCell(server, index, entry));
      }
      lines.push(line);
    }
    this.rows.replaceChildren(...lines);
  }

  cell(index, className, text) {
    const cell = element("div", { className }, text);
    cell.style.left = `${(index - this.first) * CELL}px`;
    return cell;
  }

  entryCell({ server, state }, index, entry) {
    const committed = index <= state.commit_index, applied = index <= state.last_applied;
    const differs = this.parts(index);
    const classes = ["log-entry", committed && "committed", applied && "applied", differs && "differs"];
    const cell = this.cell(index, classes.filter(Boolean).join(" "), "");
    cell.append(element("i", {}, String(entry.term)), entry.command);
    cell.style.setProperty("--term", this.app.termColour(entry.term));
    cell.title = `index ${index}, term ${entry.term}: ${entry.command}\n` +
      `${committed ? "committed" : "not known to be committed"}, ${applied ? "applied" : "not applied"} ` +
      `at ${this.app.run.fullName(server)}${differs ? "; other servers have a different entry here" : ""}`;
    cell.addEventListener("click", () => this.app.select(entry.e));
    return cell;
  }
}
