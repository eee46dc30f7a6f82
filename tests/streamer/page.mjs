// Uses the page as a person would, in Chromium: each switch, by mouse and by key. Prints what it saw as JSON.
// Usage: page.mjs PLAYWRIGHT_CORE CHROMIUM ADDRESS CAMERA FOLDER OPEN_ADDRESS OPEN_CAMERA
// At the open address nothing may be changed.

import { openChromium } from "../../scripts/lib/chromium.mjs";

const [playwright, chromium, address, camera, folder, openAddress, openCamera] = process.argv.slice(2);
const browser = await openChromium(playwright, chromium, folder);
const foreign = new Set();
const complaints = [];
const seen = { foreign: [], complaints };
const patience = { timeout: 30000 };

async function open(path, site = address) {
  const page = await browser.newPage();
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (!["data:", "blob:"].includes(url.protocol) && url.origin !== new URL(site).origin) foreign.add(url.origin);
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  await page.goto(site + path);
  return page;
}

const tile = (name) => `globalThis.tiles?.get(${JSON.stringify(name)})`;
const shown = (page, frames) => page.waitForFunction(`(${tile(camera)}?.shown ?? 0) >= ${frames}`, null, patience);

try {
  const list = await open("/");
  await list.waitForSelector(`.camera[data-camera="${camera}"]`, patience);
  await shown(list, 10);
  await list.waitForFunction(`/fps/.test(document.querySelector(".state").textContent)`, null, patience);
  seen.state = await list.textContent(".state");

  const begun = Date.now();
  const view = await open(`/view/${camera}`);
  await shown(view, 1);
  seen.first_picture_ms = Date.now() - begun;
  await shown(view, 60);
  await view.keyboard.press("i");
  await view.waitForFunction(`/decoded/.test(${tile(camera)}.statistics.textContent)`, null, patience);
  seen.statistics = await view.textContent("pre.statistics");
  seen.statistics_visible = await view.isVisible("pre.statistics");
  seen.delay_ms = await view.evaluate(`${tile(camera)}.delay ?? null`);
  await view.click("#statistics");
  seen.statistics_hidden = !(await view.isVisible("pre.statistics"));

  await view.keyboard.press("d");
  await view.waitForFunction(`(${tile(camera)}.depth?.frames ?? 0) >= 5`, null, patience);
  // The simulator's plane: nothing in the first column, one millimetre more each row, the same in all of a row.
  seen.depth = await view.evaluate(`(() => {
    const { width, height, pixels } = ${tile(camera)}.depth.frame;
    const top = pixels[1];
    let wrong = 0;
    for (let row = 0; row < height; row += 1) for (let column = 0; column < width; column += 1) {
      if (pixels[row * width + column] !== (column === 0 ? 0 : top + row)) wrong += 1;
    }
    return { width, height, top, wrong };
  })()`);
  const box = await view.locator("canvas.depth").boundingBox();
  await view.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  await view.waitForSelector("output.pointer:not([hidden])", patience);
  seen.pointer = await view.textContent("output.pointer");
  const colour = () => view.evaluate(`(() => {
    const canvas = document.querySelector("canvas.depth");
    return [...canvas.getContext("2d").getImageData(canvas.width / 2, 0, 1, 1).data].join();
  })()`);
  const before = await colour();
  await view.keyboard.press("p");
  await view.waitForFunction(`${tile(camera)}.depth.palette === "viridis"`, null, patience);
  seen.palette_changes = before !== await colour();
  await view.click("#depth");
  seen.depth_ends = await view.evaluate(`${tile(camera)}.depth === null`) && !(await view.isVisible("canvas.depth"));

  await view.keyboard.press("b");
  await view.waitForFunction(`(${tile(camera)}.bodies?.packets ?? 0) >= 5`, null, patience);
  seen.bodies_visible = await view.isVisible("canvas.bodies");
  seen.bodies_painted = await view.evaluate(`(() => {
    const canvas = document.querySelector("canvas.bodies");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return data.some((value) => value > 0);
  })()`);

  // What can be changed: each once, and something that is refused.
  const answered = (what) => view.waitForResponse((response) =>
    response.request().method() === "POST" && response.url().endsWith(`/api/cameras/${camera}/${what}`), patience);
  const type = async (selector, what, text) => {
    await view.fill(selector, text);
    const [response] = await Promise.all([answered(what), view.press(selector, "Enter")]);
    await view.waitForFunction(([at, typed, isRefused]) =>
      (document.querySelector(at).value === typed) !== isRefused, [selector, text, response.status() !== 200], patience);
    return { status: response.status(), value: await view.inputValue(selector), told: await view.textContent("#told") };
  };
  const record = view.locator('#recorders button[data-format="mp4"]');
  await record.click(patience);
  await view.waitForFunction("/stop MP4 \\(\\d\\d+\\)/.test(document.querySelector('#recorders').textContent)", null, patience);
  await record.click();
  await view.waitForFunction("/^recorded /.test(document.querySelector('#told').textContent)", null, patience);
  seen.recorded = (await view.textContent("#told")).slice("recorded ".length);
  seen.rate = await type("#kbit", "encoder", "700");
  await view.waitForSelector('[data-setting="exposure"]', patience);
  const exposure = '[data-setting="exposure"] input';
  seen.exposure = await type(exposure, "controls", "30");
  seen.refused = await type(exposure, "controls", "1000");
  await Promise.all([answered("controls"), view.click('[data-setting="gain"] button')]);
  seen.range = await type('[data-setting="auto-analog-gain-range"] input[name="max"]', "controls", "60");
  await Promise.all([answered("controls"), view.click('[data-setting="exposure"] button')]);
  await view.waitForFunction((at) => document.querySelector(at).value === "50", exposure, patience);
  await view.keyboard.press("Escape");
  await view.waitForURL(`${address}/`, patience);

  const wall = await open(`/wall?cameras=${camera},nobody`);
  await shown(wall, 5);
  await wall.waitForFunction(`/no such camera/.test(${tile("nobody")}.root.querySelector(".trouble").textContent)`, null, patience);
  seen.wall = await wall.locator(".camera").count();
  await wall.setViewportSize({ width: 390, height: 800 });
  seen.phone_fits = await wall.evaluate("document.documentElement.scrollWidth <= innerWidth");

  const closed = await open(`/view/${openCamera}`, openAddress);
  await closed.waitForFunction(`(${tile(openCamera)}?.shown ?? 0) >= 5`, null, patience);
  seen.nothing_to_change = !(await closed.isVisible("#operate"));
} finally {
  seen.foreign = [...foreign];
  await browser.close();
}
console.log(JSON.stringify(seen));
