// The model of a run: the unpacked data, and everything derived from it.

const WHAT = ["sent", "delivered", "lost", "replied", "answered", "woke", "crashed", "note", "custom"];
const [SENT, DELIVERED, LOST, REPLIED, ANSWERED, WOKE, CRASHED, NOTE, CUSTOM] = WHAT.keys();
const VERSION = 3;
// The first kinds are those of messages.
const MESSAGE_KINDS = 5;
// A message that takes longer than this, in nanoseconds, counts as held.
const HELD = 50e6;

// Decodes base64 of deflated JSON.
async function unpack(base64) {
  const binary = atob(base64);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return JSON.parse(await new Response(stream).text());
}

// The first index in a sorted array whose value is at least `value`.
function lowerBound(array, value, of = null) {
  let low = 0, high = array.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((of ? of(array[middle]) : array[middle]) < value) low = middle + 1; else high = middle;
  }
  return low;
}

// The last element of a sorted array whose `of` is at most `value`, or undefined.
const lastUpTo = (array, value, of) => array[lowerBound(array, value + 0.5, of) - 1];

// A map from numbers up to a limit, for those that have too many entries for a `Map`.
class ByNumber {
  constructor(limit) { this.list = new Array(limit); }

  get(number) { return this.list[number]; }

  set(number, value) { this.list[number] = value; }
}

class Run {
  constructor(data) {
    if (data.version !== VERSION) throw new Error(`its data has version ${data.version}, but this page reads version ${VERSION}`);
    this.data = data;
    this.record = data.record;
    this.texts = data.texts;
    const columns = data.columns;
    this.n = columns.what.length;
    this.at = new Float64Array(this.n);
    for (let e = 0, at = 0; e < this.n; e++) this.at[e] = at += columns.after[e];
    for (const name of ["node", "call", "peer", "name", "text", "bytes"]) {
      this[name] = Int32Array.from(columns[name]);
    }
    this.what = Uint8Array.from(columns.what);
    this.kinds = data.kinds;
    this.kind = Uint8Array.from(columns.kind);
    this.facts = new ByNumber(this.n);
    for (const [e, fact] of data.facts) this.facts.set(e, fact);
    this.held = new Map(data.held);
    this.end = this.n ? this.at[this.n - 1] : 0;
    this.readNodes();
    this.readOrder();
    this.readMessages();
    this.readFacts();
    this.readFailure();
  }

  readNodes() {
    // For each node, its number as a server, or -1.
    this.serverOf = this.data.servers;
    let servers = Math.max(-1, ...this.serverOf) + 1;
    for (const [, fact] of this.data.facts) {
      if (fact.fact === "cluster") servers = Math.max(servers, fact.servers);
    }
    this.servers = servers;
    this.readClusters();
    this.tester = this.data.nodes.indexOf("tester");
    // Who carries out acts from outside.
    this.outside = this.data.nodes.indexOf("outside");
  }

  // Finds the clusters: each with its name (empty if it is the only one) and its servers.
  readClusters() {
    this.clusters = [];
    for (const [, fact] of this.data.facts) {
      if (fact.fact !== "cluster" || !fact.short) continue;
      this.clusters.push({ name: fact.short, servers: range(fact.first ?? 0, fact.servers) });
    }
    if (!this.clusters.length) this.clusters = [{ name: "", servers: range(0, this.servers) }];
  }

  clusterOf(server) { return this.clusters.find((cluster) => cluster.servers.includes(server)) ?? this.clusters[0]; }

  // The servers that a server shares its cluster with.
  othersOf(server) { return this.clusterOf(server).servers.filter((other) => other !== server); }

  // A server's name. One that has only a number is called `before`, followed by the number.
  serverName(server, before = "S") { return this.data.names[server] ?? `${before}${server}`; }

  fullName(server) { return this.serverName(server, "server "); }

  bareName(server) { return this.serverName(server, ""); }

  // Finds the previous and the next event at the same node.
  readOrder() {
    this.before = new Int32Array(this.n).fill(-1);
    this.next = new Int32Array(this.n).fill(-1);
    const last = this.data.nodes.map(() => -1);
    this.ofNode = this.data.nodes.map(() => []);
    for (let e = 0; e < this.n; e++) {
      const node = this.node[e];
      this.ofNode[node].push(e);
      this.before[e] = last[node];
      if (last[node] >= 0) this.next[last[node]] = e;
      last[node] = e;
    }
  }

  // Matches what was sent with what arrived or was lost: one message for each request and each reply.
  readMessages() {
    this.messages = [];
    // For the arrival or loss of a message, the event that sent it; for an event that sent one, in
    // `arrivals`, its arrivals or losses.
    this.origin = new Int32Array(this.n).fill(-1);
    this.arrivals = new ByNumber(this.n);
    this.messageOf = new ByNumber(this.n);
    const calls = new Map();
    for (let e = 0; e < this.n; e++) {
      const what = this.what[e];
      if (what > ANSWERED) continue;
      const number = this.call[e];
      if (what === SENT) calls.set(number, { sent: this.message(e, false), came: 0, replied: [] });
      const call = calls.get(number);
      if (!call) continue;
      if (what === DELIVERED) this.arrive(call.came++ ? this.again(call.sent) : call.sent, e);
      else if (what === REPLIED) call.replied.push(this.message(e, true));
      else if (what === ANSWERED) {
        const reply = call.replied.find((reply) => reply.last < 0);
        if (reply) this.arrive(reply, e);
      } else if (what === LOST) {
        const open = call.replied.find((reply) => reply.last < 0) ?? call.sent;
        open.why = this.texts[this.text[e]];
        open.told = e;
        this.origin[e] = open.first;
        this.addArrival(open.first, e);
        this.messageOf.set(e, open);
        // The request arrived, but no reply was ever sent.
        if (open === call.sent && call.came) open.unanswered = true;
        else { open.last = e; open.lost = true; open.end = this.at[e]; }
      }
    }
    for (const message of this.messages) if (message.last < 0) message.end = this.end;
    this.messages.sort((a, b) => a.first - b.first);
    this.blockEnds = [];
    for (let i = 0; i < this.messages.length; i += 256) {
      this.blockEnds.push(Math.max(...this.messages.slice(i, i + 256).map((m) => m.end)));
    }
  }

  // Whether a message did not arrive: somebody was told so, or it was sent over a link that was cut.
  isLost(message) { return message.lost || (message.last < 0 && !message.unanswered && !!message.cut); }

  message(e, isReply) {
    const message = { first: e, last: -1, told: -1, from: this.node[e], to: this.peer[e], start: this.at[e],
      end: NaN, kind: this.kind[e], isReply, lost: false, why: "", held: false };
    this.messages.push(message);
    this.messageOf.set(e, message);
    return message;
  }

  // A copy of a request that is delivered once more.
  again(sent) {
    const copy = { ...sent, last: -1, isAgain: true };
    this.messages.push(copy);
    return copy;
  }

  arrive(message, e) {
    message.last = e;
    message.end = this.at[e];
    message.held = message.end - message.start > HELD;
    this.origin[e] = message.first;
    this.addArrival(message.first, e);
    this.messageOf.set(e, message);
  }

  addArrival(first, e) {
    const arrivals = this.arrivals.get(first);
    if (arrivals) arrivals.push(e); else this.arrivals.set(first, [e]);
  }

  readFacts() {
    const count = this.servers;
    const each = (make) => Array.from({ length: count }, make);
    this.states = each(() => []);
    this.writes = each(() => new Map());
    this.lives = each(() => []);
    this.applies = each(() => []);
    this.operations = [];
    this.unordered = new Set();
    this.networks = [];
    this.maxTerm = 0;
    const open = each(() => new Uint8Array(count));
    const running = new Map();
    const changes = [];
    for (const [e, fact] of this.data.facts) {
      const server = this.serverOf[this.node[e]], at = this.at[e];
      switch (fact.fact) {
        case "started":
          if (this.lives[fact.server]) this.lives[fact.server].push({ from: at, to: Infinity, e, ended: -1 });
          break;
        case "stopped": {
          const life = this.lives[fact.server]?.at(-1);
          if (life) { life.to = at; life.ended = e; }
          break;
        }
        case "state": this.addState(server, e, fact); break;
        case "shards": changes.push({ e, change: fact }); break;
        case "applied": this.applies[server]?.push({ e, index: fact.index, command: fact.command }); break;
        case "links": {
          for (const [from, to, isOpen] of fact.changed) if (open[from] && to < count) open[from][to] = isOpen;
          const last = this.networks.at(-1);
          if (last && last.at === at) this.networks.pop();
          this.networks.push({ at, e, open: open.map((row) => row.slice()) });
          break;
        }
        case "called": {
          const operation = { from: at, to: Infinity, e, answered: -1, ...fact };
          running.set(fact.call, operation);
          this.operations.push(operation);
          break;
        }
        case "answered": {
          const operation = running.get(fact.call);
          if (operation) Object.assign(operation, { to: at, answered: e, answer: fact.operation });
          break;
        }
        case "unordered": fact.calls.forEach((call) => this.unordered.add(call)); break;
      }
    }
    // Only where lab 4 is there are groups.
    Object.assign(this, typeof readGroups === "undefined" ? { groups: [], migrations: [] } : readGroups(this, changes));
    this.findCut();
    for (const operation of this.operations) operation.bad = this.unordered.has(operation.call);
    this.moments = this.networkMoments();
    this.cuts = each((_, server) => this.cutsOf(server));
    this.parts = this.partsOfNetwork();
    this.bands = each((_, server) => this.bandsOf(server));
  }

  // Marks messages that cannot have arrived, because a server was down or a link was cut, although the run
  // ended before their senders were told.
  findCut() {
    for (const message of this.messages) {
      const from = this.serverOf[message.from], to = this.serverOf[message.to];
      if (message.last >= 0 || message.unanswered || to < 0) continue;
      if (!this.stateAt(to, message.first).runs) message.cut = "down";
      const network = lastUpTo(this.networks, message.first, (n) => n.e);
      if (this.othersOf(to).includes(from) && network && !network.open[from][to]) message.cut = "cut";
    }
  }

  addState(server, e, state) {
    const states = this.states[server];
    if (!states) return;
    this.maxTerm = Math.max(this.maxTerm, state.term);
    const life = this.lives[server].at(-1);
    const last = states.at(-1);
    const isNew = !last || (life && last.e < life.e);
    states.push({ e, at: this.at[e], state, last: isNew ? null : last.state });
    for (const [index, term, command] of state.written ?? []) {
      const at = this.writes[server].get(index);
      const write = { e, term, command };
      if (at) at.push(write); else this.writes[server].set(index, [write]);
    }
  }

  // The links at each time at which they change or a server starts or stops, and which servers run then: where a
  // server is down, nothing is said of its links.
  networkMoments() {
    const bounds = this.lives.flat().flatMap(({ from, to, e, ended }) => [{ at: from, e }, { at: to, e: ended }]).filter(({ at }) => at < Infinity);
    const last = new Map([...bounds, ...this.networks].map(({ at, e }) => [at, e]));
    return [...last].sort(([a], [b]) => a - b).flatMap(([at, e]) => {
      const network = lastUpTo(this.networks, at, (n) => n.at);
      return network ? [{ at, e, open: network.open, runs: this.lives.map((lives) => lives.some(({ from, to }) => from <= at && at < to)) }] : [];
    });
  }

  // The periods in which a server cannot reach some others, or cannot be reached by them.
  cutsOf(server) {
    const cuts = [];
    let key = null;
    this.moments.forEach(({ at, e, open, runs }) => {
      const others = this.othersOf(server).filter((other) => runs[other] && runs[server]);
      const out = others.filter((other) => !open[server][other]);
      const inward = others.filter((other) => !open[other][server]);
      const now = `${out}/${inward}`;
      if (now === key) return;
      key = now;
      if (cuts.length) cuts.at(-1).to = at;
      const both = out.filter((other) => inward.includes(other));
      cuts.push({ from: at, to: Infinity, e, out, inward, both, others: others.length });
    });
    return cuts.filter((cut) => cut.out.length + cut.inward.length > 0);
  }

  // The periods in which the network is partitioned.
  partsOfNetwork() {
    const parts = [];
    for (const { at, e, open, runs } of this.moments) {
      const words = this.clusters.map(({ name, servers }) => this.partsOfCluster({ name, servers: servers.filter((i) => runs[i]) }, open)).filter(Boolean).join("; ");
      if (parts.length && parts.at(-1).text === words) continue;
      if (parts.length) parts.at(-1).to = at;
      parts.push({ from: at, to: Infinity, e, text: words });
    }
    return parts.filter((part) => part.text);
  }

  // The servers of a cluster in groups that are connected in both directions, directly or through others. Empty if all
  // links are open.
  partsOfCluster({ name, servers }, open) {
    const group = new Map(servers.map((i) => [i, i]));
    const root = (i) => (group.get(i) === i ? i : root(group.get(i)));
    let oneWay = false, whole = true;
    for (const i of servers) for (const j of servers) {
      if (i === j) continue;
      if (!open[i][j]) whole = false;
      else if (open[j][i]) group.set(root(j), root(i));
      else oneWay = true;
    }
    if (whole) return "";
    const groups = new Map();
    for (const i of servers) groups.set(root(i), [...(groups.get(root(i)) ?? []), i]);
    if (groups.size === 1) return `${name && `${name}: `}some links cut`;
    return [...groups.values()].map((g) => g.map((i) => this.bareName(i)).join(" ")).join(" | ") + (oneWay ? " (some links one way)" : "");
  }

  // The periods in which a server has the same role and term.
  bandsOf(server) {
    const bands = [];
    for (const life of this.lives[server]) {
      const to = Math.min(life.to, this.end);
      const first = lowerBound(this.states[server], life.e, (s) => s.e);
      let band = null;
      for (let i = first; i < this.states[server].length; i++) {
        const { e, at, state } = this.states[server][i];
        if (at > to || (life.ended >= 0 && e > life.ended)) break;
        if (band && band.role === state.role && band.term === state.term) continue;
        if (band) band.to = at;
        band = { from: band ? at : life.from, to, role: state.role, term: state.term, e };
        bands.push(band);
      }
    }
    return bands;
  }

  readFailure() {
    const problem = this.record.reason === undefined ? null : this.record;
    this.failure = null;
    if (!problem) return;
    const known = problem.at !== null && problem.at !== undefined;
    const at = known ? Math.round(problem.at * 1e9) : this.end;
    // The last event before the failure, at its server if that had one in the last second.
    const last = lowerBound(this.at, at + 1000) - 1;
    let e = last;
    if (problem.server !== null) {
      while (e >= 0 && this.serverOf[this.node[e]] !== problem.server) e--;
      if (e < 0 || this.at[last] - this.at[e] > 1e9) e = last;
    }
    // Replies that fit no order are found only at the end of the run. Show when they were given.
    const bad = this.operations.filter((operation) => operation.bad && operation.answered >= 0);
    if (bad.length) {
      const wrong = bad.reduce((a, b) => (a.to > b.to ? a : b));
      const begin = Math.min(...bad.map((operation) => operation.from));
      this.failure = { at: wrong.to, found: at, known, last: wrong.answered, e: wrong.answered, begin, server: null,
        reason: problem.reason, details: problem.details ?? [] };
      return;
    }
    this.failure = { at, known, last, e, server: problem.server, reason: problem.reason,
      details: problem.details ?? [] };
  }

  // The last state that a server reported up to event `e` (null if none), and whether it was running then.
  stateAt(server, e) {
    const found = lastUpTo(this.states[server], e, (s) => s.e);
    const life = lastUpTo(this.lives[server], e, (l) => l.e);
    const runs = life && !(life.ended >= 0 && life.ended <= e);
    return { state: found?.state ?? null, runs: !!runs, life };
  }

  // The entry that a server last wrote at an index, up to event `e`. The log may have been cut back since.
  entryAt(server, index, e) {
    const writes = this.writes[server].get(index);
    return writes && lastUpTo(writes, e, (write) => write.e);
  }

  // The last event at or before a time.
  eventUpTo(at) {
    return lowerBound(this.at, at + 0.5) - 1;
  }

  // The arrival or timer that triggered an event, at the same node and time; -1 if there is none.
  trigger(e) {
    const starts = (i) => [DELIVERED, ANSWERED, WOKE].includes(this.what[i]);
    if (starts(e)) return e;
    let i = this.before[e];
    for (; i >= 0 && this.at[i] === this.at[e]; i = this.before[i]) if (starts(i)) return i;
    return -1;
  }

  // The steps that led to an event, latest first: from each message back to its sender, until a timer.
  chain(e, most = 40) {
    const chain = [e];
    while (chain.length < most) {
      const i = chain.at(-1);
      const from = this.origin[i] >= 0 ? this.origin[i] : this.trigger(i);
      if (from < 0 || from === i) break;
      chain.push(from);
    }
    return chain;
  }

  // Marks the causal past of an event: everything that can have influenced it.
  past(e) {
    const known = this.data.nodes.map(() => -1);
    const past = new Uint8Array(this.n);
    known[this.node[e]] = e;
    for (let i = e; i >= 0; i--) {
      if (i > known[this.node[i]]) continue;
      past[i] = 1;
      const from = this.what[i] === LOST ? -1 : this.origin[i];
      if (from >= 0) known[this.node[from]] = Math.max(known[this.node[from]], from);
    }
    return past;
  }

  // The events that an arrival or timer triggered, at the same node and time.
  deeds(e) {
    const deeds = [];
    for (let i = this.next[e]; i >= 0 && this.at[i] === this.at[e]; i = this.next[i]) {
      if ([DELIVERED, ANSWERED, WOKE].includes(this.what[i])) break;
      deeds.push(i);
    }
    return deeds;
  }

  // Describes what has changed in a server's state.
  stateWords(e) {
    const server = this.serverOf[this.node[e]], fact = this.facts.get(e);
    const found = lastUpTo(this.states[server] ?? [], e, (s) => s.e);
    const last = found?.e === e ? found.last : null;
    if (!last) {
      return `${fact.role} of term ${fact.term}, log ${fact.first_index}..${fact.last_index}, ` +
        `committed ${fact.commit_index}, applied ${fact.last_applied}`;
    }
    const words = [];
    if (last.term !== fact.term) words.push(`term ${last.term} to ${fact.term}`);
    if (last.role !== fact.role) words.push(`${last.role} to ${fact.role}`);
    if (last.voted_for !== fact.voted_for) words.push(fact.voted_for === null ? "no vote" : `votes for ${this.bareName(fact.voted_for)}`);
    if (last.first_index !== fact.first_index) words.push(`log begins at ${fact.first_index}`);
    const written = fact.written ?? [];
    if (fact.last_index < last.last_index) words.push(`log cut back, ${last.last_index} to ${fact.last_index}`);
    const over = written.filter(([index]) => index <= last.last_index).map(([index]) => index);
    if (over.length) words.push(`${plural(over.length, "entry", "entries")} overwritten at ${over.slice(0, 4).join(", ")}`);
    const more = written.length - over.length;
    if (more > 0) words.push(`${plural(more, "new entry", "new entries")}, up to ${fact.last_index}`);
    if (last.commit_index !== fact.commit_index) words.push(`committed ${last.commit_index} to ${fact.commit_index}`);
    if (last.last_applied !== fact.last_applied) words.push(`applied ${last.last_applied} to ${fact.last_applied}`);
    if (words.length === 0 && fact.followers) words.push("progress of followers");
    return words.join(", ") || "state";
  }

  // Describes an event on one line.
  label(e) {
    const name = this.name[e] >= 0 ? this.texts[this.name[e]] : "";
    const text = this.text[e] >= 0 ? this.texts[this.text[e]] : "";
    const peer = this.peer[e] >= 0 ? this.data.nodes[this.peer[e]] : "";
    const method = name.replace(/^.*\./, "");
    switch (this.what[e]) {
      case SENT: return `${method} to ${peer}: ${text}`;
      case DELIVERED: return `${method} from ${peer} arrives`;
      case LOST: return `${method} to ${peer} gets no reply: ${text}`;
      case REPLIED: return `reply to ${peer}'s ${method}: ${text}`;
      case ANSWERED: return `reply from ${peer} to ${method} arrives`;
      case WOKE: return `timer fires: ${name}`;
      case CRASHED: return `stops, ending ${plural(this.call[e], "task")}`;
      case NOTE: return text;
    }
    return text || (this.facts.get(e)?.fact === "state" ? this.stateWords(e) : name);
  }
}

const range = (from, to) => Array.from({ length: to - from }, (_, i) => from + i);

const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;
