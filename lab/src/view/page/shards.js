// What the groups of lab 4 do with their shards: one row per group, with a thin lane for each shard.

// The height of a lane, and of the line above the lanes that names the configuration.
const LANE = 5;
const SHARD_HEAD = 13;
const SHARD_WORDS = { absent: "has nothing to do with", waiting: "waits for", serving: "serves", handing_over: "hands over" };

const ShardRows = {
  // The rows of all groups, unless they are hidden.
  groupRows() {
    const { run } = this.app;
    if (this.app.without.has(run.kinds.indexOf("shard"))) return [];
    return run.groups.map((group) => ({ type: "group", group, h: SHARD_HEAD + LANE * group.lanes.length + 4 }));
  },

  // The top of a shard's lane.
  laneY(row, shard) {
    return this.rowY(row) + SHARD_HEAD + LANE * shard;
  },

  groups() {
    const rows = this.rows.filter((row) => row.type === "group");
    for (const row of rows) this.groupRow(row);
    this.migrations(rows);
  },

  groupRow(row) {
    const { context: c, colours } = this, { group } = row;
    const y = this.rowY(row);
    c.fillStyle = colours.rowOdd;
    c.fillRect(GUTTER, y, this.width, row.h);
    this.configs(group, y);
    group.lanes.forEach((spans, shard) => {
      const top = this.laneY(row, shard);
      c.fillStyle = colours.line;
      c.fillRect(GUTTER, top + LANE - 1, this.width, 0.5);
      for (const span of spans) if (span.to >= this.fromTime && span.from <= this.toTime) this.span(group, shard, span, top);
    });
  },

  // Draws the numbers of the configurations, with what changes if there is room.
  configs(group, y) {
    const { context: c, colours } = this;
    c.font = "10px system-ui, sans-serif";
    let free = GUTTER;
    for (const { e, at, change } of group.changes) {
      if (at > this.toTime) break;
      if (at < this.fromTime) continue;
      const x = this.x(at);
      const isNew = change.config !== (group.before.get(e)?.config ?? -1);
      c.fillStyle = colours.faint;
      if (isNew) c.fillRect(x, y + 2, 1, SHARD_HEAD + LANE * group.lanes.length);
      if (x < free) continue;
      const text = isNew ? `config ${change.config}` : "";
      const width = c.measureText(text).width;
      c.fillText(text, x + 3, y + 7);
      this.hits.push({ box: [x - 2, y, x + width + 4, y + SHARD_HEAD], e });
      if (isNew) free = x + width + 8;
    }
    c.font = "11px system-ui, sans-serif";
  },

  // Draws what a group does with one shard for a while.
  span(group, shard, span, top) {
    const { context: c, colours } = this;
    const x0 = Math.max(this.x(span.from), GUTTER - 4), x1 = Math.min(this.x(Math.min(span.to, this.app.run.end)), this.width + 4);
    const wide = Math.max(x1 - x0, 1), h = LANE - 1;
    c.fillStyle = colours[span.state];
    if (span.state === "serving") c.fillRect(x0, top, wide, h);
    else if (span.state === "handing_over") c.fillRect(x0, top + h / 2 - 0.75, wide, 1.5);
    else for (let x = x0; x < x0 + wide; x += 4) c.fillRect(x, top, Math.min(2, x0 + wide - x), h);
    const until = span.to === Infinity ? "the end" : `${seconds(span.to)} s`;
    this.hits.push({ box: [x0, top, x0 + wide, top + LANE], e: span.e,
      text: `group ${group.gid} ${SHARD_WORDS[span.state]} shard ${shard}, from ${seconds(span.from)} s to ${until} (config ${span.config})` });
  },

  // Draws a line for each shard that moves: from where its old owner stops serving it to where its new owner begins.
  migrations(rows) {
    const { context: c, colours } = this, { run } = this.app;
    const row = new Map(rows.map((row) => [row.group.gid, row]));
    this.drawn.migrations = 0;
    for (const move of run.migrations) {
      if (move.to < this.fromTime || move.from > this.toTime) continue;
      const [a, b] = [row.get(move.source), row.get(move.target)];
      if (!a || !b) continue;
      const x0 = this.x(move.from), y0 = this.laneY(a, move.shard) + LANE / 2, x1 = this.x(move.to), y1 = this.laneY(b, move.shard) + LANE / 2;
      c.strokeStyle = colours.handing_over;
      c.globalAlpha = this.app.isDim(move.e) ? 0.15 : 0.75;
      c.lineWidth = 1;
      c.beginPath();
      c.moveTo(x0, y0);
      c.lineTo(x1, y1);
      c.stroke();
      c.globalAlpha = 1;
      this.drawn.migrations++;
      this.hits.push({ line: [x0, y0, x1, y1], e: move.e, last: move.last,
        text: `shard ${move.shard} moves from group ${move.source} to group ${move.target}; nobody serves it for ${span(move.to - move.from)}` });
    }
  },

  groupName(row, y) {
    const { app, context: c, colours } = this;
    const change = lastUpTo(row.group.changes, app.moment, (each) => each.e)?.change;
    c.fillStyle = colours.text;
    c.font = "bold 12px system-ui, sans-serif";
    c.fillText(`group ${row.group.gid}`, 8, y + 10, GUTTER - 12);
    // The numbers of the first and the last lane.
    c.font = "8px system-ui, sans-serif";
    c.fillStyle = colours.faint;
    const last = row.group.lanes.length - 1;
    for (const shard of [0, last]) c.fillText(shard, GUTTER - 8, this.laneY(row, shard) + LANE / 2);
    c.font = "10px system-ui, sans-serif";
    if (change) {
      const those = (wanted) => inRuns(range(0, change.now.length).filter((shard) => change.now[shard] === wanted));
      const lines = [`config ${change.config}`, `serves ${those("serving") || "none"}`];
      for (const [state, words] of [["waiting", "waits for"], ["handing_over", "hands over"]]) if (those(state)) lines.push(`${words} ${those(state)}`);
      lines.forEach((line, i) => c.fillText(line, 8, y + 24 + 11.5 * i, GUTTER - 20));
    }
    c.font = "11px system-ui, sans-serif";
  }
};

Object.assign(Rows.prototype, ShardRows);

// A list of numbers in which three and more in a row are a run, such as "0–4 7 8".
function inRuns(numbers) {
  const runs = [];
  for (const number of numbers) if (runs.at(-1)?.at(-1) === number - 1) runs.at(-1).push(number); else runs.push([number]);
  return runs.map((run) => (run.length > 2 ? `${run[0]}–${run.at(-1)}` : run.join(" "))).join(" ");
}

// The groups of a run, from the changes that they told, with the periods of each shard's state and the moves of shards
// from one group to another.
function readGroups(run, changes) {
  const groups = new Map();
  for (const { e, change } of changes) {
    if (!groups.has(change.group)) groups.set(change.group, { gid: change.group, changes: [], before: new Map(), lanes: change.now.map(() => []) });
    const group = groups.get(change.group), at = run.at[e];
    group.before.set(e, group.changes.at(-1)?.change);
    group.changes.push({ e, at, change });
    change.now.forEach((state, shard) => {
      const last = group.lanes[shard].at(-1);
      if ((last?.to === Infinity ? last.state : "absent") === state) return;
      if (last?.to === Infinity) last.to = at;
      if (state !== "absent") group.lanes[shard].push({ from: at, to: Infinity, state, e, config: change.config });
    });
  }
  const sorted = [...groups.values()].sort((a, b) => a.gid - b.gid);
  return { groups: sorted, migrations: readMigrations(sorted) };
}

// The moves of shards from one group to another.
function readMigrations(groups) {
  const moves = [];
  const shards = Math.max(0, ...groups.map((group) => group.lanes.length));
  for (let shard = 0; shard < shards; shard++) {
    const served = groups.flatMap(({ gid, lanes, changes }) => lanes[shard].filter((span) => span.state === "serving").map((span) => ({ gid, changes, ...span })));
    served.sort((a, b) => a.from - b.from || a.e - b.e);
    for (let i = 1; i < served.length; i++) {
      const before = served[i - 1], after = served[i];
      if (before.gid === after.gid || before.to > after.from) continue;
      const left = lastUpTo(before.changes, before.to, (each) => each.at);
      moves.push({ shard, source: before.gid, target: after.gid, from: before.to, to: after.from, e: left.e, last: after.e });
    }
  }
  return moves;
}
