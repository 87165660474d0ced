// Input: keyboard, mouse, filters and search.

// Arranges the key/value operations in lanes below the servers, by client or by key.
class Operations {
  constructor(app) {
    this.app = app;
    const { run } = app;
    this.by = "client";
    this.cache = new Map();
    this.keys = [...new Set(run.operations.map((o) => o.key))].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
    const bad = run.operations.find((o) => o.bad);
    this.key = bad ? bad.key : "";
  }

  // Distributes operations over as many lanes as are needed for none to overlap.
  stack(operations, title, bad) {
    const lanes = [];
    for (const operation of operations) {
      let lane = lanes.find((l) => l.to <= operation.from);
      if (!lane) { lane = { operations: [], to: 0, bad, title: lanes.length ? "" : title }; lanes.push(lane); }
      lane.operations.push(operation);
      lane.to = operation.to;
    }
    return lanes;
  }

  lanes() {
    const { run } = this.app;
    if (!run.operations.length) return [];
    const name = `${this.by} ${this.key}`;
    if (this.cache.has(name)) return this.cache.get(name);
    const wanted = run.operations.filter((o) => this.key === "" || o.key === this.key);
    let lanes = [];
    const bad = run.operations.filter((o) => o.bad);
    if (bad.length) lanes = this.stack(bad, `✗ key ${bad[0].key}`, true).map((lane) => ({ ...lane, isFirst: true }));
    if (this.by === "key") lanes.push(...this.grouped(wanted, (o) => o.key, "key"));
    else lanes.push(...this.grouped(wanted, (o) => o.client, "client"));
    this.cache.set(name, lanes);
    return lanes;
  }

  grouped(operations, of, word) {
    const groups = new Map();
    for (const operation of operations) {
      const group = groups.get(of(operation));
      if (group) group.push(operation); else groups.set(of(operation), [operation]);
    }
    const names = [...groups.keys()].sort((a, b) => String(a).localeCompare(String(b), "en", { numeric: true }));
    return names.flatMap((name) => this.stack(groups.get(name), `${word} ${name}`, groups.get(name).some((o) => o.bad)));
  }

  controls() {
    const { run } = this.app;
    if (!run.operations.length) return;
    const choose = (change) => { change(); this.app.redraw(); };
    const by = element("select", { id: "op-by", title: "Arrange operations by client or by key", onchange: () => choose(() => { this.by = by.value; }) });
    const choices = [["client", "by client"], ["key", "by key"]];
    by.append(...choices.map(([value, text]) => element("option", { value }, text)));
    by.value = this.by;
    const key = element("select", { id: "op-key", title: "Show the operations on one key", onchange: () => choose(() => { this.key = key.value; }) });
    key.append(element("option", { value: "" }, "all keys"), ...this.keys.map((k) => element("option", { value: k }, `key ${k}`)));
    key.value = this.key;
    byId("op-choice").replaceChildren("operations ", by, key);
  }
}

function makeFilters(app) {
  const { run } = app;
  const counts = new Uint32Array(run.kinds.length);
  for (let e = 0; e < run.n; e++) counts[run.kind[e]]++;
  const toggle = (set, value, button) => {
    if (set.has(value)) set.delete(value); else set.add(value);
    button.setAttribute("aria-pressed", String(!set.has(value)));
    app.redraw();
  };
  const made = run.kinds.map((kind, i) => {
    const button = element("button", { title: `Show or hide ${counts[i].toLocaleString("en")} events` }, kind);
    button.dataset.kind = kind;
    button.setAttribute("aria-pressed", "true");
    button.style.setProperty("--colour", `var(--${["vote", "append", "snapshot", "kv", "rpc", "apply", "persist"].includes(kind) ? kind : kind === "shard" ? "serving" : "faint"})`);
    button.onclick = () => toggle(app.without, i, button);
    button.hidden = counts[i] === 0;
    return button;
  });
  byId("kinds").replaceChildren(...made);
  const servers = Array.from({ length: run.servers }, (_, server) => {
    const button = element("button", { title: `Show or hide ${run.fullName(server)}` }, run.serverName(server));
    button.dataset.server = server;
    button.setAttribute("aria-pressed", "true");
    button.onclick = () => toggle(app.hidden, server, button);
    return button;
  });
  byId("servers").replaceChildren(...servers);
}

// Finds the events that match a text. Each distinct text is searched only once.
function searched(run, wanted) {
  const hits = [];
  if (!wanted) return hits;
  wanted = wanted.toLowerCase();
  const matches = run.texts.map((text) => text.toLowerCase().includes(wanted));
  const nodes = run.data.nodes.map((name) => name.includes(wanted));
  for (let e = 0; e < run.n; e++) {
    const state = run.what[e] === CUSTOM && run.text[e] < 0 && run.stateWords(e).toLowerCase().includes(wanted);
    const matched = state || nodes[run.node[e]] || (run.text[e] >= 0 && matches[run.text[e]]) ||
      (run.name[e] >= 0 && matches[run.name[e]]) || (run.what[e] <= ANSWERED && wanted === `#${run.call[e]}`);
    if (matched) hits.push(e);
  }
  return hits;
}

const KEYS = [
  ["f", "the failure"], ["0", "the whole run"], ["+ −, wheel", "zoom"], ["← →, drag", "move (with Shift: further)"],
  ["↑ ↓", "select a server"], ["n p", "next or previous event of that server"], ["Home End", "start or end of the run"], ["PgUp PgDn", "scroll the rows (or use the wheel over their names)"],
  ["x", "fold quiet periods, or show time to scale"], ["c", "show only what led to the event or failure"], ["l", "show or hide the logs"],
  ["/", "search; Enter, Shift+Enter: next, previous hit"], ["t", "dark or light theme"], ["Esc", "back"], ["?", "this help"],
];

// The same for a page of `lab open`.
const LIVE_KEYS = [
  ["click, Enter", "what can be done to the message, or to the server at that moment"], ["drag", "the head of an arrow, or a timer: to another time"],
  ["u U", "undo, redo"], ["[ ]", "the run above or below in the tree"], ["v", "compare with the next run"], ["g w", "where the runs part; what is new and what is gone"],
  ["b", "give this run a name"], ["k", "keep this run in a file, as a test or as a story"],
];

function showHelp(run) {
  const sign = (style, text) => { const s = element("span", { className: "sign" }); s.style.cssText = style; return [s, text]; };
  const rows = (list) => element("table", {}, ...list.map(([a, b]) => element("tr", {}, element("td", {}, a), element("td", {}, b))));
  const line = (name, style = "solid") => `height:0;border-top:2px ${style} var(--${name})`;
  const signs = [
    sign("border:1.5px solid var(--text);background:#56b4e9", "leader; the colour is the term"), sign("border:1.5px solid var(--text);background:linear-gradient(#56b4e9 0 65%,var(--text) 65% 82%,#56b4e9 82%)", "the same colour with a line: seven terms later"),
    sign("background:repeating-linear-gradient(45deg,#56b4e9 0 4px,var(--ground) 4px 7px)", "candidate"),
    sign("height:6px;background:#56b4e988", "follower"), sign("background:var(--down)", "down; ✕ crash, ▶ start"),
    sign(line("vote"), "RequestVote"), sign(line("append"), "AppendEntries"), sign(line("snapshot"), "InstallSnapshot"), sign(line("kv"), "key/value"),
    sign(line("append", "dotted"), "reply"), sign(line("append", "dashed"), "took more than 50 ms"),
    [element("b", {}, "✕"), "lost, with the reason"], sign("background:var(--cut)", "links to these servers are cut; shaded: to most"), sign("background:var(--cut-all)", "cut off from all"),
    sign("width:8px;height:8px;background:var(--persist)", "saved"), [element("b", {}, "▲"), "commit index rises"],
    sign("width:9px;height:9px;border-radius:50%;background:var(--apply)", "applied"), sign("width:2px;background:var(--faint)", "a timer, or a line of the implementation's log"),
    sign(line("path"), "what led to the selected event"),
  ];
  const ofShards = [
    sign("height:5px;background:var(--serving)", "the group serves the shard (one lane for each shard)"),
    sign("height:5px;background:repeating-linear-gradient(90deg,var(--waiting) 0 2px,transparent 2px 4px)", "its configuration gives it the shard, which it waits for"),
    sign(line("handing_over"), "it keeps the shard for its new owner; between groups: the shard moves"),
    sign("width:8px;height:8px;transform:rotate(45deg);background:var(--serving)", "the server was the first to apply a change of its group's shards"),
  ];
  if (run.groups.length) signs.push(...ofShards);
  const close = element("button", { onclick: () => byId("help").close() }, "Close (Esc)");
  byId("help").replaceChildren(element("div", { className: "columns" },
    element("div", {}, element("h2", {}, "Keyboard shortcuts"), rows((typeof Live === "undefined" ? KEYS : [...LIVE_KEYS, ...KEYS]).map(([keys, what]) => [element("kbd", {}, keys), what]))),
    element("div", {}, element("h2", {}, "Legend"), rows(signs))), close);
  byId("help").showModal();
}

function listenToKeys(app) {
  const keys = {
    f: () => app.showFailure(), 0: () => app.showAll(), "+": () => app.zoom(0.6), "=": () => app.zoom(0.6), "-": () => app.zoom(1 / 0.6),
    ArrowLeft: (event) => app.pan(event.shiftKey ? -0.8 : -0.2), ArrowRight: (event) => app.pan(event.shiftKey ? 0.8 : 0.2),
    ArrowUp: () => app.chooseServer(-1), ArrowDown: () => app.chooseServer(1), PageUp: () => app.scrollRows(-0.6), PageDown: () => app.scrollRows(0.6), Home: () => app.goTo(0), End: () => app.goTo(1),
    n: () => app.step(1), p: () => app.step(-1), x: () => app.toggleScale(), t: () => app.toggleTheme(), l: () => app.toggleLogs(),
    c: () => app.showPast(app.selected >= 0 ? app.selected : app.run.failure?.e ?? -1), "/": () => byId("search").focus(), "?": () => showHelp(app.run), Escape: () => app.escape(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const target = event.target;
    if (target.matches("input, select")) { if (event.key === "Escape") { target.blur(); byId("time").focus(); } return; }
    if (target.id === "log-scroll" && event.key.startsWith("Arrow")) return;
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    act(event);
  });
  byId("search").addEventListener("keydown", (event) => { if (event.key === "Enter") app.nextHit(event.shiftKey ? -1 : 1); });
  let waiting = 0;
  byId("search").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(() => app.search(byId("search").value.trim()), 120); });
  byId("hit-back").onclick = () => app.nextHit(-1);
  byId("hit-next").onclick = () => app.nextHit(1);
}

function listenToMouse(app) {
  const canvas = byId("time"), { drawing } = app;
  let drag = null;
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) return app.pan((event.deltaX || event.deltaY) / 900);
    if (event.offsetX < GUTTER) { drawing.scroll += event.deltaY; return app.redraw(); }
    app.zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) / 180), app.scale.place(drawing.timeAt(event.offsetX)));
  }, { passive: false });
  canvas.addEventListener("contextmenu", (event) => {
    if (!app.live) return;
    event.preventDefault();
    app.live.touches.atClick(event.offsetX, event.offsetY, true);
  });
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    const { scale } = app;
    drag = { x: event.offsetX, y: event.offsetY, from: scale.from, to: scale.to, scroll: drawing.scroll, moved: false,
      grip: app.live?.touches.grip(event.offsetX, event.offsetY) };
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drag) return app.hover(event);
    const dx = event.offsetX - drag.x, dy = event.offsetY - drag.y;
    if (!drag.moved && Math.hypot(dx, dy) < 4) return;
    drag.moved = true;
    canvas.classList.add("drag");
    byId("tip").hidden = true;
    if (drag.grip) {
      drawing.draw();
      return app.live.touches.drawGrip(drag.grip, event.offsetX, event.offsetY);
    }
    const by = dx / (drawing.width - GUTTER) * (drag.to - drag.from);
    drawing.scroll = drag.scroll - dy;
    app.scale.show(drag.from - by, drag.to - by);
    app.redraw();
  });
  canvas.addEventListener("pointerup", (event) => {
    canvas.classList.remove("drag");
    if (drag && !drag.moved) app.click(event.offsetX, event.offsetY);
    else if (drag?.grip) app.live.touches.drop(drag.grip, event.offsetX);
    drag = null;
  });
  canvas.addEventListener("pointerleave", () => { byId("tip").hidden = true; });
  canvas.addEventListener("dblclick", (event) => {
    app.live?.touches.close();
    app.zoom(0.35, app.scale.place(drawing.timeAt(event.offsetX)));
  });
  const overview = byId("overview");
  const move = (event) => {
    const at = Math.max(0, (event.offsetX - GUTTER) / (overview.clientWidth - GUTTER - 6)) * app.run.end;
    const { scale } = app;
    const half = (scale.to - scale.from) / 2, place = scale.place(at);
    scale.show(place - half, place + half);
    app.redraw();
  };
  overview.addEventListener("pointerdown", (event) => { overview.setPointerCapture(event.pointerId); move(event); });
  overview.addEventListener("pointermove", (event) => { if (event.buttons) move(event); });
}
