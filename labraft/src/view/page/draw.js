// The time line: everything that is in view, on a canvas.

const GUTTER = 92;
const MOST_ARROWS = 900;
const ROLE_HEIGHT = { leader: 18, candidate: 14, follower: 8 };

class Drawing {
  constructor(app) {
    this.app = app;
    this.canvas = byId("time");
    this.context = this.canvas.getContext("2d");
    this.scroll = 0;
    this.drawn = { arrows: 0, marks: 0, density: false };
  }

  // Which row is where.
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
    const hasClients = run.serverOf.some((server, i) => server < 0 && i !== run.tester);
    const shown = run.servers - hidden.size;
    const lanes = operations.lanes();
    const rest = this.height - rows.at(-1).y - rows.at(-1).h - hidden.size * 16 - (hasClients ? 22 : 0);
    const least = lanes.length ? 56 : 58;
    const each = Math.min(120, Math.max(least, (rest - Math.min(lanes.length * 15, rest * 0.3)) / Math.max(shown, 1)));
    for (let server = 0; server < run.servers; server++) {
      add({ type: "server", server, h: hidden.has(server) ? 16 : each, hidden: hidden.has(server) });
    }
    if (hasClients) add({ type: "clients", h: 22 });
    for (const lane of lanes) add({ type: "lane", lane, h: lane.title ? 16 : 14 });
    this.rows = rows;
    this.content = rows.at(-1).y + rows.at(-1).h + 4;
    this.fixed = rows.find((row) => row.type === "server")?.y ?? 65;
    this.scroll = Math.max(0, Math.min(this.scroll, this.content - this.height));
    this.serverRows = rows.filter((row) => row.type === "server");
    this.clientRow = rows.find((row) => row.type === "clients");
  }

  x(at) {
    const { from, to } = this.app.scale;
    return GUTTER + (this.app.scale.place(at) - from) / (to - from) * (this.width - GUTTER);
  }

  timeAt(x) {
    const { from, to } = this.app.scale;
    return this.app.scale.time(from + (x - GUTTER) / (this.width - GUTTER) * (to - from));
  }

  rowY(row) {
    return row.type === "server" || row.type === "lane" || row.type === "clients" ? row.y - this.scroll : row.y;
  }

  rowOfNode(node) {
    const server = this.app.run.serverOf[node];
    if (server >= 0) return this.serverRows[server];
    return node === this.app.run.tester ? this.rows[1] : this.clientRow ?? this.rows[1];
  }

  // The middle of a row's band.
  middle(row) {
    return this.rowY(row) + (row.type === "server" && !row.hidden ? 13 : row.h / 2);
  }

  draw() {
    const { app, context: c } = this;
    this.layout();
    const ratio = devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(this.width * ratio) || this.canvas.height !== Math.round(this.height * ratio)) {
      this.canvas.width = Math.round(this.width * ratio);
      this.canvas.height = Math.round(this.height * ratio);
    }
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.font = "11px system-ui, sans-serif";
    c.textBaseline = "middle";
    this.colours = app.colours;
    this.hits = [];
    this.drawn = { arrows: 0, marks: 0, density: false };
    c.fillStyle = this.colours.ground;
    c.fillRect(0, 0, this.width, this.height);
    this.fromTime = this.timeAt(GUTTER);
    this.toTime = this.timeAt(this.width);
    this.first = lowerBound(app.run.at, this.fromTime - 0.5);
    this.last = lowerBound(app.run.at, this.toTime + 0.5);
    c.save();
    c.beginPath();
    c.rect(GUTTER, this.fixed, this.width - GUTTER, this.height - this.fixed);
    c.clip();
    for (const row of this.serverRows) this.serverRow(row);
    this.clientAndLanes();
    this.messages();
    this.marks();
    this.moments();
    c.restore();
    c.save();
    c.beginPath();
    c.rect(GUTTER, 0, this.width - GUTTER, this.fixed);
    c.clip();
    this.topRows();
    c.restore();
    this.gutter();
  }

  serverRow(row) {
    const { run } = this.app, { context: c, colours } = this;
    const y = this.rowY(row);
    if (y > this.height || y + row.h < this.fixed) return;
    c.fillStyle = row.server === this.app.chosenServer ? colours.rowChosen : row.server % 2 ? colours.rowOdd : colours.ground;
    c.fillRect(GUTTER, y, this.width, row.h);
    if (!row.hidden) this.cuts(row, y);
    this.downs(row, y);
    for (const band of run.bands[row.server]) {
      if (band.to < this.fromTime || band.from > this.toTime) continue;
      const x0 = Math.max(this.x(band.from), GUTTER - 4), x1 = Math.min(this.x(band.to), this.width + 4);
      const height = row.hidden ? 5 : ROLE_HEIGHT[band.role];
      const top = this.middle(row) - height / 2;
      const wide = Math.max(x1 - x0, 1);
      c.fillStyle = this.app.termColour(band.term);
      c.globalAlpha = band.role === "follower" ? 0.5 : 1;
      c.fillRect(x0, top, wide, height);
      c.globalAlpha = 1;
      if (band.role === "candidate") this.stripes(x0, top, wide, height);
      if (band.role === "leader") {
        c.strokeStyle = colours.text;
        c.lineWidth = 1.5;
        c.strokeRect(x0 + 0.75, top + 0.75, Math.max(wide - 1.5, 0.5), height - 1.5);
      }
      if (!row.hidden) this.bandLabel(band, x0, wide, top, height);
    }
  }

  bandLabel(band, x0, wide, top, height) {
    const c = this.context;
    const text = band.role === "leader" ? `LEADER ${band.term}` : band.role === "candidate" ? `cand. ${band.term}` : `${band.term}`;
    c.font = band.role === "leader" ? "bold 11px system-ui, sans-serif" : "10px system-ui, sans-serif";
    const width = c.measureText(text).width;
    if (wide > width + 8) {
      if (band.role === "follower") {
        c.fillStyle = this.colours.ground;
        c.fillRect(x0 + 3, top - 2, width + 4, 12);
        c.fillStyle = this.colours.text;
      } else c.fillStyle = this.app.onTerm(band.term);
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

  // Stretches in which a server does not run.
  downs(row, y) {
    const { run } = this.app, { context: c, colours } = this;
    let from = 0;
    const gaps = [];
    for (const life of run.lives[row.server]) { gaps.push([from, life.from, -1, life.e]); from = life.to; if (gaps.length > 1) gaps.at(-1)[2] = gaps.at(-1)[2]; }
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
      // A server that is cut off from most is shaded all over.
      if (2 * cut.both.length >= cut.others + 1 || isAlone) {
        c.fillStyle = colours.cutShade;
        c.fillRect(x0, y + 1, wide, row.h - 2);
      }
      c.fillStyle = isAlone ? colours.cutAll : colours.cut;
      c.fillRect(x0, y + row.h - 12, wide, 11);
      const out = cut.out.filter((i) => !cut.both.includes(i)), inward = cut.inward.filter((i) => !cut.both.includes(i));
      const words = isAlone ? "cut off" : [cut.both.length && `✂ ${cut.both.join(" ")}`, out.length && `cannot reach ${out.join(" ")}`,
        inward.length && `does not hear ${inward.join(" ")}`].filter(Boolean).join("; ");
      c.font = "10px system-ui, sans-serif";
      if (c.measureText(words).width < wide - 6) {
        c.fillStyle = isAlone ? colours.onCutAll : colours.text;
        c.fillText(words, x0 + 4, y + row.h - 6);
      }
      c.font = "11px system-ui, sans-serif";
      this.hits.push({ box: [x0, y + row.h - 12, x1, y + row.h], e: cut.e, text: `server ${row.server}: ${isAlone ? "cut off from all" : words}` });
    }
  }

  clientAndLanes() {
    const { context: c, colours, app } = this;
    if (this.clientRow) {
      const y = this.rowY(this.clientRow);
      c.strokeStyle = colours.line;
      c.beginPath();
      c.moveTo(GUTTER, y + this.clientRow.h / 2);
      c.lineTo(this.width, y + this.clientRow.h / 2);
      c.stroke();
    }
    for (const row of this.rows) {
      if (row.type !== "lane") continue;
      const y = this.rowY(row);
      if (y > this.height || y + row.h < this.fixed) continue;
      const operations = row.lane.operations;
      let lastX = -9;
      for (let i = Math.max(0, lowerBound(operations, this.fromTime, (o) => o.from) - 1); i < operations.length; i++) {
        const operation = operations[i];
        if (operation.from > this.toTime) break;
        const end = Math.min(operation.to, app.run.end);
        const x0 = this.x(operation.from), x1 = Math.max(this.x(end), x0 + 2);
        if (x1 - lastX < 1 && !operation.bad) continue;
        lastX = x1;
        this.bar(operation, x0, x1, y + 1, row.h - 3);
      }
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
    const text = (operation.bad ? "✗ " : "") + (operation.answer ?? `${operation.operation}, no answer`);
    const left = Math.max(x0, GUTTER) + 3, room = x1 - left - 3;
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

  // The messages that are at least partly in view and not filtered away.
  messagesInView() {
    const { run } = this.app;
    const found = [];
    const end = lowerBound(run.messages, this.last, (m) => m.first);
    for (let block = 0; block * 256 < end; block++) {
      if (run.blockEnds[block] < this.fromTime) continue;
      for (let i = block * 256; i < Math.min(end, block * 256 + 256); i++) {
        const message = run.messages[i];
        if (message.end >= this.fromTime && this.app.showsMessage(message)) found.push(message);
      }
    }
    return found;
  }

  messages() {
    const found = this.messagesInView();
    if (found.length <= MOST_ARROWS) {
      for (const message of found) this.arrow(message);
      return;
    }
    this.drawn.density = true;
    this.density(found);
    // What is rare is still shown.
    const rare = found.filter((m) => m.kind === 0 || m.held || this.app.isHit(m.first) || this.app.onPath(m));
    const path = rare.length <= MOST_ARROWS ? rare : found.filter((m) => this.app.onPath(m));
    for (const message of path) this.arrow(message);
  }

  // How many messages each server sent, by method, and how many of them were lost.
  density(found) {
    const { context: c, colours } = this;
    const step = 3, columns = Math.ceil((this.width - GUTTER) / step) + 1;
    const counts = new Map();
    let most = 1;
    for (const message of found) {
      const row = this.rowOfNode(message.from);
      const column = Math.floor((this.x(message.start) - GUTTER) / step);
      if (column < 0 || column >= columns) continue;
      if (!counts.has(row)) counts.set(row, Array.from({ length: 6 }, () => new Uint16Array(columns)));
      const bins = counts.get(row);
      bins[message.kind][column]++;
      if (message.lost) bins[5][column]++;
      const sum = bins[0][column] + bins[1][column] + bins[2][column] + bins[3][column] + bins[4][column];
      if (sum > most) most = sum;
    }
    for (const [row, bins] of counts) {
      if (row.type !== "server" || row.hidden) continue;
      const bottom = this.rowY(row) + row.h - 13, room = row.h - 38;
      for (let column = 0; column < columns; column++) {
        let y = bottom;
        const sum = bins[0][column] + bins[1][column] + bins[2][column] + bins[3][column] + bins[4][column];
        if (!sum) continue;
        const scale = room * Math.sqrt(sum / most) / sum;
        for (let kind = 0; kind < 5; kind++) {
          if (!bins[kind][column]) continue;
          const height = bins[kind][column] * scale;
          c.fillStyle = colours.kinds[kind];
          c.fillRect(GUTTER + column * step, y - height, step - 0.5, height);
          y -= height;
        }
        if (bins[5][column]) {
          c.fillStyle = colours.bad;
          c.fillRect(GUTTER + column * step, bottom, step - 0.5, Math.max(1.5, 3 * bins[5][column] / sum));
        }
      }
    }
  }

  arrow(message) {
    const { context: c, colours, app } = this;
    const a = this.rowOfNode(message.from), b = this.rowOfNode(message.to);
    const x0 = this.x(message.start), y0 = this.middle(a);
    let x1 = this.x(message.end), y1 = this.middle(b);
    const isUp = y1 < y0;
    const colour = colours.kinds[message.kind];
    const onPath = app.onPath(message);
    const selected = app.selected >= 0 && (message.first === app.selected || message.last === app.selected);
    c.globalAlpha = app.isDim(message.first) && !onPath && !selected ? 0.13 : 1;
    c.strokeStyle = onPath ? colours.path : colour;
    c.lineWidth = selected || onPath ? 2.6 : message.isReply ? 1 : 1.5;
    const pending = message.last < 0 && !message.unanswered;
    if (message.lost || pending) {
      // It breaks off on the way: when it was lost is not what the time of being told says.
      const reach = Math.min(x1 - x0, 26);
      x1 = x0 + Math.max(reach, 5);
      y1 = y0 + (y1 - y0) * (Math.abs(y1 - y0) > 160 ? 0.35 : 0.5);
    }
    if (message.unanswered && message.last < 0) x1 = x0;
    if (message.held && !message.lost) c.setLineDash([7, 3]);
    else if (message.isReply) c.setLineDash([2, 2]);
    c.beginPath();
    c.moveTo(x0, y0);
    c.lineTo(x1, y1);
    c.stroke();
    c.setLineDash([]);
    if (message.lost) {
      this.plainCross(x1, y1, 4, colours.bad);
      if (this.pixelsPerEvent() > 9 && Math.abs(x1) > GUTTER) {
        c.fillStyle = colours.badText;
        c.font = "10px system-ui, sans-serif";
        c.fillText(message.why, x1 + 6, y1 + (isUp ? -2 : 2));
        c.font = "11px system-ui, sans-serif";
      }
    } else if (!pending) this.head(x0, y0, x1, y1, onPath ? colours.path : colour, message.isReply);
    if (message.held && !message.lost && x1 - x0 > 60) {
      const text = `held ${span(message.end - message.start)}`;
      c.font = "10px system-ui, sans-serif";
      const x = Math.min(Math.max((x0 + x1) / 2, GUTTER + 40), this.width - 60), y = y0 + (y1 - y0) * (x - x0) / (x1 - x0);
      const width = c.measureText(text).width;
      c.fillStyle = colours.ground;
      c.fillRect(x - width / 2 - 3, y - 7, width + 6, 14);
      c.fillStyle = colours.text;
      c.fillText(text, x - width / 2, y);
      c.font = "11px system-ui, sans-serif";
    }
    c.globalAlpha = 1;
    this.drawn.arrows++;
    this.hits.push({ line: [x0, y0, x1, y1], e: message.first, last: message.last, message });
  }

  pixelsPerEvent() {
    return (this.width - GUTTER) / Math.max(1, this.last - this.first);
  }

  head(x0, y0, x1, y1, colour, isReply) {
    const c = this.context;
    const angle = Math.atan2(y1 - y0, x1 - x0), size = isReply ? 5 : 7;
    const gap = 5;
    x1 -= gap * Math.cos(angle);
    y1 -= gap * Math.sin(angle);
    c.beginPath();
    c.moveTo(x1 - size * Math.cos(angle - 0.42), y1 - size * Math.sin(angle - 0.42));
    c.lineTo(x1, y1);
    c.lineTo(x1 - size * Math.cos(angle + 0.42), y1 - size * Math.sin(angle + 0.42));
    if (isReply) c.stroke();
    else { c.closePath(); c.fillStyle = colour; c.fill(); }
  }

  plainCross(x, y, r, colour) {
    const c = this.context;
    c.strokeStyle = colour;
    c.lineWidth = 2;
    c.beginPath();
    c.moveTo(x - r, y - r);
    c.lineTo(x + r, y + r);
    c.moveTo(x + r, y - r);
    c.lineTo(x - r, y + r);
    c.stroke();
    c.lineWidth = 1;
  }

  cross(x, y, r, colour, e) {
    this.plainCross(x, y, r, colour);
    this.hits.push({ point: [x, y], e });
  }

  symbol(text, x, y, colour, e) {
    const c = this.context;
    c.fillStyle = colour;
    c.textAlign = "center";
    c.fillText(text, x, y + 0.5);
    c.textAlign = "left";
    this.hits.push({ point: [x, y], e });
  }

  // Saves, commits, applies, timers and notes below the bands, and hits of the search.
  marks() {
    const { app, context: c, colours } = this, { run } = app;
    const crowded = this.last - this.first > 12 * (this.width - GUTTER);
    const lastX = new Map();
    for (let e = this.first; e < this.last; e++) {
      const kind = KINDS[run.kind[e]];
      const isHit = app.isHit(e);
      if (run.what[e] <= ANSWERED && !isHit) continue;
      const row = this.rowOfNode(run.node[e]);
      if (row.type !== "server" || (row.hidden && !isHit)) continue;
      if (!app.shows(e)) continue;
      const mark = this.markOf(e, kind);
      if (!mark && !isHit) continue;
      const x = this.x(run.at[e]);
      const key = row.server * 16 + (mark?.lane ?? 9);
      if (!isHit && x - (lastX.get(key) ?? -99) < (crowded ? 6 : 3)) continue;
      lastX.set(key, x);
      const y = this.middle(row) + 17 + Math.min(mark?.lane ?? 0, 2) * Math.max(7, Math.min(11, (row.h - 46) / 2));
      c.globalAlpha = app.isDim(e) ? 0.2 : 1;
      if (mark) {
        mark.draw(x, y);
        this.hits.push({ point: [x, y], e });
        this.drawn.marks++;
      }
      if (isHit) {
        c.strokeStyle = colours.hit;
        c.lineWidth = 2;
        c.beginPath();
        c.arc(x, mark ? y : this.middle(row), 7, 0, 7);
        c.stroke();
      }
      c.globalAlpha = 1;
    }
    this.selection();
  }

  markOf(e, kind) {
    const { run } = this.app, { context: c, colours } = this;
    const fill = (colour, path) => (x, y) => { c.fillStyle = colour; c.beginPath(); path(x, y); c.fill(); };
    if (kind === "persist") return { lane: 0, draw: fill(colours.persist, (x, y) => c.rect(x - 3, y - 3, 6, 6)) };
    if (kind === "apply") return { lane: 1, draw: fill(colours.apply, (x, y) => c.arc(x, y, 3.5, 0, 7)) };
    if (kind === "timer") return { lane: 0.01, draw: (x, y) => { c.strokeStyle = colours.faint; c.lineWidth = 1.5; c.beginPath(); c.moveTo(x, y - 12); c.lineTo(x, y - 5); c.stroke(); } };
    if (kind === "note") return { lane: 2, draw: (x, y) => this.words(e, x, y) };
    if (kind !== "state") return null;
    const fact = run.facts.get(e);
    const found = lastUpTo(run.states[run.serverOf[run.node[e]]], e, (s) => s.e);
    if (!found?.last || fact.commit_index <= found.last.commit_index) return null;
    return { lane: 1.01, draw: (x, y) => {
      c.fillStyle = colours.commit;
      c.beginPath();
      c.moveTo(x - 4, y + 4);
      c.lineTo(x, y - 4);
      c.lineTo(x + 4, y + 4);
      c.fill();
      if (this.pixelsPerEvent() > 7) {
        c.font = "9px system-ui, sans-serif";
        c.fillText(String(fact.commit_index), x + 5, y);
        c.font = "11px system-ui, sans-serif";
      }
    } };
  }

  // A line of the implementation's own logging, as long as there is room.
  words(e, x, y) {
    const { context: c, colours } = this, { run } = this.app;
    c.fillStyle = colours.faint;
    c.fillRect(x - 0.5, y - 4, 1.5, 8);
    if (this.pixelsPerEvent() < 8) return;
    c.font = "10px system-ui, sans-serif";
    c.fillText(run.label(e).slice(0, 44), x + 4, y);
    c.font = "11px system-ui, sans-serif";
  }

  selection() {
    const { app, context: c, colours } = this, { run } = app;
    const e = app.selected;
    if (e < 0) return;
    const row = this.rowOfNode(run.node[e]);
    c.strokeStyle = colours.select;
    c.lineWidth = 2.5;
    c.beginPath();
    c.arc(this.x(run.at[e]), this.middle(row), 10, 0, 7);
    c.stroke();
  }

  // The chosen moment, the failure, the end.
  moments() {
    const { app, context: c, colours } = this, { run } = app;
    const line = (at, colour, dash, width) => {
      const x = this.x(at);
      c.strokeStyle = colour;
      c.lineWidth = width;
      c.setLineDash(dash);
      c.beginPath();
      c.moveTo(x, 0);
      c.lineTo(x, this.height);
      c.stroke();
      c.setLineDash([]);
    };
    if (app.moment >= 0) line(run.at[app.moment], colours.select, [3, 3], 1);
    if (!run.failure?.known) return;
    const x = this.x(run.failure.at);
    if (x < GUTTER || x > this.width) return;
    c.fillStyle = colours.badShade;
    c.fillRect(x, this.fixed, this.width - x, this.height);
    line(run.failure.at, colours.bad, [], 2.5);
    const row = this.serverRows[run.failure.server];
    if (row) {
      c.strokeStyle = colours.bad;
      c.lineWidth = 3;
      c.beginPath();
      c.arc(x, this.middle(row), 13, 0, 7);
      c.stroke();
    }
  }

  topRows() {
    const { app, context: c, colours } = this, { run } = app;
    c.fillStyle = colours.panel;
    c.fillRect(GUTTER, 0, this.width, this.fixed);
    c.fillStyle = colours.faint;
    let last = null;
    for (const at of app.scale.ticks(this.width - GUTTER)) {
      const x = this.x(at);
      c.fillRect(x, 12, 1, 5);
      const step = last === null ? "" : `  +${span(at - last)}`;
      c.fillText(`${this.tick(at)}${app.scale.folded ? step : ""}`, x + 3, 8);
      last = at;
    }
    this.testRow();
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
        c.fillRect(left, 18, width, 15);
        c.fillRect(x - 1.25, 18, 2.5, 60);
        c.fillStyle = colours.onBad;
        c.fillText("FAILURE", left + 5, 26);
      }
    }
  }

  tick(at) {
    const shown = this.toTime - this.fromTime;
    return `${(at / 1e9).toFixed(shown > 2e10 ? 1 : shown > 2e8 ? 3 : shown > 1e6 ? 4 : 6)} s`;
  }

  testRow() {
    const { app, context: c, colours } = this, { run } = app;
    const row = this.rows[1];
    const free = [GUTTER, GUTTER];
    const events = run.tester < 0 ? [] : run.ofNode[run.tester];
    let lastX = -9;
    for (let i = lowerBound(events, this.first); i < events.length && events[i] < this.last; i++) {
      const e = events[i];
      if (KINDS[run.kind[e]] !== "test" || !app.shows(e)) continue;
      const x = this.x(run.at[e]);
      if (x - lastX >= 1.5) {
        c.fillStyle = app.isHit(e) ? colours.hit : colours.faint;
        c.fillRect(x, row.y, 1.5, row.h);
        lastX = x;
        this.hits.push({ point: [x, row.y + row.h / 2], e });
      }
      const text = run.label(e).slice(0, 60);
      const line = free[0] <= x ? 0 : free[1] <= x ? 1 : -1;
      if (line < 0) continue;
      const width = c.measureText(text).width;
      c.fillStyle = e === app.selected ? colours.select : colours.text;
      c.fillText(text, x + 4, row.y + 8 + line * 15);
      this.hits.push({ box: [x, row.y + line * 15, x + width, row.y + line * 15 + 15], e });
      free[line] = x + width + 12;
    }
  }

  gutter() {
    const { app, context: c, colours } = this, { run } = app;
    c.fillStyle = colours.panel;
    c.fillRect(0, 0, GUTTER, this.height);
    c.fillStyle = colours.line;
    c.fillRect(GUTTER - 1, 0, 1, this.height);
    for (const row of this.rows) {
      const y = this.rowY(row);
      const isMoving = row.type === "server" || row.type === "lane" || row.type === "clients";
      if (isMoving && y < this.fixed - 2) continue;
      c.fillStyle = colours.line;
      if (row.type !== "lane") c.fillRect(0, y + row.h - 1, this.width, 1);
      c.fillStyle = colours.text;
      const text = { axis: "", test: "test", net: "partition", clients: "clients" }[row.type];
      if (text) c.fillText(text, 8, y + Math.min(row.h / 2, 16));
      if (row.type === "lane") { c.fillStyle = row.lane.bad ? colours.badText : colours.faint; c.fillText(row.lane.title ?? "", 8, y + row.h / 2, GUTTER - 12); }
      if (row.type === "server") this.serverName(row, y);
    }
    if (app.run.n === 0) c.fillText("no events were kept of this run", GUTTER + 20, this.height / 2);
  }

  serverName(row, y) {
    const { app, context: c, colours } = this;
    const { state, runs } = app.run.stateAt(row.server, app.moment);
    if (row.server === app.chosenServer) { c.fillStyle = colours.select; c.fillRect(0, y + 1, 3, row.h - 2); }
    c.fillStyle = row.hidden ? colours.faint : colours.text;
    c.font = "bold 12px system-ui, sans-serif";
    c.fillText(`S${row.server}`, 8, row.hidden ? y + 8 : y + 13);
    c.font = "10px system-ui, sans-serif";
    if (row.hidden || !state) { c.font = "11px system-ui, sans-serif"; return; }
    c.fillText(runs ? `${state.role} ${state.term}` : "down", 30, y + 13.5);
    c.fillStyle = colours.faint;
    const lines = [`log ${state.last_index < state.first_index ? "empty" : `${state.first_index}..${state.last_index}`}`,
      `commit ${state.commit_index}`, `applied ${state.last_applied}`];
    lines.forEach((line, i) => { if (30 + i * 12 < row.h) c.fillText(line, 8, y + 28 + i * 12); });
    c.font = "11px system-ui, sans-serif";
  }

  // What is nearest to a point of the canvas: marks before arrows, arrows before areas.
  find(x, y) {
    let best = null, least = 9;
    for (const hit of this.hits) {
      let distance = Infinity;
      if (hit.point) distance = Math.hypot(hit.point[0] - x, hit.point[1] - y) - 3;
      else if (hit.line) distance = distanceTo(hit.line, x, y) + 1;
      else if (hit.box) {
        const [x0, y0, x1, y1] = hit.box;
        distance = x >= x0 && x <= x1 && y >= y0 && y <= y1 ? 8 : Infinity;
      }
      if (distance < least) { least = distance; best = hit; }
    }
    return best;
  }

  // A small time line of the whole run.
  overview(canvas) {
    const { app } = this, { run } = app, colours = app.colours;
    const width = canvas.clientWidth, height = canvas.clientHeight, ratio = devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const c = canvas.getContext("2d");
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    const end = Math.max(run.end, 1);
    const x = (at) => GUTTER + (width - GUTTER - 6) * at / end;
    c.fillStyle = colours.panel;
    c.fillRect(0, 0, width, height);
    const h = Math.max(2, (height - 12) / Math.max(1, run.servers));
    c.font = "10px system-ui, sans-serif";
    c.textBaseline = "middle";
    c.fillStyle = colours.faint;
    c.fillText("whole run", 8, height / 2 - 6);
    c.fillText(`${(end / 1e9).toFixed(2)} s`, 8, height / 2 + 6);
    for (let server = 0; server < run.servers; server++) {
      const y = 2 + server * h;
      for (const band of run.bands[server]) {
        c.globalAlpha = band.role === "follower" ? 0.35 : 1;
        c.fillStyle = app.termColour(band.term);
        const thick = band.role === "leader" ? h - 1 : Math.max(1, (h - 1) * (band.role === "candidate" ? 0.7 : 0.4));
        c.fillRect(x(band.from), y + (h - 1 - thick) / 2, Math.max(x(band.to) - x(band.from), 0.7), thick);
      }
      c.globalAlpha = 1;
    }
    for (const part of run.parts) { c.fillStyle = colours.cutAll; c.fillRect(x(part.from), height - 9, Math.max(1, x(Math.min(part.to, end)) - x(part.from)), 3); }
    c.fillStyle = colours.hit;
    let last = -9;
    for (const e of app.hits) { const at = x(run.at[e]); if (at - last >= 1) { c.fillRect(at, height - 5, 1.5, 5); last = at; } }
    if (run.failure?.known) { c.fillStyle = colours.bad; c.fillRect(x(run.failure.at) - 1, 0, 2.5, height); }
    const from = x(Math.max(0, app.scale.time(app.scale.from))), to = x(Math.min(end, app.scale.time(app.scale.to)));
    c.fillStyle = colours.window;
    c.fillRect(from, 0, Math.max(to - from, 3), height);
    c.strokeStyle = colours.select;
    c.lineWidth = 1.5;
    c.strokeRect(from - 0.5, 0.75, Math.max(to - from, 3) + 1, height - 1.5);
  }
}

function distanceTo([x0, y0, x1, y1], x, y) {
  const dx = x1 - x0, dy = y1 - y0;
  const share = Math.max(0, Math.min(1, ((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy || 1)));
  return Math.hypot(x - x0 - share * dx, y - y0 - share * dy);
}
