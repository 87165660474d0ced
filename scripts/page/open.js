// Opens runs with `lab open` in a real browser, touches them as a person would, and checks what becomes of
// them. The last lines say how long it took from each touch to the new picture.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { createServer } from "node:http";
import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { chromium } from "playwright-core";

const [lab, out] = process.argv.slice(2).map((path) => resolve(path));
mkdirSync(out, { recursive: true });
// Chromium cannot use its sandbox inside a container, and asks its maker for news unless told not to.
const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args });
const problems = [];
const started = [];
const pages = [];
const took = new Map();

// Starts `lab open` and opens its page.
async function open(...what) {
  const child = spawn(lab, ["open", ...what, "--no-browser", "--out", `${out}/lab`], { stdio: ["ignore", "pipe", "inherit"] });
  started.push(child);
  const address = await new Promise((found) => {
    let text = "";
    child.stdout.on("data", (more) => { text += more; const match = /http:\S+/.exec(text); if (match) found(match[0]); });
  });
  const page = await browser.newPage({ viewport: { width: 1366, height: 768 } });
  pages.push(page);
  page.setDefaultTimeout(15000);
  page.on("console", (message) => { if (["error", "warning"].includes(message.type())) problems.push(`${what}: ${message.text()}`); });
  page.on("pageerror", (error) => problems.push(`${what}: ${error.stack}`));
  if (process.env.PAGE) await page.route(address, async (route) => route.fulfill({ contentType: "text/html", body: (await import(process.env.PAGE)).html() }));
  await page.goto(address);
  await page.waitForFunction(() => window.lab?.ready && window.lab.live.tries.length > 0);
  return Object.assign(page, { address, child, what: what.join(" ") });
}

const look = (page, what) => page.evaluate((what) => JSON.parse(JSON.stringify(window.lab[what])), what);
const live = (page) => look(page, "live");
const shoot = (page, name) => page.screenshot({ path: `${out}/${name}.png` });
const drawn = (page) => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));

// Does something that makes a run, and waits until the page shows it. Returns what is known of it.
async function makes(page, act) {
  const before = (await live(page)).shown;
  await act();
  await page.waitForFunction((before) => window.lab.live.shown !== before, before);
  await drawn(page);
  const { shown, tries, took: ms } = await live(page);
  if (ms !== undefined) took.set(page.what, [...(took.get(page.what) ?? []), ms]);
  return tries[shown];
}

const item = (page, text) => page.locator("#touch").getByText(text, { exact: true }).first();

async function clickAt(page, x, y) {
  const box = await page.locator("#time").boundingBox();
  await page.mouse.click(box.x + x, box.y + y);
  await page.locator("#touch").waitFor({ state: "visible" });
}

// Opens the menu of a message that arrives: the first one in view with this name.
async function clickMessage(page, name, isReply = false) {
  const all = await look(page, "targets");
  const arrow = all.find((target) => target.isArrow && target.isReply === isReply && target.arrives && target.name.endsWith(name) && target.line[0] > 95);
  assert.ok(arrow, `a ${name} is in view`);
  const [x0, y0, x1, y1] = arrow.line;
  for (const share of [0.5, 0.35, 0.65, 0.25, 0.75, 0.3, 0.7, 0.2, 0.8, 0.15, 0.85]) {
    const found = await page.evaluate(([x, y]) => window.lab.messageAt(x, y), [x0 + share * (x1 - x0), y0 + share * (y1 - y0)]);
    if (found === arrow.first) { await clickAt(page, x0 + share * (x1 - x0), y0 + share * (y1 - y0)); return arrow; }
  }
  throw new Error(`no point of the ${name} can be clicked`);
}

// Opens the menu of a server at a time in seconds.
async function clickServer(page, server, at) {
  const x = await page.evaluate((at) => window.lab.xOf(at * 1e9), at);
  const row = (await look(page, "rows")).find((row) => row.server === server);
  await page.locator("#time").click({ button: "right", position: { x: Math.max(x, 95), y: row.y } });
  await page.locator("#touch").waitFor({ state: "visible" });
}

async function drag(page, [x0, y0], [x1, y1]) {
  const box = await page.locator("#time").boundingBox();
  await page.mouse.move(box.x + x0, box.y + y0);
  await page.mouse.down();
  await page.mouse.move(box.x + (x0 + x1) / 2, box.y + (y0 + y1) / 2, { steps: 3 });
  await page.mouse.move(box.x + x1, box.y + y1, { steps: 3 });
  await page.mouse.up();
}

// Shows a period, in seconds.
const show = async (page, from, to) => { await page.evaluate(([from, to]) => window.lab.show(from * 1e9, to * 1e9), [from, to]); await drawn(page); };

const tests = {
  async "a message is dropped, delivered now, held and copied, and so is its reply"() {
    const page = await open("InitialElection2A", "--seed", "1");
    await show(page, 0.3, 0.44);
    await clickMessage(page, "RequestVote");
    await shoot(page, "open-menu");
    const lost = await makes(page, () => item(page, "Drop it").click());
    assert.match(lost.words, /^lose RequestVote S\d to S\d at 0\.43/);
    assert.match((await live(page)).said, /parts from .* at 0\.43/);
    assert.match(await page.locator("#panel").innerText(), /lose RequestVote/, "the panel lists what was done to messages");
    await shoot(page, "open-dropped");
    for (const [text, expected, isReply] of [["Deliver it now", /at once$/, false], ["Deliver it", /300 ms after/, false], ["Let it come twice,", /twice, 200 ms apart$/, false], ["Drop the reply to it", /^lose the reply/, false],
      ["Deliver the reply", /^deliver the reply .* 300 ms after/, false], ["Drop it", /^lose the reply/, true]]) {
      await makes(page, () => page.keyboard.press("u"));
      await clickMessage(page, "RequestVote", isReply);
      const made = await makes(page, () => item(page, text).click());
      assert.match(made.words, expected);
      assert.equal(made.parent, 0);
    }
    return page;
  },
  async "the head of an arrow and a timer are dragged"() {
    const page = await open("InitialElection2A", "--seed", "2");
    await page.keyboard.press("x");
    await show(page, 0, 0.6);
    const timer = (await look(page, "targets")).find((target) => target.what === "woke" && target.at[0] > 300);
    const earlier = await makes(page, () => drag(page, timer.at, [timer.at[0] - 120, timer.at[1]]));
    assert.match(earlier.words, /^timers of S\d fire \d+ ms earlier/);
    await makes(page, () => page.keyboard.press("u"));
    const same = (await look(page, "targets")).find((target) => target.what === "woke" && target.at[0] > 300);
    const later = await makes(page, () => drag(page, same.at, [same.at[0] + 150, same.at[1]]));
    assert.match(later.words, /^timers of S\d fire \d+ ms later/);
    await makes(page, () => page.keyboard.press("u"));
    const arrow = (await look(page, "targets")).find((target) => target.isArrow && target.arrives && !target.isReply);
    const held = await makes(page, () => drag(page, [arrow.line[2], arrow.line[3]], [arrow.line[2] + 200, arrow.line[3] + 5]));
    assert.match(held.words, /^deliver .* \d+ ms after it was sent$/);
    await shoot(page, "open-dragged");
    return page;
  },
  async "servers crash, restart, pause and have other clocks; links are cut and healed"() {
    const page = await open("ReElection2A", "--seed", "3");
    await page.keyboard.press("x");
    await page.keyboard.press("0");
    for (const [text, expected] of [["Crash it", /^crash S1 at (1\.0|0\.99)/], ["Restart it", /^restart S1/], ["Its timers fire now", /1000 ms earlier/], ["Its timers fire", /100 ms later/], ["Pause it for", /^pause S1 .* 300 ms/],
      ["Its clock runs at", /1\.2 times as fast/], ["Cut it off", /^cut the links between S1 and S0, S2 at \S+ s$/], ["S2", /^cut the links between S1 and S2 at \S+ s$/], ["to S0", /^cut S1 to S0 at \S+ s$/], ["from S0", /^cut S0 to S1 at \S+ s$/],
      ["Partition", /^partition S1 \| S0 S2/], ["Other random choices from here on", /^other luck \(1\)/]]) {
      await clickServer(page, 1, 1.0);
      const made = await makes(page, () => item(page, text).click());
      assert.match(made.words, expected);
      if (text === "Crash it") {
        await clickServer(page, 1, 1.5);
        const back = await makes(page, () => item(page, "Start it").click());
        assert.match(back.words, /^restart S1 at 1\.[45]/);
        await shoot(page, "open-restarted");
        await makes(page, () => page.keyboard.press("u"));
      }
      if (text === "Cut it off") {
        await clickServer(page, 1, 1.5);
        assert.match((await makes(page, () => item(page, "Heal all its links").click())).words, /^heal the links between S1 and/);
        await makes(page, () => page.keyboard.press("u"));
      }
      await makes(page, () => page.keyboard.press("u"));
    }
    assert.equal((await live(page)).shown, 0);
    return page;
  },
  async "what was tried is a tree: branch, undo, redo, compare, name, all by keys"() {
    const page = await open("BasicAgree2B", "--seed", "1");
    await page.evaluate(() => window.lab.show(0, 0.44e9));
    await drawn(page);
    await page.locator("#time").focus();
    await page.keyboard.press("n");
    await page.keyboard.press("Enter");
    await page.locator("#touch").waitFor({ state: "visible" });
    const first = await makes(page, () => page.keyboard.press("1"));
    await makes(page, () => page.keyboard.press("u"));
    await page.keyboard.press("n");
    await page.keyboard.press("n");
    await page.keyboard.press("Enter");
    const second = await makes(page, () => page.keyboard.press("1"));
    assert.deepEqual([first.parent, second.parent], [0, 0]);
    await page.keyboard.press("v");
    await page.waitForFunction(() => window.lab.live.base === 1);
    assert.match((await live(page)).said, /parts from/);
    await page.keyboard.press("w");
    assert.match(await page.locator("#panel").innerText(), /What changed/);
    await shoot(page, "open-changes");
    await page.keyboard.press("g");
    await makes(page, () => page.keyboard.press("["));
    assert.equal((await live(page)).shown, 1);
    await makes(page, () => page.keyboard.press("u"));
    await makes(page, () => page.keyboard.press("U"));
    assert.equal((await live(page)).shown, 2);
    page.once("dialog", (dialog) => dialog.accept("the second branch"));
    await page.keyboard.press("b");
    await page.waitForFunction(() => window.lab.live.tries[2].name === "the second branch");
    assert.match(await page.locator("#tree").innerText(), /the second branch/);
    await shoot(page, "open-tree");
    return page;
  },
  async "a run is kept, and replayed bit for bit"() {
    const page = await open("InitialElection2A", "--seed", "1");
    await show(page, 0.3, 0.44);
    await clickMessage(page, "RequestVote");
    const made = await makes(page, () => item(page, "Drop it").click());
    await page.keyboard.press("k");
    await page.locator("#keep-name").fill("a lost vote");
    await page.locator("#keep-test").click();
    await page.locator("#kept pre").first().waitFor();
    const words = await page.locator("#kept").innerText();
    assert.match(words, /a-lost-vote\.json/);
    assert.match(words, /tests::kept\(include_str!\("a-lost-vote\.json"\), &\[raft::REFERENCE\]\)\.passes\(\)/);
    await shoot(page, "open-kept");
    const replayed = spawnSync(lab, ["replay", `${out}/lab/kept/a-lost-vote.json`, "--out", `${out}/lab`], { encoding: "utf8" });
    assert.match(replayed.stdout, new RegExp(`fingerprint ${made.fingerprint}: the same run as recorded, bit for bit`));
    await page.locator("#keep-story").click();
    await page.waitForFunction(() => document.querySelector("#kept")?.textContent.includes("The story is kept"));
    await page.keyboard.press("Escape");
    await page.waitForFunction(() => !document.querySelector("#keep").open);
    return page;
  },
  async "a world without a test: crash its leader, see the next election, give it a command"() {
    const page = await open("--servers", "3");
    await page.keyboard.press("x");
    await page.keyboard.press("0");
    const leader = await page.evaluate(() => window.lab.leaderAt(1.4e9));
    // A click on a server's name opens its menu, too.
    await clickAt(page, 20, (await look(page, "rows"))[leader].y - 17);
    assert.match(await page.locator("#touch h3").innerText(), new RegExp(`S${leader}$`));
    await page.keyboard.press("Escape");
    // So does the Enter key, when the name has the focus.
    const other = (leader + 1) % 3;
    await page.locator("#names button").nth(other).focus();
    await page.keyboard.press("Enter");
    assert.match(await page.locator("#touch h3").innerText(), new RegExp(`S${other}$`));
    await shoot(page, "open-name");
    await page.keyboard.press("Escape");
    await clickServer(page, leader, 1.2);
    await makes(page, () => item(page, "Crash it").click());
    await page.keyboard.press("0");
    await drawn(page);
    const next = await page.evaluate(() => window.lab.leaderAt(2.1e9));
    assert.ok(next >= 0 && next !== leader, "another server leads");
    await clickServer(page, next, 2.1);
    await makes(page, () => item(page, "Give it the command").click());
    await page.keyboard.press("0");
    await drawn(page);
    await shoot(page, "open-world");
    const follower = [0, 1, 2].find((server) => server !== leader && server !== next);
    await clickServer(page, follower, 2.5);
    await makes(page, () => item(page, "Give it the command").click());
    assert.match((await live(page)).said, /does not lead, so it takes no command/);
    await makes(page, () => page.keyboard.press("u"));
    await page.locator("#search").fill("x1");
    await page.waitForFunction(() => window.lab.hits > 5);
    assert.match(await page.locator("#log-rows").innerText(), /x1/);
    // What is wrong is said in the menu, which stays open. Rows after the ninth have letters.
    await page.keyboard.press("Escape");
    await page.keyboard.press("Escape");
    await page.keyboard.press("0");
    await clickServer(page, follower, 2.5);
    await page.keyboard.press("d");
    await page.keyboard.type("0 | 9");
    await page.keyboard.press("Enter");
    assert.match(await page.locator("#touch .bad").innerText(), /no server “9”: write a partition like/);
    await shoot(page, "open-wrong");
    await page.keyboard.press("Escape");
    await page.locator("#take-back summary").click();
    const without = await makes(page, () => page.locator("#take-back button", { hasText: `crash S${leader}` }).click());
    assert.match(without.words, /^without: crash S/);
    return page;
  },
  async "a page of somebody else cannot talk to it"() {
    const page = await open("InitialElection2A", "--seed", "1");
    const server = createServer((_, answer) => answer.setHeader("content-type", "text/html").end("<h1>somebody else</h1>"));
    await new Promise((done) => server.listen(0, "127.0.0.1", done));
    const other = await browser.newPage();
    await other.goto(`http://127.0.0.1:${server.address().port}/`);
    const ask = (options) => other.evaluate(async ([address, options]) => {
      try { const answer = await fetch(address, options); return `${answer.status} ${await answer.text()}`; } catch (error) { return `blocked: ${error.name}`; }
    }, [`${page.address}state`, options]);
    for (const options of [{}, { method: "POST", body: "{}" }]) assert.match(await ask(options), /^blocked/);
    assert.match(await ask({ mode: "no-cors" }), /^(0|blocked)/);
    const framed = await other.evaluate(async (address) => {
      const frame = Object.assign(document.createElement("iframe"), { src: address });
      document.body.append(frame);
      await new Promise((done) => setTimeout(done, 700));
      try { return frame.contentDocument?.body?.innerText ?? ""; } catch { return "blocked"; }
    }, page.address);
    assert.ok(!/What was tried/.test(framed), framed);
    server.close();
    await other.close();
    return page;
  },
  async "long runs stay usable"() {
    // The earlier the touch, the more is new.
    for (const [test, at] of [["Figure8Unreliable2C", 20], ["ReliableChurn2C", 2]]) {
      const page = await open(test, "--seed", "1");
      await page.keyboard.press("0");
      await drawn(page);
      await clickServer(page, await page.evaluate(() => window.lab.servers) - 1, at);
      await makes(page, () => item(page, "Crash it").click());
      await shoot(page, `open-long-${test}`);
      console.log(`${page.what}: ${await look(page, "events")} events`);
    }
  },
};

let failures = 0;
for (const [name, test] of Object.entries(tests)) {
  if (process.env.ONLY && !name.includes(process.env.ONLY)) continue;
  try {
    await test();
    console.log(`ok: ${name}`);
  } catch (error) {
    failures++;
    console.log(`FAILED: ${name}\n${error.stack}`);
    await pages.at(-1)?.screenshot({ path: `${out}/failed-${failures}.png` });
  }
  for (const page of pages.splice(0)) await page.close();
  for (const child of started.splice(0)) child.kill();
}
await browser.close();
for (const [what, times] of took) {
  const sorted = times.sort((a, b) => a - b);
  console.log(`${what}: from the touch to the new picture ${sorted[sorted.length >> 1].toFixed(0)} ms (median of ${sorted.length}), at most ${sorted.at(-1).toFixed(0)} ms`);
}
for (const problem of problems) { failures++; console.log(`FAILED: ${problem}`); }
process.exit(failures ? 1 : 0);
