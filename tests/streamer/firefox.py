"""Opens the page in Firefox, by WebDriver BiDi, and prints what it shows as JSON: firefox.py FIREFOX ADDRESS CAMERA PROFILE"""

import asyncio
import itertools
import json
import os
import pathlib
import re
import sys

from websockets.asyncio.client import connect

firefox, address, camera, profile = sys.argv[1:]
PREFERENCES = {"datareporting.policy.dataSubmissionEnabled": False, "app.update.auto": False, "media.autoplay.default": 0}


class Page:
    def __init__(self, socket, numbers):
        self.socket, self.numbers, self.context = socket, numbers, None

    async def ask(self, method, **params):
        number = next(self.numbers)
        await self.socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            answer = json.loads(await asyncio.wait_for(self.socket.recv(), 60))
            if answer.get("id") == number:
                assert answer["type"] == "success", answer
                return answer["result"]

    async def evaluate(self, text):
        told = await self.ask("script.evaluate", expression=f"JSON.stringify({text})", awaitPromise=True,
                              target={"context": self.context})
        assert told["type"] == "success", told
        return json.loads(told["result"].get("value", "null"))

    async def open(self, path):
        await self.ask("browsingContext.navigate", context=self.context, url=address + path, wait="complete")

    async def wait(self, text):
        for _ in range(600):
            found = await self.evaluate(text)
            if found:
                return found
            await asyncio.sleep(0.05)
        raise TimeoutError(text)


async def look(page):
    await page.ask("session.new", capabilities={})
    page.context = (await page.ask("browsingContext.getTree"))["contexts"][0]["context"]
    seen = {}
    await page.open("/")
    await page.wait("document.querySelector('.camera')?.dataset.state !== undefined")
    seen["tiles"] = await page.evaluate("document.querySelectorAll('.camera').length")
    await page.open(f"/view/{camera}")
    seen["decodes"] = await page.evaluate(
        "RTCRtpReceiver.getCapabilities('video').codecs.some(({ mimeType }) => mimeType === 'video/H264')")
    if seen["decodes"]:
        seen["state"] = await page.wait("/fps/.test(document.querySelector('.state')?.textContent ?? '') && document.querySelector('.state').textContent")
    else:
        seen["trouble"] = await page.wait("/offer/.test(document.querySelector('.trouble')?.textContent ?? '') && document.querySelector('.trouble').textContent")
    await page.evaluate("document.getElementById('depth').click()")
    await page.wait(f"globalThis.tiles.get('{camera}').depth.frames >= 5")
    # The simulator's plane: nothing in the first column, one millimetre more each row.
    seen["depth"] = await page.evaluate(f"""(() => {{
        const {{ width, height, pixels }} = globalThis.tiles.get('{camera}').depth.frame;
        let wrong = 0;
        for (let at = 0; at < pixels.length; at += 1) {{
            const [row, column] = [Math.floor(at / width), at % width];
            if (pixels[at] !== (column === 0 ? 0 : pixels[1] + row)) wrong += 1;
        }}
        return {{ width, height, wrong }};
    }})()""")
    seen["recorders"] = await page.wait("document.querySelectorAll('#recorders button').length")
    await page.ask("browser.close")
    print(json.dumps(seen))


async def main():
    folder = pathlib.Path(profile)
    folder.mkdir()
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in PREFERENCES.items()]
    (folder / "user.js").write_text("".join(lines))
    process = await asyncio.create_subprocess_exec(
        firefox, "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE, env={**os.environ, "HOME": profile})
    try:
        while not (found := re.search(rb"WebDriver BiDi listening on (ws://\S+)", await asyncio.wait_for(process.stderr.readline(), 60))):
            pass
        rest = asyncio.create_task(process.stderr.read())
        async with connect(found[1].decode() + "/session", max_size=None) as socket:
            await look(Page(socket, itertools.count()))
        await asyncio.wait_for(process.wait(), 10)
        rest.cancel()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


asyncio.run(asyncio.wait_for(main(), 120))
