// Reads the time of capture that a camera wrote into its picture, off the picture that Chromium shows. Prints the delays as JSON.
// Usage: delay.mjs PLAYWRIGHT_CORE CHROMIUM ADDRESS CAMERA FOLDER PICTURES
// The picture's top is two rows of BITS blocks, white for 1: milliseconds since 1970, and below them the same inverted.

import { openChromium } from "../../scripts/lib/chromium.mjs";

const [playwright, chromium, address, camera, folder, pictures] = process.argv.slice(2);
const browser = await openChromium(playwright, chromium, folder);
try {
  const page = await browser.newPage();
  await page.goto(`${address}/view/${camera}`);
  await page.waitForFunction(`(globalThis.tiles?.get(${JSON.stringify(camera)})?.shown ?? 0) >= 60`, null, { timeout: 30000 });
  const seen = await page.evaluate(async ([name, wanted]) => {
    const BITS = 24, BLOCK = 8;
    const tile = globalThis.tiles.get(name);
    const canvas = new OffscreenCanvas(BITS * BLOCK, 2 * BLOCK);
    const paint = canvas.getContext("2d", { willReadFrequently: true });
    const seen = { delays: [], differences: [], unreadable: 0, width: tile.video.videoWidth, height: tile.video.videoHeight };
    const next = () => new Promise((resolve) => tile.video.requestVideoFrameCallback((now, frame) => resolve(frame)));
    const begun = performance.now();
    while (seen.delays.length < wanted && performance.now() - begun < 60000) {
      const frame = await next();
      paint.drawImage(tile.video, 0, 0, tile.video.videoWidth, tile.video.videoHeight / 8, 0, 0, canvas.width, canvas.height);
      const { data } = paint.getImageData(0, 0, canvas.width, canvas.height);
      const bit = (row, at) => data[((row * BLOCK + BLOCK / 2) * canvas.width + at * BLOCK + BLOCK / 2) * 4] > 127;
      let [time, isWhole] = [0, true];
      for (let at = 0; at < BITS; at += 1) {
        time = time * 2 + Number(bit(0, at));
        isWhole &&= bit(0, at) !== bit(1, at);
      }
      if (!isWhole) {
        seen.unreadable += 1;
        continue;
      }
      const shown = performance.timeOrigin + frame.expectedDisplayTime;
      const delay = (shown - time) % 2 ** BITS;
      seen.delays.push(delay);
      const told = tile.delayOf(frame);
      if (told != null) seen.differences.push(Math.abs(delay - told));
    }
    return seen;
  }, [camera, Number(pictures)]);
  console.log(JSON.stringify(seen));
} finally {
  await browser.close();
}
