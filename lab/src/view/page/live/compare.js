// Compares two runs: where they part, what is new in the second, and what is gone from the first.

class Comparison {
  // `known` events are the same without a look.
  constructor(before, after, known = 0) {
    this.before = before;
    this.after = after;
    this.same = this.sameBeginning(known);
    const next = [before, after].filter((run) => this.same < run.n).map((run) => run.at[this.same]);
    // The time at which the runs part; null if they are the same.
    this.at = next.length ? Math.min(...next) : null;
  }

  // The number of events with which both runs begin.
  sameBeginning(known) {
    const { before: a, after: b } = this;
    const most = Math.min(a.n, b.n);
    for (let e = known; e < most; e++) if (!this.isSame(e)) return e;
    return most;
  }

  isSame(e) {
    const { before: a, after: b } = this;
    const text = (run, column) => (run[column][e] < 0 ? "" : run.texts[run[column][e]]);
    const node = (run, column) => (run[column][e] < 0 ? "" : run.data.nodes[run[column][e]]);
    if (a.at[e] !== b.at[e] || a.what[e] !== b.what[e] || a.call[e] !== b.call[e] || a.kind[e] !== b.kind[e]) return false;
    if (node(a, "node") !== node(b, "node") || node(a, "peer") !== node(b, "peer")) return false;
    if (text(a, "name") !== text(b, "name") || text(a, "text") !== text(b, "text")) return false;
    if (a.what[e] !== CUSTOM) return true;
    return JSON.stringify(a.facts.get(e)) === JSON.stringify(b.facts.get(e));
  }

  // What an event says, whenever it happens.
  static words(run, e) {
    const text = run.text[e] < 0 ? "" : run.texts[run.text[e]], name = run.name[e] < 0 ? "" : run.texts[run.name[e]];
    const peer = run.peer[e] < 0 ? "" : run.data.nodes[run.peer[e]];
    const fact = run.what[e] === CUSTOM && run.text[e] < 0 ? run.facts.get(e) : null;
    const state = fact ? `${fact.role} ${fact.term} ${fact.voted_for} ${fact.last_index} ${fact.commit_index}` : "";
    return `${run.data.nodes[run.node[e]]}|${run.what[e]}|${peer}|${name}|${text}|${state}`;
  }

  // The events after the parting that only one of the runs has, by what they say and how often.
  changes() {
    if (this.found) return this.found;
    const { before, after } = this;
    const counted = (run) => {
      const timer = run.kinds.indexOf("timer"), persist = run.kinds.indexOf("persist");
      const events = [];
      for (let e = this.same; e < run.n; e++) if (run.kind[e] !== timer && run.kind[e] !== persist) events.push(e);
      return events;
    };
    const old = new Map();
    for (const e of counted(before)) {
      const words = Comparison.words(before, e);
      const found = old.get(words);
      if (found) found.push(e); else old.set(words, [e]);
    }
    const fresh = [];
    for (const e of counted(after)) {
      const found = old.get(Comparison.words(after, e));
      if (found?.length) found.shift(); else fresh.push(e);
    }
    const gone = [...old.values()].flat().sort((a, b) => a - b);
    this.found = { fresh, gone };
    return this.found;
  }

  // The events of a list that say most about a run: roles and commits, votes, and what was done to it.
  static telling(run, events, most = 10) {
    const rank = (e) => {
      const fact = run.facts.get(e), kind = run.kinds[run.kind[e]];
      if (fact?.fact === "state") {
        const last = lastUpTo(run.states[run.serverOf[run.node[e]]] ?? [], e, (s) => s.e)?.last;
        if (!last || last.role !== fact.role) return fact.role === "leader" ? 0 : 2;
        return last.commit_index !== fact.commit_index ? 3 : 6;
      }
      if (kind === "test") return 1;
      if (fact && ["started", "stopped"].includes(fact.fact)) return 1;
      if (run.what[e] === SENT && kind === "vote") return 4;
      return kind === "apply" ? 5 : 7;
    };
    const ranked = events.slice(0, 4000).map((e) => [rank(e), e]);
    ranked.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    return ranked.slice(0, most).map(([, e]) => e).sort((a, b) => a - b);
  }

  // In one sentence, how the second run ended compared with the first. The headline has the whole reason.
  verdict(isWorld) {
    const { before, after } = this;
    const was = before.record, is = after.record;
    const why = (is.reason ?? "").length > 90 ? `${is.reason.slice(0, 88)} …` : is.reason;
    if (this.at === null) return "It is the same run.";
    if (is.reason === undefined) return was.reason !== undefined ? "Now it passes." : isWorld ? "No rule is broken, as before." : "It passes, as before.";
    if (was.reason === undefined) return `Now it ${{ failed: "fails", hung: "hangs", crashed: "dies" }[after.data.verdict] ?? `is ${after.data.verdict}`}: ${why}`;
    if (JSON.stringify(was.cause) === JSON.stringify(is.cause)) return "It still fails in the same way.";
    return `It fails differently: ${why}`;
  }
}
