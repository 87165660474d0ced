// What can be done to a message, and to a server at a moment: the menu, and dragging.

// A time in nanoseconds as an act has it.
const actTime = (at) => {
  const whole = Math.max(0, Math.round(at));
  return `${Math.floor(whole / 1e9)}.${String(whole % 1e9).padStart(9, "0")}s`;
};
// Long enough for any timer that a Raft sets.
const LEAP = 1e9;
// The longest time for which a message can be held back, and the longest span in an act, in milliseconds.
const LONGEST_HOLD = 2199;
const LONGEST_SPAN = 3600e3;
// The keys that take a row of the menu.
const ROW_KEYS = "123456789abcdefghijklmnopqrstuvwxyz";

class Touches {
  constructor(live) {
    this.live = live;
    this.box = element("div", { id: "touch", hidden: true });
    this.box.setAttribute("role", "menu");
    this.box.addEventListener("keydown", (event) => this.key(event));
    document.body.append(this.box);
    this.names = element("div", { id: "names" });
    byId("time-box").append(this.names);
    document.addEventListener("pointerdown", (event) => { if (!this.box.contains(event.target)) this.close(); });
  }

  get app() { return this.live.app; }

  close() {
    if (this.box.hidden) return;
    this.box.hidden = true;
    byId("time").focus({ preventScroll: true });
  }

  // Opens the menu for a message at a point of the window.
  ofMessage(message, x, y) {
    const { run } = this.app;
    const send = (event, fate) => this.live.touch({ message: { event, fate } });
    const name = (node) => (run.serverOf[node] >= 0 ? run.serverName(run.serverOf[node]) : run.data.nodes[node]);
    const method = run.texts[run.name[message.first]].replace(/^.*\./, "");
    const at = run.at[message.first];
    const title = message.isReply ? `reply of ${name(message.from)} to ${name(message.to)}'s ${method}` : `${method} ${name(message.from)} to ${name(message.to)}`;
    const items = run.isLost(message) ? [] : [["Drop it", () => send(message.first, "drop")]];
    items.push(["Deliver it now", () => send(message.first, "now")],
      this.amount("Deliver it", 300, "ms after it was sent", [1, LONGEST_HOLD], (ms) => send(message.first, { later: ms })));
    if (!message.isReply) {
      items.push(this.amount("Let it come twice,", 200, "ms apart", [1, LONGEST_HOLD], (ms) => send(message.first, { twice: ms })));
      const reply = this.replyTo(message);
      if (reply) {
        items.push(["Drop the reply to it", () => send(reply.first, "drop")]);
        items.push(this.amount("Deliver the reply", 300, "ms after it was sent", [1, LONGEST_HOLD], (ms) => send(reply.first, { later: ms })));
      }
    }
    if (this.live.state.tries[this.live.shown].forced) items.push(["As the seed decides", () => send(message.first, "usual")]);
    items.push(...this.luck(at + 1));
    const ends = [[message.from, at], [message.to, message.last >= 0 ? run.at[message.last] : at]];
    const servers = ends.map(([node, when]) => [run.serverOf[node], when + 1]).filter(([server]) => server >= 0);
    items.push(this.chips("At a server instead:", servers.map(([server, when]) => [`${run.serverName(server)} right after it`, () => this.ofServer(server, when, x, y)])));
    this.open(title, `sent at ${seconds(at)} s`, items, x, y);
  }

  replyTo(message) {
    const { run } = this.app;
    return run.messages.find((other) => other.isReply && run.call[other.first] === run.call[message.first]);
  }

  luck(at) {
    return [["Other random choices from here on", () => this.live.touch({ acts: [`${actTime(at)} luck ${this.live.nextLuck()}`] })]];
  }

  // Opens the menu for a server at a time.
  ofServer(server, at, x, y) {
    const { run } = this.app;
    const runs = run.stateAt(server, run.eventUpTo(at)).runs;
    const others = run.othersOf(server);
    const time = actTime(at);
    const act = (text) => this.live.touch({ acts: [`${time} ${text}`] });
    const acts = (texts) => this.live.touch({ acts: texts.map((text) => `${time} ${text}`) });
    const both = (verb, list) => acts(list.flatMap((i) => [`${verb} ${server}->${i}`, `${verb} ${i}->${server}`]));
    const items = [];
    if (runs) {
      items.push(["Crash it", () => act(`crash ${server}`)], ["Restart it", () => act(`restart ${server}`)]);
      if (this.live.state.world) items.push(this.words("Give it the command", this.live.nextCommand(), (text) => text, (text) => act(`command ${server} ${text}`)));
      items.push(["Its timers fire now", () => act(`leap ${server} ${actTime(LEAP)}`)],
        this.amount("Its timers fire", 100, "ms later", [1, LONGEST_SPAN], (ms) => act(`stand ${server} ${actTime(ms * 1e6)}`)),
        this.amount("Pause it for", 300, "ms", [1, LONGEST_SPAN], (ms) => act(`pause ${server} ${actTime(ms * 1e6)}`)),
        this.amount("Its clock runs at", 120, "% from here on", [1, 10000], (percent) => act(`rate ${server} ${percent * 10}`)));
    } else items.push(["Start it", () => act(`restart ${server}`)]);
    if (others.length) {
      items.push(["Cut it off", () => both("cut", others)], ["Heal all its links", () => both("heal", others)]);
      items.push(this.chips("Cut the link with", others.map((i) => [run.serverName(i), () => both("cut", [i])])));
      items.push(this.chips("Cut one way", others.flatMap((i) => [[`to ${run.serverName(i)}`, () => act(`cut ${server}->${i}`)], [`from ${run.serverName(i)}`, () => act(`cut ${i}->${server}`)]])));
      items.push(this.chips("Heal the link with", others.map((i) => [run.serverName(i), () => both("heal", [i])])));
      items.push(this.words("Partition", this.halves(server), (text) => this.groups(server, text), (groups) => act(`partition ${groups}`)));
    }
    items.push(...this.luck(at));
    if (this.live.state.world) items.push(this.amount("Let the world go on until", Math.ceil(run.end / 1e9) + 1, "s", [Math.ceil(run.end / 1e6) / 1e3, LONGEST_SPAN / 1e3], (s) => this.live.touch({ acts: [`${s}s wait`] }), 0.001));
    // What is done then changes nothing. Only a world goes on for what is done to it.
    const isLate = run.failure?.known ? at > run.failure.at : !this.live.state.world && at > run.end;
    this.open(run.serverName(server), `at ${seconds(at)} s${isLate ? `: the run has ${run.failure ? "failed" : "ended"} by then, so choose an earlier moment` : ""}`, items, x, y);
  }

  // A partition that leaves a server in the minority.
  halves(server) {
    const { run } = this.app;
    const all = run.clusterOf(server).servers;
    const few = [server, ...run.othersOf(server)].slice(0, Math.max(1, Math.ceil(all.length / 2) - 1)).sort();
    const names = (list) => list.map((i) => run.bareName(i)).join(" ");
    return `${names(few)} | ${names(all.filter((i) => !few.includes(i)))}`;
  }

  // A partition in the numbers of the servers. Those of other clusters stay together.
  groups(server, text) {
    const { run } = this.app;
    const all = range(0, run.servers);
    const numbers = new Map([["|", "|"], ...all.map((i) => [run.serverName(i), i]), ...all.map((i) => [run.bareName(i), i])]);
    const words = text.split(/ +|(?=\|)|(?<=\|)/).filter(Boolean);
    const wrong = words.find((word) => !numbers.has(word)), twice = words.find((word, i) => word !== "|" && words.indexOf(word) < i);
    const why = wrong !== undefined ? `There is no server “${wrong}”` : twice !== undefined ? `Server ${twice} is named twice` : "";
    if (why) throw new Error(`${why}: write a partition like “${this.halves(server)}”.`);
    const inNumbers = words.map((word) => numbers.get(word)).join(" ");
    const others = range(0, run.servers).filter((i) => run.clusterOf(i) !== run.clusterOf(server));
    return others.length ? `${inNumbers} ${others.join(" ")}` : inNumbers;
  }

  // A row of the menu with a number to choose, from a range and in steps.
  amount(before, value, after, [min, max], act, step = 1) {
    const input = element("input", { type: "number", value, min, max, step });
    const read = () => {
      const number = Math.round(Number(input.value) / step) * step;
      if (!(input.value !== "" && number >= min && number <= max)) throw new Error(`“${before} … ${after}” takes a number from ${min} to ${max}.`);
      return Number(number.toFixed(3));
    };
    return this.field(before, input, after, read, act);
  }

  // A row of the menu with a text to choose, which `read` understands.
  words(before, value, read, act) {
    const input = element("input", { type: "text", value, size: Math.max(12, value.length + 1) });
    return this.field(before, input, "", () => read(input.value.trim() || value), act);
  }

  // What is wrong with an input is said in the menu, which stays open.
  field(before, input, after, read, act) {
    const go = () => {
      let value;
      try {
        value = read();
      } catch (error) {
        this.wrong.textContent = error.message;
        this.place();
        input.focus();
        return;
      }
      this.close();
      act(value);
    };
    input.onkeydown = (event) => {
      event.stopPropagation();
      if (event.key === "Enter") go();
      if (event.key === "Escape") this.close();
    };
    input.setAttribute("aria-label", `${before} … ${after}`);
    const row = element("div", { className: "touch-row" }, element("button", { onclick: go }, before), input, after);
    return row;
  }

  chips(before, list) {
    return element("div", { className: "touch-row" }, before, ...list.map(([text, act]) => element("button", { onclick: () => { this.close(); act(); } }, text)));
  }

  open(title, when, items, x, y) {
    const rows = items.map((item) => {
      if (!Array.isArray(item)) return item;
      const [text, act] = item;
      return element("button", { className: "touch-item", onclick: () => { this.close(); act(); } }, text);
    });
    rows.forEach((row, i) => { row.dataset.key = ROW_KEYS[i]; });
    this.wrong = element("p", { className: "bad" });
    this.wrong.setAttribute("role", "alert");
    this.box.replaceChildren(element("h3", {}, `What if? ${title}`), element("p", {}, when), ...rows, this.wrong);
    this.box.hidden = false;
    byId("tip").hidden = true;
    this.at = [x, y];
    this.place();
    this.box.querySelector("button").focus({ preventScroll: true });
  }

  // Puts the menu beside the point for which it was opened, and all of it on the screen.
  place() {
    const [x, y] = this.at, { style, offsetWidth, offsetHeight } = this.box;
    style.left = `${Math.max(4, Math.min(x + 12, innerWidth - offsetWidth - 8))}px`;
    style.top = `${Math.max(4, Math.min(y + 8, innerHeight - offsetHeight - 8))}px`;
  }

  // Keys in the menu: a digit or a letter takes a row, the arrows move, Escape closes.
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    event.stopPropagation();
    const buttons = [...this.box.querySelectorAll("button, input")];
    const here = buttons.indexOf(document.activeElement);
    const go = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (event.key === "Escape") this.close();
    else if (go) buttons[(here + go + buttons.length) % buttons.length].focus();
    else if (event.key.length === 1 && ROW_KEYS.includes(event.key)) {
      const row = this.box.querySelector(`[data-key="${event.key}"]`);
      const buttons = row?.matches("button") ? [row] : [...row?.querySelectorAll("button") ?? []];
      const input = row?.querySelector("input");
      // Where there is something to choose, the key only goes there.
      if (input) { input.focus(); input.select(); } else if (buttons.length > 1) buttons[0].focus(); else buttons[0]?.click();
    } else return;
    event.preventDefault();
  }

  // Opens the menu for a click: on a message, on an event of a server, or on a moment of a server's row.
  atClick(x, y, isRight = false) {
    const { drawing, run } = this.app;
    if (x < GUTTER || !run.n) return;
    const box = byId("time").getBoundingClientRect();
    const hit = drawing.find(x, y);
    const row = drawing.serverRows.find((r) => y >= drawing.rowY(r) && y < drawing.rowY(r) + r.h);
    // On its band, or with the right button, it is the server even if arrows begin there.
    const isServer = row && (isRight || Math.abs(y - drawing.middle(row)) < 8);
    const message = isServer ? null : hit?.message ?? (hit ? run.messageOf.get(hit.e) : null);
    if (message && message.first >= 0) return this.ofMessage(message, box.left + x, box.top + y);
    if (!row) return;
    // Right after an event that was hit, or at the very moment.
    const isThere = hit && run.serverOf[run.node[hit.e]] === row.server && hit.point;
    const at = isThere ? run.at[hit.e] + 1 : Math.min(drawing.timeAt(x), run.end);
    this.ofServer(row.server, at, box.left + x, box.top + y);
  }

  // Opens the menu for a server's name: at the moment that is shown.
  ofRow(row, x, y) {
    const { run, moment } = this.app;
    if (!run.n) return;
    const box = byId("time").getBoundingClientRect();
    this.ofServer(row.server, run.at[Math.max(0, moment)] + 1, box.left + x, box.top + y);
  }

  // The servers' names are drawn; those who use the keyboard or a screen reader get a button over each.
  placeNames(drawing) {
    const rows = drawing.serverRows;
    while (this.names.children.length > rows.length) this.names.lastChild.remove();
    rows.forEach((row, i) => {
      let button = this.names.children[i];
      if (!button) {
        button = element("button", { type: "button" });
        button.onfocus = () => { this.app.chosenServer = i; this.app.redraw(); };
        button.onclick = () => { const { drawing } = this.app, row = drawing.serverRows[i]; this.ofRow(row, 20, drawing.rowY(row) + 10); };
        this.names.append(button);
      }
      const y = drawing.rowY(row), name = `${this.app.run.fullName(row.server)}: what can be done`;
      if (button.ariaLabel !== name) button.ariaLabel = name;
      Object.assign(button.style, { top: `${y}px`, width: `${GUTTER}px`, height: `${row.h}px`, visibility: y < drawing.fixed - 2 || y > drawing.height ? "hidden" : "visible" });
    });
  }

  // Opens the menu for what is selected, by key.
  atSelection() {
    const { app } = this, { run, drawing } = app;
    if (!run.n) return;
    const box = byId("time").getBoundingClientRect();
    const e = app.selected;
    const message = e >= 0 ? run.messageOf.get(e) : null;
    const at = run.at[Math.max(0, e >= 0 ? e : app.moment)];
    const row = drawing.serverRows[app.chosenServer];
    const x = box.left + drawing.x(at), y = box.top + (row ? drawing.middle(row) : 100);
    if (message) this.ofMessage(message, x, y);
    else this.ofServer(app.chosenServer, at + 1, x, y);
  }

  // What a press at a point takes hold of: the head of an arrow, or a timer. Undefined if nothing.
  grip(x, y) {
    const { drawing, run } = this.app;
    for (const hit of drawing.hits) {
      if (hit.message && hit.message.last >= 0 && !hit.message.lost && Math.hypot(hit.line[2] - x, hit.line[3] - y) < 9) {
        return { message: hit.message, from: [hit.line[0], hit.line[1]] };
      }
    }
    const timer = drawing.hits.find((hit) => hit.point && run.what[hit.e] === WOKE && Math.hypot(hit.point[0] - x, hit.point[1] - y) < 9);
    return timer && { timer: timer.e, from: timer.point };
  }

  // Draws what is being dragged.
  drawGrip(grip, x, y) {
    const { drawing } = this.app, c = drawing.context;
    c.save();
    c.strokeStyle = this.app.colours.select;
    c.lineWidth = 2;
    c.setLineDash([5, 3]);
    c.beginPath();
    c.moveTo(...grip.from);
    c.lineTo(x, y);
    c.stroke();
    c.fillStyle = this.app.colours.select;
    c.fillText(this.gripWords(grip, x), x + 8, y - 10);
    c.restore();
  }

  gripWords(grip, x) {
    const { drawing, run } = this.app;
    const at = drawing.timeAt(x);
    if (grip.message) return at <= grip.message.start ? "at once" : `${span(at - grip.message.start)} after it was sent`;
    const by = at - run.at[grip.timer];
    return by < 0 ? `${span(-by)} earlier` : `${span(by)} later`;
  }

  // Ends a drag: the message arrives, or the timer fires, at the new place.
  drop(grip, x) {
    const { drawing, run } = this.app;
    const at = drawing.timeAt(x);
    if (grip.message) {
      const ms = Math.round((at - grip.message.start) / 1e6);
      const fate = ms < 1 ? "now" : { later: Math.min(ms, 2199) };
      return this.live.touch({ message: { event: grip.message.first, fate } });
    }
    const server = run.serverOf[run.node[grip.timer]], fired = run.at[grip.timer];
    const by = Math.abs(at - fired);
    if (server < 0) return;
    if (at < fired) this.live.touch({ acts: [`${actTime(at)} leap ${server} ${actTime(by)}`] });
    else this.live.touch({ acts: [`${actTime(fired - 1)} stand ${server} ${actTime(by)}`] });
  }
}
