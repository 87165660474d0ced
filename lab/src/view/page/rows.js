// The rows of the time line: the test's steps, the network, servers, clients and key/value operations.

const GUTTER = 92;
const MOST_ARROWS = 900;
const ROLE_HEIGHT = { leader: 18, candidate: 14, follower: 8 };
// The height of the strip that names servers that cannot be reached.
const STRIP = 13;
// Less room than this is too little for a label that does not fit.
const LEAST_LABEL = 48;

// The text, shortened if it is wider than `room`.
function fitted(context, text, room) {
  if (context.measureText(text).width <= room) return text;
  let length = text.length;
  while (length > 1 && context.measureText(`${text.slice(0, length)}…`).width > room) length--;
  return `${text.slice(0, length).trimEnd()}…`;
}

class Rows {
  constructor(app) {
    this.app = app;
    this.canvas = byId("time");
    this.context = this.canvas.getContext("2d");
    this.scroll = 0;
    this.drawn = { arrows: 0, marks: 0, density: false };
  }

  // Lays out the rows from top to bottom: position and height of each.
  layout() {
    const { run, hidden, operations } = this.app;
    const box = this.canvas.parentElement;
    this.width = box.clientWidth;
    this.height = box.clientHeight;
    const rows = [];
    const add = (row) => { rows.push({ y: rows.length ? rows.at(-1).y + rows.at(-1).h : 0, ...row }); };
    add({ type: "axis", h: 18 });
    add({ type: "test", h: 32 });
    if (run.parts.length) add({ type: "net", h: 15 });
    const hasClients = run.serverOf.some((server, i) => server < 0 && i !== run.tester && i !== run.outside);
    const shown = run.servers - hidden.size;
    const lanes = operations.lanes();
    // The operations that fit no order are at the top and do not scroll.
    for (const lane of lanes.filter((l) => l.isFirst)) add({ type: "lane", lane, h: 17, isFixed: true });
    for (const row of this.groupRows()) add(row);
    const rest = this.height - rows.at(-1).y - rows.at(-1).h - hidden.size * 16 - (hasClients ? 22 : 0) - 4;
    const others = lanes.filter((l) => !l.isFirst);
    const each = Math.min(170, Math.max(50, (rest - Math.min(others.length * 15, rest * 0.3)) / Math.max(shown, 1)));
    for (let server = 0; server < run.servers; server++) {
      add({ type: "server", server, h: hidden.has(server) ? 16 : each, hidden: hidden.has(server) });
    }
    if (hasClients) add({ type: "clients", h: 22 });
    for (const lane of others) add({ type: "lane", lane, h: lane.title ? 16 : 14 });
    this.rows = rows;
    this.content = rows.at(-1).y + rows.at(-1).h + 4;
    this.fixed = rows.find((row) => this.moves(row))?.y ?? 65;
    this.scroll = Math.max(0, Math.min(this.scroll, this.content - this.height));
    this.serverRows = rows.filter((row) => row.type === "server");
    this.clientRow = rows.find((row) => row.type === "clients");
  }

  // The rows of groups of lab 4, and what is drawn in them. Only where that lab is there is anything to draw.
  groupRows() { return []; }

  groups() {}

  x(at) {
    const { from, to } = this.app.scale;
    return GUTTER + (this.app.scale.place(at) - from) / (to - from) * (this.width - GUTTER);
  }

  timeAt(x) {
    const { from, to } = this.app.scale;
    return this.app.scale.time(from + (x - GUTTER) / (this.width - GUTTER) * (to - from));
  }

  rowY(row) {
    return this.moves(row) ? row.y - this.scroll : row.y;
  }

  moves(row) {
    return ["server", "group", "clients"].includes(row.type) || (row.type === "lane" && !row.isFixed);
  }

  rowOfNode(node) {
    const server = this.app.run.serverOf[node];
    if (server >= 0) return this.serverRows[server];
    return node === this.app.run.tester || node === this.app.run.outside ? this.rows[1] : this.clientRow ?? this.rows[1];
  }

  // The vertical centre of a row's band.
  middle(row) {
    return this.rowY(row) + (row.type === "server" && !row.hidden ? 13 : row.h / 2);
  }

  serverRow(row) {
    const { run } = this.app, { context: c, colours } = this;
    const y = this.rowY(row);
    if (y > this.height || y + row.h < this.fixed) return;
    c.fillStyle = row.server === this.app.chosenServer ? colours.rowChosen : row.server % 2 ? colours.rowOdd : colours.ground;
    c.fillRect(GUTTER, y, this.width, row.h);
    if (!row.hidden) this.cuts(row, y);
    for (const band of run.bands[row.server]) {
      if (band.to < this.fromTime || band.from > this.toTime) continue;
      const x0 = Math.max(this.x(band.from), GUTTER - 4), x1 = Math.min(this.x(band.to), this.width + 4);
      const height = row.hidden ? 5 : ROLE_HEIGHT[band.role];
      const top = this.middle(row) - height / 2;
      const wide = Math.max(x1 - x0, 1);
      this.termBar(c, band, x0, top, wide, height, 0.5);
      if (band.role === "candidate") this.stripes(x0, top, wide, height);
      if (band.role === "leader") {
        c.strokeStyle = colours.text;
        c.lineWidth = 1.5;
        c.strokeRect(x0 + 0.75, top + 0.75, Math.max(wide - 1.5, 0.5), height - 1.5);
      }
      if (!row.hidden) this.labels.push(() => this.bandLabel(band, Math.max(x0, GUTTER), x1, top, height));
    }
    this.downs(row, y);
  }

  // A bar in the colour of a band's term, with a line in it for every second seven terms.
  termBar(c, { term, role }, x, top, wide, height, faintness) {
    c.fillStyle = this.app.termColour(term);
    c.globalAlpha = role === "follower" ? faintness : 1;
    c.fillRect(x, top, wide, height);
    c.globalAlpha = 1;
    if (!this.app.hasLine(term)) return;
    const thick = Math.max(0.8, Math.min(1.5, height / 5));
    c.fillStyle = this.app.colours.text;
    c.fillRect(x, top + height - Math.min(2.5 * thick, height * 0.6), wide, thick);
  }

  bandLabel(band, x0, x1, top, height) {
    const c = this.context, wide = x1 - x0;
    const text = band.role === "leader" ? `LEADER ${band.term}` : band.role === "candidate" ? `cand. ${band.term}` : `${band.term}`;
    c.font = band.role === "leader" ? "bold 11px system-ui, sans-serif" : "10px system-ui, sans-serif";
    const width = c.measureText(text).width;
    if (wide > width + 8) {
      const isLeader = band.role === "leader";
      c.fillStyle = isLeader ? this.app.termColour(band.term) : this.colours.ground;
      c.fillRect(x0 + 3, top + height / 2 - 6, width + 4, 12);
      c.fillStyle = isLeader ? this.app.onTerm(band.term) : this.colours.text;
      c.fillText(text, x0 + 5, top + height / 2 + 0.5);
    }
    c.font = "11px system-ui, sans-serif";
  }

  stripes(x, y, width, height) {
    const c = this.context;
    c.save();
    c.beginPath();
    c.rect(x, y, width, height);
    c.clip();
    c.strokeStyle = this.colours.ground;
    c.lineWidth = 2;
    c.beginPath();
    const begin = x - ((x % 8) + 8) % 8 - height;
    for (let i = begin; i < x + width; i += 8) { c.moveTo(i, y + height); c.lineTo(i + height, y); }
    c.stroke();
    c.restore();
  }

  // Draws the periods in which a server is down.
  downs(row, y) {
    const { run } = this.app, { context: c, colours } = this;
    let from = 0;
    const gaps = [];
    for (const life of run.lives[row.server]) { gaps.push([from, life.from, -1, life.e]); from = life.to; }
    gaps.push([from, run.end, -1, -1]);
    run.lives[row.server].forEach((life, i) => { gaps[i + 1][2] = life.ended; });
    for (const [start, end, ended, started] of gaps) {
      if (!(end > start) || start === Infinity || end < this.fromTime || start > this.toTime) continue;
      const x0 = Math.max(this.x(start), GUTTER - 4), x1 = Math.min(this.x(end), this.width + 4);
      c.fillStyle = colours.down;
      c.fillRect(x0, y + 1, Math.max(x1 - x0, 1), row.h - 2);
      if (x1 - x0 > 60 && !row.hidden) { c.fillStyle = colours.faint; c.fillText("down", x0 + 16, this.middle(row)); }
      if (ended >= 0) this.cross(this.x(start), this.middle(row), 6, colours.bad, ended);
      if (started >= 0 && !row.hidden) this.symbol("▶", this.x(end), this.middle(row), colours.text, started);
    }
  }

  cuts(row, y) {
    const { context: c, colours } = this;
    for (const cut of this.app.run.cuts[row.server]) {
      if (cut.to < this.fromTime || cut.from > this.toTime) continue;
      const x0 = Math.max(this.x(cut.from), GUTTER - 4);
      const x1 = Math.min(this.x(Math.min(cut.to, this.app.run.end)), this.width + 4);
      const wide = Math.max(x1 - x0, 1);
      const isAlone = cut.both.length === cut.others;
      // The whole row of a server that is cut off from most others is shaded.
      if (2 * cut.both.length >= cut.others + 1 || isAlone) {
        c.fillStyle = colours.cutShade;
        c.fillRect(x0, y + 1, wide, row.h - 2);
      }
      c.fillStyle = isAlone ? colours.cutAll : colours.cut;
      c.fillRect(x0, y + row.h - STRIP - 1, wide, STRIP);
      const out = cut.out.filter((i) => !cut.both.includes(i)), inward = cut.inward.filter((i) => !cut.both.includes(i));
      const names = (list) => list.map((i) => this.app.run.bareName(i)).join(" ");
      const words = isAlone ? "cut off" : [cut.both.length && `✂ ${names(cut.both)}`, out.length && `cannot reach ${names(out)}`,
        inward.length && `cannot hear ${names(inward)}`].filter(Boolean).join("; ");
      this.labels.push(() => this.stripLabel(words, Math.max(x0, GUTTER), x1, y + row.h - STRIP - 1, isAlone));
      this.hits.push({ box: [x0, y + row.h - STRIP - 1, x1, y + row.h], e: cut.e, text: `${this.app.run.fullName(row.server)}: ${isAlone ? "cut off from all" : words}` });
    }
  }

  stripLabel(words, x0, x1, top, isAlone) {
    const { context: c, colours } = this;
    c.font = "10px system-ui, sans-serif";
    const { width } = c.measureText(words);
    if (width < x1 - x0 - 6) {
      c.fillStyle = isAlone ? colours.cutAll : colours.cut;
      c.fillRect(x0 + 2, top, width + 4, STRIP);
      c.fillStyle = isAlone ? colours.onCutAll : colours.text;
      c.fillText(words, x0 + 4, top + STRIP / 2);
    }
    c.font = "11px system-ui, sans-serif";
  }

  clients() {
    const { context: c, colours } = this;
    if (!this.clientRow) return;
    const y = this.rowY(this.clientRow) + this.clientRow.h / 2;
    c.strokeStyle = colours.line;
    c.beginPath();
    c.moveTo(GUTTER, y);
    c.lineTo(this.width, y);
    c.stroke();
  }

  // Draws a lane of operations that do not overlap.
  lane(row) {
    const y = this.rowY(row);
    if (y > this.height || (!row.isFixed && y + row.h < this.fixed)) return;
    const operations = row.lane.operations;
    let lastX = -9;
    for (let i = Math.max(0, lowerBound(operations, this.fromTime, (o) => o.from) - 1); i < operations.length; i++) {
      const operation = operations[i];
      if (operation.from > this.toTime) break;
      const end = Math.min(operation.to, this.app.run.end);
      const x0 = this.x(operation.from), x1 = Math.max(this.x(end), x0 + 2);
      if (x1 - lastX < 1 && !operation.bad) continue;
      lastX = x1;
      this.bar(operation, x0, x1, y + 1, row.h - 3);
    }
  }

  bar(operation, x0, x1, y, h) {
    const { context: c, colours } = this;
    const isGet = operation.operation.startsWith("Get");
    c.fillStyle = operation.bad ? colours.bad : isGet ? colours.read : colours.write;
    c.fillRect(x0, y, x1 - x0, h);
    if (operation.bad) {
      c.strokeStyle = colours.text;
      c.lineWidth = 1.5;
      c.strokeRect(x0 + 0.5, y + 0.5, x1 - x0 - 1, h - 1);
    }
    if (operation.to === Infinity) { c.fillStyle = colours.text; c.fillText("…", x1 - 10, y + h / 2); }
    const text = (operation.bad ? "✗ " : "") + (operation.answer ?? `${operation.operation}, no reply`);
    const left = Math.max(x0, GUTTER) + 3, room = x1 - left - (operation.to === Infinity ? 13 : 3);
    if (room > 24) {
      c.save();
      c.beginPath();
      c.rect(left, y, room, h);
      c.clip();
      c.font = "10px system-ui, sans-serif";
      c.fillStyle = operation.bad ? colours.onBad : colours.onBar;
      c.fillText(text, left, y + h / 2 + 0.5);
      c.restore();
    }
    this.hits.push({ box: [x0 - 1, y, x1 + 1, y + h], e: operation.answered >= 0 && operation.bad ? operation.answered : operation.e,
      text: `client ${operation.client}: ${text} (${seconds(operation.from)} to ${operation.to === Infinity ? "the end" : seconds(operation.to)} s)` });
  }

  topRows() {
    const { app, context: c, colours } = this, { run } = app;
    c.fillStyle = colours.panel;
    c.fillRect(GUTTER, 0, this.width, this.fixed);
    c.fillStyle = colours.faint;
    let last = null, free = 0;
    const failure = run.failure?.known ? this.x(run.failure.at) : Infinity;
    for (const at of app.scale.ticks(this.width - GUTTER)) {
      const x = this.x(at);
      if (x < free || (x > failure - 100 && x < failure + 60)) continue;
      c.fillRect(x, 12, 1, 5);
      const step = last === null ? "" : `  +${span(at - last)}`;
      const text = [`${this.tick(at)}${app.scale.folded ? step : ""}`, this.tick(at)].find((text) => x + 3 + c.measureText(text).width < this.width) ?? "";
      c.fillText(text, x + 3, 8);
      free = x + 11 + c.measureText(text).width;
      last = at;
    }
    this.testRow();
    for (const row of this.rows) if (row.isFixed) this.lane(row);
    for (const part of run.parts) {
      if (part.to < this.fromTime || part.from > this.toTime) continue;
      const row = this.rows.find((r) => r.type === "net");
      const x0 = Math.max(this.x(part.from), GUTTER), x1 = Math.min(this.x(Math.min(part.to, run.end)), this.width);
      c.fillStyle = colours.cut;
      c.fillRect(x0, row.y + 1, Math.max(x1 - x0 - 0.5, 1), row.h - 2);
      if (c.measureText(part.text).width < x1 - x0 - 6) { c.fillStyle = colours.text; c.fillText(part.text, x0 + 4, row.y + row.h / 2 + 0.5); }
      this.hits.push({ box: [x0, row.y, x1, row.y + row.h], e: part.e, text: `network: ${part.text}` });
    }
    if (run.failure?.known) {
      const x = this.x(run.failure.at);
      if (x >= GUTTER && x <= this.width) {
        c.fillStyle = colours.bad;
        const width = c.measureText("FAILURE").width + 10;
        const left = x + width > this.width ? x - width : x;
        c.fillRect(left, 0, width, 16);
        c.fillRect(x - 1.25, 0, 2.5, this.fixed);
        c.fillStyle = colours.onBad;
        c.fillText("FAILURE", left + 5, 8);
      }
    }
  }

  tick(at) {
    const shown = this.toTime - this.fromTime;
    return `${(at / 1e9).toFixed(shown > 2e10 ? 1 : shown > 2e8 ? 3 : shown > 1e6 ? 4 : 6)} s`;
  }

  // The steps of the test that are in view, those of one moment together.
  stepsInView() {
    const { app } = this, { run } = app;
    const events = run.tester < 0 ? [] : run.ofNode[run.tester];
    const moments = [];
    for (let i = lowerBound(events, this.first); i < events.length && events[i] < this.last; i++) {
      const e = events[i];
      // Links that open or close are shaded in the rows of the servers.
      if (run.what[e] !== CUSTOM || run.kinds[run.kind[e]] === "net" || !app.shows(e)) continue;
      if (moments.at(-1)?.at === run.at[e]) moments.at(-1).steps.push(e);
      else moments.push({ at: run.at[e], x: this.x(run.at[e]), steps: [e] });
    }
    return moments;
  }

  testRow() {
    const { app, context: c, colours } = this;
    const row = this.rows[1], moments = this.stepsInView();
    let lastX = -9;
    for (const { x, steps } of moments) {
      const hit = steps.find((e) => app.isHit(e));
      if (x - lastX < 1.5 && hit === undefined) continue;
      c.fillStyle = hit === undefined ? colours.faint : colours.hit;
      c.fillRect(x, row.y + row.h - 5, 1.5, 5);
      lastX = x;
      this.hits.push({ point: [x, row.y + row.h - 3], e: hit ?? steps[0] });
    }
    // What was done from outside, or is selected, has its label in any case; the others share what room is left.
    const isFirst = ({ steps }) => steps.some((e) => e === app.selected || app.run.label(e).startsWith("what if:"));
    const taken = [[], []];
    for (const moment of moments.filter(isFirst)) this.stepLabels(moment, taken);
    for (const moment of moments.filter((moment) => !isFirst(moment))) this.stepLabels(moment, taken);
  }

  // Labels the steps of a moment on the lines that are free there; the last label says how many more there are.
  stepLabels({ x, steps }, taken) {
    const { app, context: c, colours } = this, row = this.rows[1];
    const free = [0, 1].map((line) => {
      if (taken[line].some(([from, to]) => from <= x && x < to)) return { line, room: 0 };
      return { line, room: Math.min(this.width, ...taken[line].map(([from]) => from).filter((from) => from > x)) - x - 10 };
    }).filter(({ room }) => room > 0);
    const places = free.slice(0, steps.length);
    places.forEach(({ line, room }, i) => {
      const e = steps[i], more = i === places.length - 1 ? steps.length - places.length : 0;
      const suffix = more ? ` (+${more})` : "";
      const whole = app.run.label(e).slice(0, 60);
      if (room < LEAST_LABEL && c.measureText(whole + suffix).width > room) return;
      const text = fitted(c, whole, room - c.measureText(suffix).width) + suffix, width = c.measureText(text).width;
      c.fillStyle = colours.faint;
      // The mark of a label in the first line does not strike through the label below it.
      const isAbove = line === 0 && (places.length > 1 || taken[1].some(([from, to]) => from <= x && x < to));
      c.fillRect(x, row.y + line * 14 + 2, 1.5, isAbove ? 13 : row.h - line * 14 - 2);
      c.fillStyle = e === app.selected ? colours.select : colours.text;
      c.fillText(text, x + 4, row.y + 8 + line * 14);
      this.hits.push({ box: [x, row.y + line * 15, x + width, row.y + line * 15 + 15], e });
      taken[line].push([x, x + width + 12]);
    });
  }

  gutter() {
    const { app, context: c, colours } = this, { run } = app;
    c.fillStyle = colours.panel;
    c.fillRect(0, 0, GUTTER, this.height);
    c.fillStyle = colours.line;
    c.fillRect(GUTTER - 1, 0, 1, this.height);
    for (const row of this.rows) {
      const y = this.rowY(row);
      if (this.moves(row) && y < this.fixed - 2) continue;
      c.fillStyle = colours.line;
      if (row.type !== "lane") c.fillRect(0, y + row.h - 1, this.width, 1);
      c.fillStyle = colours.text;
      const text = { axis: "", test: "test", net: "partition", clients: "clients" }[row.type];
      if (text) c.fillText(text, 8, y + Math.min(row.h / 2, 16));
      if (row.type === "lane") { c.fillStyle = row.lane.bad ? colours.badText : colours.faint; c.fillText(row.lane.title ?? "", 8, y + row.h / 2, GUTTER - 12); }
      if (row.type === "server") this.serverName(row, y);
      if (row.type === "group") this.groupName(row, y);
    }
    if (app.run.n === 0) c.fillText("The events of this run were not kept.", GUTTER + 20, this.height / 2);
  }

  serverName(row, y) {
    const { app, context: c, colours } = this;
    const { state, runs } = app.run.stateAt(row.server, app.moment);
    if (row.server === app.chosenServer) { c.fillStyle = colours.select; c.fillRect(0, y + 1, 3, row.h - 2); }
    c.fillStyle = row.hidden ? colours.faint : colours.text;
    c.font = "bold 12px system-ui, sans-serif";
    const name = app.run.serverName(row.server);
    c.fillText(name, 8, row.hidden ? y + 8 : y + 13);
    const left = Math.max(30, 14 + c.measureText(name).width);
    c.font = "10px system-ui, sans-serif";
    if (row.hidden || !state) { c.font = "11px system-ui, sans-serif"; return; }
    c.fillText(runs ? `${state.role} ${state.term}` : "down", left, y + 13.5, GUTTER - left - 4);
    c.fillStyle = colours.faint;
    const log = `log ${state.last_index < state.first_index ? "empty" : `${state.first_index}..${state.last_index}`}`;
    const lines = row.h > 60 ? [log, `commit ${state.commit_index}`, `applied ${state.last_applied}`] : [log, `c ${state.commit_index}, a ${state.last_applied}`];
    lines.forEach((line, i) => c.fillText(line, 8, y + 28 + i * 12, GUTTER - 10));
    c.font = "11px system-ui, sans-serif";
  }
}
