// The canvases: the time line with everything in view, and the small overview of the whole run.

class Drawing extends Messages {
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
    this.labels = [];
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
    this.groups();
    this.clients();
    for (const row of this.rows) if (row.type === "lane" && !row.isFixed) this.lane(row);
    this.messages();
    // These come after the arrows, so that they can be read.
    for (const label of this.labels) label();
    this.marks();
    this.moments();
    app.live?.draw(this);
    c.restore();
    c.save();
    c.beginPath();
    c.rect(GUTTER, 0, this.width - GUTTER, this.fixed);
    c.clip();
    this.topRows();
    c.restore();
    this.gutter();
  }

  // Finds what is nearest to a point of the canvas. Marks take precedence over arrows, and arrows over
  // areas.
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

  // Draws the overview: the roles of all servers over the whole run, and the part that is in view.
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
        const thick = band.role === "leader" ? h - 1 : Math.max(1, (h - 1) * (band.role === "candidate" ? 0.7 : 0.4));
        this.termBar(c, band, x(band.from), y + (h - 1 - thick) / 2, Math.max(x(band.to) - x(band.from), 0.7), thick, 0.35);
      }
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
