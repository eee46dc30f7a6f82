// Chromium, headless and alone, with a profile of its own.

import { createRequire } from "node:module";
import { join } from "node:path";

export function openChromium(playwright, chromium, folder) {
  const { chromium: browserType } = createRequire(import.meta.url)(playwright);
  return browserType.launchPersistentContext(join(folder, "profile"), {
    executablePath: chromium,
    viewport: { width: 1280, height: 800 },
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync"],
    // What is evaluated in a page is text, which the page's own policy forbids.
    bypassCSP: true,
  });
}
