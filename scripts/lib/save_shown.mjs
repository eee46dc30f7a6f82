// Saves pictures that Chromium shows of a camera, as they were decoded, as YUV4MPEG2.
// Usage: save_shown.mjs PLAYWRIGHT_CORE CHROMIUM ADDRESS CAMERA FOLDER PICTURES FPS

import { open } from "node:fs/promises";
import { join } from "node:path";
import { openChromium } from "./chromium.mjs";

const [playwright, chromium, address, camera, folder, pictures, fps] = process.argv.slice(2);
const browser = await openChromium(playwright, chromium, folder);
try {
  const page = await browser.newPage();
  console.log("ready");
  // The streamer may start later.
  const until = Date.now() + 30000;
  while (!await page.goto(`${address}/view/${camera}`).catch(() => null)) {
    if (Date.now() > until) throw new Error(`nothing is served at ${address}`);
    await page.waitForTimeout(100);
  }
  await page.waitForFunction(`(globalThis.tiles?.get(${JSON.stringify(camera)})?.shown ?? 0) >= 1`, null, { timeout: 60000 });
  const saved = await page.evaluate(async ([name, wanted]) => {
    const { video } = globalThis.tiles.get(name);
    const saved = { width: video.videoWidth, height: video.videoHeight, pictures: [] };
    const begun = performance.now();
    let last = -1;
    while (saved.pictures.length < wanted && performance.now() - begun < 60000) {
      await new Promise((resolve) => video.requestVideoFrameCallback(resolve));
      const frame = new VideoFrame(video);
      if (frame.timestamp > last) {
        last = frame.timestamp;
        if (frame.format !== "I420") throw new Error(`pictures in ${frame.format}`);
        const bytes = new Uint8Array(saved.width * saved.height * 3 / 2);
        const half = saved.width / 2;
        const chroma = saved.width * saved.height;
        await frame.copyTo(bytes, { layout: [{ offset: 0, stride: saved.width }, { offset: chroma, stride: half },
          { offset: chroma * 5 / 4, stride: half }] });
        saved.pictures.push(bytes);
      }
      frame.close();
    }
    saved.pictures = await Promise.all(saved.pictures.map(async (bytes) => {
      const reader = new FileReader();
      const read = new Promise((resolve) => { reader.onload = resolve; });
      reader.readAsDataURL(new Blob([bytes]));
      await read;
      return reader.result.split(",")[1];
    }));
    return saved;
  }, [camera, Number(pictures)]);
  const file = await open(join(folder, "shown.y4m"), "w");
  await file.write(`YUV4MPEG2 W${saved.width} H${saved.height} F${fps}:1 Ip A1:1 C420jpeg\n`);
  for (const picture of saved.pictures) {
    await file.write("FRAME\n");
    await file.write(Buffer.from(picture, "base64"));
  }
  await file.close();
  console.log(`${saved.pictures.length} pictures of ${saved.width}x${saved.height}`);
} finally {
  await browser.close();
}
