// Looks at cameras on the page and takes pictures: the wall, one camera, its depth, skeletons. Prints what it saw as JSON.
// Usage: pictures.mjs PLAYWRIGHT_CORE CHROMIUM ADDRESS FOLDER

import { join } from "node:path";
import { openChromium } from "../../scripts/lib/chromium.mjs";

const [playwright, chromium, address, folder] = process.argv.slice(2);
const browser = await openChromium(playwright, chromium, folder);
const seen = { overlaps: {} };
const patience = { timeout: 60000 };
// Cameras may take a while to be there: those that have no stream yet are tried again.
const wanted = 4;

async function open(path, frames) {
  const page = await browser.newPage();
  for (;;) {
    await page.goto(address + path);
    await page.waitForFunction("globalThis.tiles", null, patience);
    if (path.startsWith("/view/") || await page.evaluate("tiles.size") === wanted) break;
    await page.waitForTimeout(500);
  }
  await page.waitForFunction(`[...tiles.values()].every((tile) => (tile.shown ?? 0) >= ${frames})`, null, patience);
  await page.waitForFunction(`[...document.querySelectorAll(".state")].every((state) => /fps/.test(state.textContent))`, null, patience);
  return page;
}

/** Pairs of what is written or can be pressed that lie over each other, and what is cut off by the window's edge. */
const overlaps = (page) => page.evaluate(`(() => {
  const shown = [...document.querySelectorAll("a, button, input, select, label, .state, .statistics, .pointer, .trouble, #told")]
    .filter((element) => element.checkVisibility() && element.textContent + (element.value ?? "") !== "");
  const boxes = shown.map((element) => element.getBoundingClientRect());
  const name = (element) => element.id || element.className || element.textContent;
  const found = [];
  boxes.forEach((a, one) => {
    if (a.left < 0 || a.right > innerWidth) found.push([name(shown[one]), "the edge"]);
    boxes.forEach((b, other) => {
      if (one >= other || shown[one].contains(shown[other]) || shown[other].contains(shown[one])) return;
      if (a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom) found.push([name(shown[one]), name(shown[other])]);
    });
  });
  return found;
})()`);

const take = async (page, name) => {
  seen.overlaps[name] = await overlaps(page);
  await page.screenshot({ path: join(folder, `${name}.png`) });
};

const painted = (page, layer) => page.evaluate(`(() => {
  const canvas = document.querySelector("canvas.${layer}");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return data.some((value, at) => at % 4 < 3 && value > 0);
})()`);

try {
  const wall = await open("/wall", 30);
  seen.wall = await wall.locator(".camera .name").allTextContents();
  seen.wall_fits = await wall.evaluate("document.documentElement.scrollHeight <= innerHeight");
  await take(wall, "wall");
  await wall.setViewportSize({ width: 390, height: 800 });
  await take(wall, "phone");
  await wall.close();

  const view = await open("/view/front", 60);
  await view.waitForSelector('[data-setting="exposure"]', patience);
  await view.click("#statistics");
  await view.waitForFunction(`/delay +\\d+ ms/.test(tiles.get("front").statistics.textContent)`, null, patience);
  await view.mouse.move(0, 0);
  await take(view, "view");
  await view.click("#statistics");

  await view.click("#depth");
  await view.waitForFunction(`(tiles.get("front").depth?.frames ?? 0) >= 5`, null, patience);
  const box = await view.locator("canvas.depth").boundingBox();
  await view.mouse.move(box.x + box.width * 0.56, box.y + box.height * 0.4);
  await view.waitForSelector("output.pointer:not([hidden])", patience);
  await take(view, "depth");
  const depth = await painted(view, "depth");
  await view.click("#depth");

  await view.click("#bodies");
  await view.waitForFunction(`(tiles.get("front").bodies?.packets ?? 0) >= 5`, null, patience);
  await view.mouse.move(0, 0);
  await take(view, "skeletons");
  seen.painted = { depth, skeletons: await painted(view, "bodies") };
} finally {
  await browser.close();
}
console.log(JSON.stringify(seen));
