// The side panel: the failure, or all details of one event with its causes and effects.

const byId = (id) => document.getElementById(id);

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

class Panel {
  constructor(app) {
    this.app = app;
    this.box = byId("panel");
  }

  // An event as a button that selects it.
  line(e) {
    const { run } = this.app;
    const server = run.serverOf[run.node[e]], node = run.data.nodes[run.node[e]];
    const who = server >= 0 ? run.serverName(server) : node === "tester" ? "test" : node.replace("client ", "C");
    const line = element("button", { className: "event", onclick: () => this.app.select(e) },
      element("b", {}, who), element("small", {}, (run.at[e] / 1e9).toFixed(5)),
      element("span", {}, run.label(e).slice(0, 160)));
    line.style.setProperty("--colour", this.app.kindColour(run.kind[e]));
    line.title = run.label(e).slice(0, 600);
    return line;
  }

  list(title, events) {
    if (!events.length) return [];
    return [element("h3", {}, title), ...events.map((e) => this.line(e))];
  }

  showRun() {
    const { run } = this.app, { record, data } = this.app.run;
    const children = [];
    const failure = run.failure;
    if (failure) {
      children.push(element("h2", { className: "bad" }, failure.reason));
      const story = data.story.map((line) => element("p", {}, line));
      if (failure.known) children.push(element("p", {}, `at ${seconds(failure.at)} s` + (failure.server === null ? "" : `, ${run.fullName(failure.server)}`)));
      children.push(...story);
      if (failure.details.length) children.push(element("pre", {}, failure.details.join("\n")));
      if (failure.e >= 0) {
        const chain = run.chain(failure.e);
        children.push(element("div", { className: "bar" },
          element("button", { onclick: () => this.app.select(failure.e) }, "Last event before it"),
          element("button", { onclick: () => this.app.showPast(failure.e) }, "Only what led to it (c)")));
        children.push(...this.list("What led to the failure, latest step first", chain.slice(0, 14)));
        if (failure.server !== null) {
          const own = run.ofNode[run.node[failure.e]].filter((e) => e <= failure.last && run.kind[e] !== run.kinds.indexOf("timer"));
          children.push(...this.list(`Last events at ${run.fullName(failure.server)}`, own.slice(-8).reverse()));
        }
      }
    } else children.push(element("h2", {}, this.app.live?.state.world ? "No rule was broken" : "The run passed"));
    if (data.story.length && !failure) children.push(...data.story.map((line) => element("p", {}, line)));
    const bad = run.operations.filter((operation) => operation.bad);
    if (bad.length) children.push(...this.list(`No order explains these ${bad.length} operations`, bad.map((o) => (o.answered >= 0 ? o.answered : o.e))));
    children.push(...(this.app.live?.takeBack() ?? []), element("h3", {}, "The run"), this.table([
      ["test", record.test], ["seed", record.seed], ["part of the test", data.begun], ["Raft", record.implementation],
      ["profile", record.profile + (data.chaos ? `: ${data.chaos}` : "")], ["virtual time", `${record.virtual_seconds} s`],
      ["events", run.n.toLocaleString("en")], ["requests and replies", run.messages.length.toLocaleString("en")],
      ["lost", run.messages.filter((m) => run.isLost(m)).length.toLocaleString("en")],
      ["fingerprint", record.fingerprint], ["commit", record.build?.commit],
    ]));
    for (const warning of data.warnings) children.push(element("p", {}, `warning: ${warning}`));
    this.box.replaceChildren(...children);
    this.box.scrollTop = 0;
  }

  table(rows) {
    const shown = rows.filter(([, value]) => value !== undefined && value !== null && value !== "");
    return element("table", {}, ...shown.map(([name, value]) =>
      element("tr", {}, element("td", {}, name), element("td", {}, String(value)))));
  }

  showEvent(e) {
    const { run } = this.app;
    const node = run.data.nodes[run.node[e]];
    const name = run.name[e] >= 0 ? run.texts[run.name[e]] : "";
    const text = run.text[e] >= 0 ? run.texts[run.text[e]] : "";
    const message = run.messageOf.get(e);
    const fact = run.facts.get(e);
    const title = fact?.fact === "state" ? run.stateWords(e) : fact?.fact === "shards" ? `Shards of group ${fact.group}, config ${fact.config}` : run.what[e] === NOTE ? text : run.label(e).split(": ")[0];
    const rows = [["what", run.what[e] === CUSTOM ? name : `${WHAT[run.what[e]]} ${name}`], ["at", `${node}, ${seconds(run.at[e])} s`], ["event", `${e} of ${run.n}`]];
    if (run.what[e] <= ANSWERED) rows.push(["call", `#${run.call[e]}`]);
    if (run.bytes[e] >= 0) rows.push(["bytes", run.bytes[e]]);
    if (run.held.has(e)) rows.push(["held back", span(run.held.get(e))]);
    if (message && message.last >= 0) rows.push([message.lost ? "sender told after" : "took", span(message.end - message.start)]);
    if (message && message.last < 0 && !message.unanswered && !run.isLost(message)) rows.push(["arrival", "not by the end of the run"]);
    if (message?.lost) rows.push(["lost", `${message.isReply ? "reply" : "request"} (${message.why})`]);
    const sent = run.origin[e] >= 0 ? run.origin[e] : -1;
    const content = run.what[e] <= REPLIED && run.what[e] !== DELIVERED && run.what[e] !== LOST ? text : sent >= 0 ? run.texts[run.text[sent]] : "";
    const children = [
      element("div", { className: "bar" },
        element("button", { onclick: () => this.app.step(-1), title: "p" }, "‹ previous"),
        element("button", { onclick: () => this.app.step(1), title: "n" }, "next ›"),
        element("button", { onclick: () => this.app.showPast(e), title: "c" }, "only what led to it"),
        element("button", { onclick: () => this.app.select(-1), title: "Esc" }, run.failure ? "failure" : "run"),
        ...(this.app.live ? [element("button", { onclick: () => this.app.live.touches.atSelection(), title: "What can be done to it (Enter)" }, "what if? …")] : [])),
      element("h2", {}, title), this.table(rows)];
    if (content) children.push(element("pre", {}, pretty(content)));
    else if (run.what[e] === CUSTOM && text && text !== title) children.push(element("pre", {}, text));
    if (fact?.fact === "state") children.push(this.state(fact, run.serverOf[run.node[e]]));
    if (fact?.fact === "shards") children.push(this.shards(fact));
    const trigger = run.trigger(e);
    const causes = [sent, trigger !== e ? trigger : -1, run.before[e]].filter((i, at, all) => i >= 0 && all.indexOf(i) === at);
    children.push(...this.list("Causes", causes));
    const arrivals = run.arrivals.get(e) ?? [];
    const deeds = trigger === e ? run.deeds(e) : [];
    const effects = [...arrivals, ...deeds, ...(deeds.length || run.next[e] < 0 ? [] : [run.next[e]])];
    children.push(...this.list("Effects", effects.filter((i, at) => effects.indexOf(i) === at).slice(0, 24)));
    const chain = run.chain(e);
    if (chain.length > 2) children.push(...this.list("What led to this event, latest step first", chain.slice(1, 16)));
    this.box.replaceChildren(...children);
    this.box.scrollTop = 0;
    byId("said").textContent = `${node}, ${seconds(run.at[e])} seconds: ${run.label(e).slice(0, 200)}`;
  }

  // What a group does with each shard, and did before if that has changed.
  shards({ before, now }) {
    const words = (state) => state.replace("_", " ");
    return this.table(now.map((state, shard) => [`shard ${shard}`, state === before[shard] ? words(state) : `${words(before[shard])} → ${words(state)}`]));
  }

  state(fact, server) {
    const rows = [["role", fact.role], ["term", fact.term], ["vote", fact.voted_for === null ? "none" : this.app.run.bareName(fact.voted_for)], ["log", `${fact.first_index}..${fact.last_index}`],
      ["committed", fact.commit_index], ["applied", fact.last_applied]];
    const { servers } = this.app.run.clusterOf(server);
    (fact.followers ?? []).forEach(([next, match], i) => rows.push([this.app.run.fullName(servers[i]), `nextIndex ${next}, matchIndex ${match}`]));
    (fact.written ?? []).slice(0, 40).forEach(([index, term, command]) => rows.push([`entry ${index}`, `term ${term}: ${command}`]));
    return this.table(rows);
  }
}

// Breaks a long text of Rust's Debug into lines, one per field.
function pretty(text) {
  if (text.length < 70) return text;
  let depth = 0, inText = false, made = "";
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === '"' && text[i - 1] !== "\\") inText = !inText;
    const pad = (by) => `\n${"  ".repeat(Math.max(0, depth += by))}`;
    if (inText) made += c;
    else if ("{[(".includes(c) && !"}])".includes(text[i + 1])) {
      const inner = depth >= 1 && closes(text, i) - i < 60;
      if (inner) { const end = closes(text, i); made += text.slice(i, end + 1); i = end; } else { made += c + pad(1); if (text[i + 1] === " ") i++; }
    } else if ("}])".includes(c) && !"{[(".includes(text[i - 1])) made = made.trimEnd() + pad(-1) + c;
    else if (c === "," && text[i + 1] === " ") { made += c + pad(0); i++; } else made += c;
  }
  return made;
}

// The position of the bracket that closes the one at `i`.
function closes(text, i) {
  let depth = 0, inText = false;
  for (let j = i; j < text.length; j++) {
    if (text[j] === '"' && text[j - 1] !== "\\") inText = !inText;
    if (inText) continue;
    if ("{[(".includes(text[j])) depth++;
    if ("}])".includes(text[j]) && --depth === 0) return j;
  }
  return text.length;
}
