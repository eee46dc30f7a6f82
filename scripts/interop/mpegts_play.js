// Plays an HTTP-FLV URL with mpegts.js in a headless Firefox and keeps the number of decoded pictures in a file.
const fs = require('fs');
const puppeteer = require('puppeteer-core');

const [url, firefox, script, countFile, folder] = process.argv.slice(2);
const second = (n) => new Promise((resolve) => setTimeout(resolve, n * 1000));

(async () => {
  const browser = await puppeteer.launch({
    browser: 'firefox', executablePath: firefox, headless: true, userDataDir: `${folder}/profile`,
  });
  const end = () => browser.close().finally(() => process.exit());
  process.on('SIGINT', end);
  process.on('SIGTERM', end);
  const page = await browser.newPage();
  page.on('console', (message) => console.log(message.text()));
  await page.setContent('<video id="video" muted></video>');
  await page.addScriptTag({ content: fs.readFileSync(script, 'utf8') });
  await page.evaluate((url) => {
    const video = document.getElementById('video');
    const player = mpegts.createPlayer({ type: 'flv', isLive: true, hasAudio: false, url }, { enableWorker: false });
    player.on(mpegts.Events.ERROR, (type, detail, info) => console.log('error', type, detail, JSON.stringify(info)));
    player.attachMediaElement(video);
    player.load();
    player.play().catch((error) => console.log('play', String(error)));
    window.video = video;
  }, url);
  console.log('player is ready');
  for (;;) {
    await second(0.5);
    const frames = await page.evaluate(() => window.video.getVideoPlaybackQuality().totalVideoFrames);
    if (frames > 0) fs.writeFileSync(countFile, `${frames}\n`);
  }
})().catch((error) => { console.log(String(error)); process.exit(1); });
