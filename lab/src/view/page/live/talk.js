// Talks to the server that the page comes from.

class Talk {
  // Asks for something, as text. An answer that is no success is thrown as its sentence.
  async ask(path, body = undefined) {
    const options = body === undefined ? {} : { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" } };
    let answer;
    try {
      answer = await fetch(path, options);
    } catch {
      throw new Error("the lab does not answer: is `lab open` still running?");
    }
    const text = await answer.text();
    if (!answer.ok) throw new Error(text);
    return text;
  }

  // Adds what two runs have in common to the data of one, from that of the other.
  complete(data, other) {
    const [events, texts] = data.known;
    for (const name of Object.keys(data.columns)) data.columns[name] = other.columns[name].slice(0, events).concat(data.columns[name]);
    data.texts = other.texts.slice(0, texts).concat(data.texts);
    for (const name of ["facts", "held"]) data[name] = other[name].filter(([e]) => e < events).concat(data[name]);
    data.known = [0, 0];
  }

  async json(path, body = undefined) { return JSON.parse(await this.ask(path, body)); }

  // A run: what the desk knows of it, its data, and with how many events of the run `other` it begins at least.
  // The answer leaves out what both have in common.
  async run(path, body = undefined, other = undefined) {
    const text = await this.ask(path, body);
    const end = text.indexOf("\n");
    const data = JSON.parse(text.slice(end + 1));
    const same = data.known[0];
    if (same > 0) this.complete(data, other.data);
    return { known: JSON.parse(text.slice(0, end)), data, same };
  }
}
