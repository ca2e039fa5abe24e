// The page in headless Chromium: a visitor kills the tracker in use, and sees the switch. Run by `test`.

import assert from "node:assert/strict";
import { spawn, execFileSync } from "node:child_process";
import { createServer } from "node:http";
import { readFile, writeFile, mkdir } from "node:fs/promises";
import { extname, join } from "node:path";
import { after, before, test } from "node:test";

const PAGE = process.env.PLAYGROUND_PAGE;
const NATIVE = process.env.PLAYGROUND_NATIVE;
const PICTURES = process.env.PLAYGROUND_PICTURES;
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".wasm": "application/wasm" };

let server, driver, base, session;

/** A call of WebDriver (W3C). */
async function call(method, path, body) {
  const response = await fetch(`${base}${path}`, { method, body: body && JSON.stringify(body) });
  const { value } = await response.json();
  if (value?.error) throw new Error(`${path}: ${value.error}: ${value.message}`);
  return value;
}

const script = (code, ...args) => call("POST", `${session}/execute/sync`, { script: code, args });

async function until(what, condition) {
  for (let tries = 0; tries < 600; tries += 1) {
    const value = await condition();
    if (value) return value;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail(`not within a minute: ${what}`);
}

async function open(fragment, width, height) {
  await call("POST", `${session}/window/rect`, { width, height });
  await call("POST", `${session}/url`, { url: "about:blank" });
  await call("POST", `${session}/url`, { url: `http://127.0.0.1:${server.address().port}/${fragment}` });
  await until("the page plays", () => script("return Boolean(window.playground)"));
}

/** A click of the mouse in the middle of an element. */
async function click(selector) {
  const found = await call("POST", `${session}/element`, { using: "css selector", value: selector });
  await call("POST", `${session}/element/${Object.values(found)[0]}/click`, {});
}

async function picture(name) {
  await mkdir(PICTURES, { recursive: true });
  await writeFile(join(PICTURES, `${name}.png`), Buffer.from(await call("GET", `${session}/screenshot`), "base64"));
}

before(async () => {
  server = createServer(async (request, response) => {
    const name = new URL(request.url, "http://x").pathname.replace(/^\/$/, "/index.html");
    try {
      const body = await readFile(join(PAGE, name));
      response.writeHead(200, { "Content-Type": TYPES[extname(name)] ?? "application/octet-stream" }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  driver = spawn("chromedriver", ["--port=0"], { stdio: ["ignore", "pipe", "inherit"] });
  const port = await new Promise((resolve, reject) => {
    let output = "";
    driver.on("error", reject);
    driver.stdout.on("data", (data) => {
      output += data;
      const started = output.match(/started successfully on port (\d+)/);
      if (started) resolve(started[1]);
    });
  });
  base = `http://127.0.0.1:${port}`;
  const args = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--force-device-scale-factor=1"];
  const capabilities = { alwaysMatch: { browserName: "chrome", "goog:chromeOptions": { args }, "goog:loggingPrefs": { browser: "ALL" } } };
  session = `/session/${(await call("POST", "/session", { capabilities })).sessionId}`;
});

after(async () => {
  if (session) await call("DELETE", session).catch(() => {});
  driver?.kill();
  server?.close();
});

test("killing the tracker in use by clicks shows the switch and the second announce, and the same run as the native program", async () => {
  await open("#cluster,1", 1280, 900);
  const inUse = () => script(`return document.querySelector(".client.ours h3 span").textContent`);
  const speed = (value) => script(`const speed = document.getElementById("speed"); speed.value = arguments[0]`, value);
  await speed("5");
  const first = await until("a first answer", async () => (await inUse()).match(/^last answer: (\d)$/)?.[1]);
  const lines = () => script(`return document.getElementById("lines").textContent`);
  await click(`#trackers button:nth-child(${Number(first) + 1})`);
  await click(`[data-change=kill]`);
  await until("the button says silent", async () =>
    (await script(`return document.querySelector("#trackers button:nth-child(${Number(first) + 1})").dataset.state`)) === "silent");
  assert.match(await script(`return document.getElementById("explain").textContent`), new RegExp(`://t${first}\\b.* — using `));
  await speed("20");
  const [, second] = await until("the switch", async () =>
    (await lines()).match(new RegExp(`switching \\S+://t${first}\\.\\S+ -> \\S+://t(\\d)\\.`)));
  await until("the second announce", async () =>
    new RegExp(`succeeded after 2 attempts: \\S+://t${second}\\.`).test(await lines()));
  assert.equal((await inUse()).match(/^last answer: (\d)$/)?.[1], second);
  await picture("killed-1280");

  // What the browser's engine did is what the native one does, bit by bit.
  const { run, text } = await script("return { run: window.playground.run, text: window.playground.text }");
  assert.equal(run.edits.length, 1);
  const request = JSON.stringify({ scenario: run.scenario, seed: run.seed, edits: run.edits });
  const native = execFileSync(NATIVE, [request], { encoding: "utf8", maxBuffer: 64 << 20 }).trimEnd();
  assert.ok(text === native, "the browser and the native program differ");

  // A link holds the run.
  const link = await script("return location.hash");
  assert.equal(link, `#cluster,1,${run.edits[0].at}.${first}.kill`);
  await open("", 1280, 900);
  await open(link, 1280, 900);
  assert.ok((await script("return window.playground.text")) === native, "the link shows another run");
});

test("every scenario is shown without an error, at the width of a screen and of a phone", async () => {
  for (const scenario of ["cold", "dies", "down", "empty", "cluster", "thousand"]) {
    for (const width of [1280, 390]) {
      await open(`#${scenario},2`, width, 900);
      await script(`const speed = document.getElementById("speed"); speed.value = "20"`);
      await until("two virtual seconds", async () => (await script("return window.playground.now()")) > 2000);
      assert.equal(await script("return document.getElementById('error').hidden"), true, scenario);
      const overflow = await script("return document.documentElement.scrollWidth - document.documentElement.clientWidth");
      assert.ok(overflow <= 0, `${scenario} at ${width}: ${overflow} px beside the page`);
      assert.equal((await script("return document.querySelectorAll('.client canvas').length")), 6);
      if (scenario === "cold" || scenario === "thousand") await picture(`${scenario}-${width}`);
    }
  }
  const errors = (await call("POST", `${session}/se/log`, { type: "browser" })).filter(({ level, message }) => level === "SEVERE" && !message.includes("favicon"));
  assert.deepEqual(errors, []);
});

test("an edit of a link that can't be played is left out", async () => {
  for (const edit of ["1e300.3.kill", "1.8.kill", "-1.3.kill", "1.3.explode", "x"]) {
    await open(`#cold,1,${edit},5.2.kill`, 1280, 900);
    assert.equal(await script("return location.hash"), "#cold,1,5.2.kill", edit);
  }
});

test("the keyboard is enough", async () => {
  await open("#empty,5", 1280, 900);
  const key = (value) => call("POST", `${session}/actions`, {
    actions: [{ type: "key", id: "keyboard", actions: [{ type: "keyDown", value }, { type: "keyUp", value }] }],
  });
  await until("a second has passed", async () => (await script("return window.playground.now()")) > 1000);
  await key(" ");
  assert.equal(await script("return document.getElementById('play').textContent"), "Play");
  const paused = await script("return window.playground.now()");
  await key("\uE014");
  assert.ok((await script("return window.playground.now()")) > paused, "a step goes to the next packet");
  await key("3");
  await key("k");
  assert.match(await script("return location.hash"), /^#empty,5,\d+\.3\.kill$/);
  await key("u");
  assert.equal(await script("return location.hash"), "#empty,5");
  await key("r");
  assert.equal(await script("return document.getElementById('play').textContent"), "Pause");
});

test("what a link holds beside runs is left out", async () => {
  await open("#nonsense,-1,x.y.z,5.99.kill,7.1.explode,9.1.mute", 1280, 900);
  assert.equal(await script("return location.hash"), "#cold,1,9.1.mute");
});
