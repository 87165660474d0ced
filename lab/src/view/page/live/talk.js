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

  async json(path, body = undefined) { return JSON.parse(await this.ask(path, body)); }

  // A run: what the desk knows of it, and its data.
  async run(path, body = undefined) {
    const text = await this.ask(path, body);
    const end = text.indexOf("\n");
    return { known: JSON.parse(text.slice(0, end)), data: JSON.parse(text.slice(end + 1)) };
  }
}
