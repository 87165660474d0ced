// Opens the pages in a directory, uses them as a person would, and checks what they show.

import assert from "node:assert/strict";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const directory = resolve(process.argv[2]);
// Chromium cannot use its sandbox inside a container.
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] });
const problems = [];

async function open(name, colorScheme = "light") {
  const page = await browser.newPage({ viewport: { width: 1366, height: 768 }, colorScheme });
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) problems.push(`${name}: ${message.text()}`);
  });
  page.on("pageerror", (error) => problems.push(`${name}: ${error.stack}`));
  page.on("request", (request) => {
    if (!/^(file|data|blob):/.test(request.url())) problems.push(`${name} loads ${request.url()}`);
  });
  await page.goto(pathToFileURL(`${directory}/${name}.html`).href);
  await page.waitForFunction(() => window.lab?.ready && window.lab.firstDraw > 0);
  return page;
}

const look = (page, what) => page.evaluate((what) => JSON.parse(JSON.stringify(window.lab[what])), what);
const shoot = (page, name) => page.screenshot({ path: `${directory}/${name}.png` });
// Waits for the page to draw, which it does before the next frame.
const drawn = (page) => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));

async function press(page, ...keys) {
  for (const key of keys) await page.keyboard.press(key);
  await drawn(page);
}

async function clickArrow(page) {
  const arrow = (await look(page, "targets")).filter((target) => target.isArrow).at(-4);
  const box = await page.locator("#time").boundingBox();
  await page.mouse.click(box.x + arrow.at[0], box.y + arrow.at[1]);
  await drawn(page);
}

const tests = {
  async "a failing run is opened at its failure"() {
    const page = await open("failed");
    assert.equal(await look(page, "servers"), 5);
    assert.equal((await look(page, "drawn")).rows, 5);
    const failure = await look(page, "failure");
    assert.ok(failure.isInView);
    assert.match(await page.locator("#reason").innerText(), /says that it leads/);
    assert.match(await page.locator("#where").innerText(), /at [0-9.]+ s, .*Backup2B, seed 0/);
    assert.equal(await page.locator("#replay").innerText(), "cargo lab replay Backup2B --seed 0");
    assert.ok((await look(page, "drawn")).arrows > 5, "messages are drawn as arrows");
    await shoot(page, "failed-light");
    return page;
  },
  async "keys and wheel zoom and pan"() {
    const page = await open("failed");
    const width = async () => { const { from, to } = await look(page, "view"); return to - from; };
    const before = await width();
    await press(page, "+", "+");
    const closer = await width();
    assert.ok(closer < before);
    await press(page, "-", "-", "-");
    assert.ok((await width()) > closer);
    const view = await look(page, "view");
    await press(page, "ArrowLeft");
    assert.ok((await look(page, "view")).from < view.from);
    await press(page, "0");
    assert.ok((await look(page, "view")).from <= 0);
    await shoot(page, "failed-whole");
    const box = await page.locator("#time").boundingBox();
    await page.mouse.move(box.x + 500, box.y + 200);
    const whole = await width();
    await page.mouse.wheel(0, -300);
    await drawn(page);
    assert.ok((await width()) < whole);
    const still = await look(page, "view");
    await page.mouse.down();
    await page.mouse.move(box.x + 700, box.y + 200, { steps: 4 });
    await page.mouse.up();
    await drawn(page);
    assert.ok((await look(page, "view")).from < still.from, "dragging to the right shows earlier events");
    await press(page, "x");
    assert.equal((await look(page, "view")).folded, false);
    await press(page, "Home");
    assert.equal((await look(page, "failure")).isInView, false);
    await press(page, "f");
    assert.equal((await look(page, "failure")).isInView, true);
    return page;
  },
  async "a click shows an event in full, with its causes and effects to follow"() {
    const page = await open("failed", "dark");
    assert.equal(await look(page, "theme"), "dark");
    const panel = page.locator("#panel");
    const before = await panel.innerText();
    await clickArrow(page);
    const selected = await look(page, "selected");
    assert.ok(selected >= 0);
    assert.notEqual(await panel.innerText(), before);
    assert.match(await panel.innerText(), /Causes/);
    assert.equal(await look(page, "moment"), selected, "the logs shown are those of that moment");
    await shoot(page, "failed-selected-dark");
    await panel.locator(".event").first().click();
    assert.notEqual(await look(page, "selected"), selected);
    const there = await look(page, "selected");
    await press(page, "n");
    assert.ok((await look(page, "selected")) > there);
    await press(page, "p", "p");
    assert.ok((await look(page, "selected")) <= there);
    assert.ok((await page.locator(".log-entry").count()) > 0);
    await press(page, "Escape");
    assert.equal(await look(page, "selected"), -1);
    await press(page, "t");
    assert.equal(await look(page, "theme"), "light");
    return page;
  },
  async "filters and search change what is shown"() {
    const page = await open("failed");
    const before = (await look(page, "drawn")).arrows;
    await page.locator("#kinds [data-kind=append]").click();
    await drawn(page);
    assert.ok((await look(page, "drawn")).arrows < before);
    await page.locator("#kinds [data-kind=append]").click();
    await page.locator("#servers [data-server='1']").click();
    await drawn(page);
    assert.equal((await look(page, "drawn")).rows, 4);
    assert.ok((await look(page, "drawn")).arrows < before);
    await page.locator("#servers [data-server='1']").click();
    await page.locator("#time").focus();
    await page.keyboard.press("/");
    await page.keyboard.type("RequestVote");
    await page.waitForFunction(() => window.lab.hits > 0);
    await page.keyboard.press("Enter");
    assert.ok((await look(page, "selected")) >= 0);
    await drawn(page);
    await shoot(page, "failed-search");
    await press(page, "Escape", "?");
    assert.ok(await page.locator("#help").isVisible());
    await shoot(page, "help");
    return page;
  },
  async "operations that are not linearizable are marked and come first"() {
    const page = await open("kv");
    assert.equal(await look(page, "bad"), 2);
    assert.ok((await look(page, "lanes")) > 1);
    assert.ok((await look(page, "failure")).isInView);
    assert.match(await page.locator("#panel").innerText(), /No order explains these 2 operations/);
    await shoot(page, "kv-light");
    const lanes = await look(page, "lanes");
    await page.locator("#op-key").selectOption("");
    await page.locator("#op-by").selectOption("key");
    await drawn(page);
    assert.ok((await look(page, "lanes")) > 1 && lanes > 1);
    await shoot(page, "kv-by-key");
    return page;
  },
  async "a migration of shards can be followed with the eye"() {
    const page = await open("shards");
    assert.deepEqual((await look(page, "names")).slice(0, 7), ["ctrl/0", "ctrl/1", "ctrl/2", "100/0", "100/1", "100/2", "101/0"]);
    const groups = await look(page, "groups");
    assert.deepEqual(groups.map((group) => group.gid), [100, 101, 102]);
    for (const { gid, lanes } of groups) assert.equal(lanes.length, 10, `group ${gid}`);
    assert.deepEqual((await look(page, "groupRows")).map((row) => row.gid), [100, 101, 102]);
    // A shard is handed over by one group and waited for by another, which then serves it.
    const [move] = await look(page, "migrations");
    const states = (gid) => groups.find((group) => group.gid === gid).lanes[move.shard];
    assert.ok(states(move.source).includes("handing_over") && states(move.target).includes("waiting"));
    await page.evaluate(({ from, to }) => window.lab.show(from - 2e8, to + 2e8), move);
    await drawn(page);
    assert.ok((await look(page, "drawn")).migrations > 0, "its way is drawn");
    await shoot(page, "shards");
    // The pointer on the lane of the shard says what it shows.
    const box = await page.locator("#time").boundingBox();
    const lane = async (gid, at) => ({ x: await page.evaluate((at) => window.lab.xOf(at), at), y: (await look(page, "groupRows")).find((row) => row.gid === gid).y + 5 * move.shard + 2 });
    const there = await lane(move.target, move.to + 1e8);
    await page.mouse.move(box.x + there.x, box.y + there.y);
    const tip = await page.locator("#tip").innerText();
    assert.match(tip, new RegExp(`group ${move.target} serves shard ${move.shard}, from .* \\(config [0-9]+\\)`));
    await page.mouse.click(box.x + there.x, box.y + there.y);
    await drawn(page);
    assert.match(await page.locator("#panel").innerText(), new RegExp(`Shards of group ${move.target}, config`));
    assert.match(await page.locator("#panel").innerText(), /waiting → serving/);
    await shoot(page, "shards-selected");
    // The logs are those of the cluster in which it happened, and none of them differs.
    const heads = await page.locator("#log-heads .log-head b").allInnerTexts();
    assert.deepEqual(heads.map((name) => name.trim()), [0, 1, 2].map((i) => `${move.target}/${i}`));
    assert.equal(await page.locator(".log-entry.differs").count(), 0);
    await page.locator("#kinds [data-kind=shard]").click();
    await drawn(page);
    assert.deepEqual(await look(page, "groupRows"), [], "its button hides the lanes");
    return page;
  },
  async "runs of one cluster show no shards, and their servers have numbers"() {
    const page = await open("kv");
    assert.deepEqual((await look(page, "names")).slice(0, 3), ["S0", "S1", "S2"]);
    assert.deepEqual(await look(page, "groupRows"), []);
    assert.equal(await page.locator("#kinds [data-kind=shard]").isVisible(), false);
    await press(page, "?");
    assert.doesNotMatch(await page.locator("#help").innerText(), /shard/);
    return page;
  },
  async "a long run can be used"() {
    const page = await open("long", "dark");
    const events = await look(page, "events");
    assert.ok(events > 150_000);
    const first = await look(page, "firstDraw");
    assert.ok((await look(page, "drawn")).density, "there are too many events for arrows");
    await shoot(page, "long-dark");
    const times = await page.evaluate(async () => {
      const times = [];
      for (let i = 0; i < 10; i++) {
        const before = performance.now();
        document.getElementById("time").dispatchEvent(new KeyboardEvent("keydown", { key: i < 5 ? "+" : "ArrowRight", bubbles: true }));
        await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
        times.push(performance.now() - before);
      }
      return times.sort((a, b) => a - b);
    });
    await press(page, ..."+".repeat(12));
    assert.equal((await look(page, "drawn")).density, false);
    assert.ok((await look(page, "drawn")).arrows > 0);
    await shoot(page, "long-near-dark");
    console.log(`  ${events} events: first drawn after ${Math.round(first)} ms; a step of zooming or moving takes ` +
      `${Math.round(times[5])} ms, at most ${Math.round(times.at(-1))} ms`);
    return page;
  },
};

let failed = 0;
for (const [name, test] of Object.entries(tests)) {
  try {
    const page = await test();
    await page.close();
    if (problems.length) throw new Error(problems.splice(0).join("\n"));
    console.log(`ok  ${name}`);
  } catch (error) {
    failed++;
    console.log(`FAILED  ${name}\n${error.stack}`);
  }
}
await browser.close();
console.log(`${Object.keys(tests).length - failed} of ${Object.keys(tests).length} passed; screenshots in ${directory}`);
process.exit(failed ? 1 : 0);
