// The messages and marks of the time line. Messages are arrows, or columns if there are too many.

class Messages extends Rows {
  // The messages that are at least partly in view and that the filters let through.
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
    this.said = [];
    if (found.length <= MOST_ARROWS) {
      for (const message of found) this.arrow(message);
      return;
    }
    this.drawn.density = true;
    this.density(found);
    // Votes, held messages, hits and the path to the selection are still arrows, unless they are too many.
    const rare = found.filter((m) => m.kind === 0 || m.held || this.app.isHit(m.first) || this.app.onPath(m));
    const path = rare.length <= MOST_ARROWS ? rare : found.filter((m) => this.app.onPath(m));
    for (const message of path) this.arrow(message);
  }

  // Draws the messages of each server as columns: how many it sent, by method, and how many were lost.
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
      const bottom = this.rowY(row) + row.h - 15, room = row.h - 40;
      for (let column = 0; column < columns; column++) {
        let y = bottom;
        const sum = bins[0][column] + bins[1][column] + bins[2][column] + bins[3][column] + bins[4][column];
        if (!sum) continue;
        const scale = room * Math.sqrt(sum / most) / sum;
        for (let kind = 0; kind < MESSAGE_KINDS; kind++) {
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
    const isLost = app.run.isLost(message);
    // One that is still under way when the run ends, or was lost and its sender not told yet, reaches the end, but
    // no server.
    const isHeld = pending && !isLost && message.end - message.start > HELD;
    if (isHeld) y1 = y0 + (y1 - y0) * 0.85;
    else if (isLost || pending) {
      // The arrow breaks off on the way. Its length does not show when the message was lost: the event only
      // says when the sender learned of it.
      const reach = Math.min(x1 - x0, 26);
      x1 = x0 + Math.max(reach, 5);
      y1 = y0 + (y1 - y0) * (Math.abs(y1 - y0) > 160 ? 0.35 : 0.5);
    }
    if (message.unanswered && message.last < 0) x1 = x0;
    const isDashed = isHeld || (message.held && !message.lost);
    if (isDashed) c.setLineDash([7, 3]);
    else if (message.isReply) c.setLineDash([2, 2]);
    c.beginPath();
    c.moveTo(x0, y0);
    c.lineTo(x1, y1);
    c.stroke();
    c.setLineDash([]);
    if (isLost) {
      this.plainCross(x1, y1, 4, colours.bad);
      if (this.pixelsPerEvent() > 9 && Math.abs(x1) > GUTTER) {
        c.fillStyle = colours.badText;
        c.font = "10px system-ui, sans-serif";
        c.fillText(message.why || message.cut, x1 + 6, y1 + (isUp ? -2 : 2));
        c.font = "11px system-ui, sans-serif";
      }
    } else if (!pending) this.head(x0, y0, x1, y1, onPath ? colours.path : colour, message.isReply);
    if (isDashed && x1 - x0 > 60) this.heldLabel(message, x0, y0, x1, y1);
    c.globalAlpha = 1;
    this.drawn.arrows++;
    this.hits.push({ line: [x0, y0, x1, y1], e: message.first, last: message.last, message });
  }

  // Labels a held message with its duration, in the middle of its visible part, unless another label is too
  // close.
  heldLabel(message, x0, y0, x1, y1) {
    const { context: c, colours } = this;
    const x = (Math.max(x0, GUTTER) + Math.min(x1, this.width)) / 2, y = y0 + (y1 - y0) * (x - x0) / (x1 - x0);
    if (this.said.some((at) => Math.abs(at[0] - x) < 84 && Math.abs(at[1] - y) < 15)) return;
    this.said.push([x, y]);
    const text = message.last < 0 ? "not there by the end" : `held ${span(message.end - message.start)}`;
    c.font = "10px system-ui, sans-serif";
    const width = c.measureText(text).width;
    c.fillStyle = colours.ground;
    c.fillRect(x - width / 2 - 3, y - 7, width + 6, 14);
    c.fillStyle = colours.text;
    c.fillText(text, x - width / 2, y);
    c.font = "11px system-ui, sans-serif";
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

  // Draws saves, commits, applied entries, timers and notes below the bands, and rings around search hits.
  marks() {
    const { app, context: c, colours } = this, { run } = app;
    const crowded = this.drawn.density;
    const lastX = new Map();
    this.freeOfWords = new Map();
    for (let e = this.first; e < this.last; e++) {
      const kind = run.kinds[run.kind[e]];
      const isHit = app.isHit(e);
      if (run.what[e] <= ANSWERED && !isHit) continue;
      if (crowded && !isHit) continue;
      const row = this.rowOfNode(run.node[e]);
      if (row.type !== "server" || (row.hidden && !isHit)) continue;
      if (!app.shows(e)) continue;
      const mark = this.markOf(e, kind);
      if (!mark && !isHit) continue;
      const x = this.x(run.at[e]);
      const key = row.server * 16 + (mark?.lane ?? 9);
      if (!isHit && x - (lastX.get(key) ?? -99) < 3) continue;
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
    // Messages have arrows, links have shades, and steps of the test have a row.
    if (kind === "net" || kind === "test" || run.kind[e] < MESSAGE_KINDS) return null;
    if (kind === "shard") return { lane: 2, draw: fill(colours.serving, (x, y) => { c.moveTo(x - 4, y); c.lineTo(x, y - 4); c.lineTo(x + 4, y); c.lineTo(x, y + 4); }) };
    if (kind !== "state") return { lane: 2, draw: fill(colours.faint, (x, y) => c.arc(x, y, 2.5, 0, 7)) };
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

  // Draws a line of the implementation's own log, if there is room for it.
  words(e, x, y) {
    const { context: c, colours } = this, { run } = this.app;
    c.fillStyle = colours.faint;
    c.fillRect(x - 0.5, y - 4, 1.5, 8);
    const node = run.node[e];
    if (this.pixelsPerEvent() < 4 || x < (this.freeOfWords.get(node) ?? 0)) return;
    c.font = "10px system-ui, sans-serif";
    const text = run.label(e).slice(0, 44);
    c.fillText(text, x + 4, y);
    this.freeOfWords.set(node, x + 12 + c.measureText(text).width);
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

  // Draws lines at the selected moment and at the failure, and shades the time after the failure.
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
}
