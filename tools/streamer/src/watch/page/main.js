// The page: which cameras are shown, and with what over them.

import { BodiesView } from "./bodies.js";
import { DepthView, PALETTES } from "./depth.js";
import { Desk } from "./operate.js";
import { Player } from "./player.js";

const main = document.getElementById("cameras");
const path = decodeURI(location.pathname);
const viewed = path.startsWith("/view/") ? decodeURIComponent(location.pathname.slice("/view/".length)) : null;
const tiles = new Map();
/** Milliseconds from 1900, where times of capture begin, to 1970. */
const NTP_TO_UNIX = 2208988800000;

class Tile {
  depth = null;
  bodies = null;

  constructor(name) {
    this.name = name;
    this.root = document.getElementById("tile").content.firstElementChild.cloneNode(true);
    this.video = this.root.querySelector("video");
    this.statistics = this.root.querySelector(".statistics");
    const link = this.root.querySelector(".name");
    link.textContent = name;
    link.href = `/view/${encodeURIComponent(name)}`;
    this.root.dataset.camera = name;
    main.append(this.root);
    this.player = new Player(name, this.video, (text, isTrouble) => this.say(text, isTrouble));
    this.watchFrames();
    setInterval(() => this.measure(), 1000);
  }

  say(text, isTrouble) {
    this.root.querySelector(".state").textContent = isTrouble ? "trying again" : text;
    this.root.dataset.state = isTrouble ? "trouble" : text;
    const trouble = this.root.querySelector(".trouble");
    trouble.hidden = !isTrouble;
    trouble.textContent = isTrouble ? text : "";
  }

  /** Tells something of the depth; "" when there is nothing to tell. */
  tell(text) {
    const trouble = this.root.querySelector(".trouble");
    if (this.root.dataset.state === "trouble") return;
    trouble.hidden = text === "";
    trouble.textContent = text;
  }

  watchFrames() {
    if (!this.video.requestVideoFrameCallback) return;
    const see = (now, frame) => {
      this.shown = (this.shown ?? 0) + 1;
      this.delay = this.delayOf(frame) ?? this.delay;
      this.video.requestVideoFrameCallback(see);
    };
    this.video.requestVideoFrameCallback(see);
  }

  /** Milliseconds from capture to shown, by the clock of this machine, which is the streamer's too. */
  delayOf(frame) {
    const sources = this.player.connection?.getReceivers()[0]?.getSynchronizationSources() ?? [];
    const source = sources.find((source) => source.captureTimestamp && source.rtpTimestamp === frame.rtpTimestamp);
    return source && performance.timeOrigin + frame.expectedDisplayTime - (source.captureTimestamp - NTP_TO_UNIX);
  }

  async measure() {
    const reports = await this.player.connection?.getStats().catch(() => null);
    const rtp = reports && [...reports.values()].find((report) => report.type === "inbound-rtp" && report.kind === "video");
    if (!rtp) return;
    const before = this.before ?? rtp;
    const seconds = (rtp.timestamp - before.timestamp) / 1000;
    this.before = rtp;
    if (seconds <= 0) return;
    const fps = (rtp.framesDecoded - before.framesDecoded) / seconds;
    const kbit = (rtp.bytesReceived - before.bytesReceived) * 8 / 1000 / seconds;
    const delay = this.delay === undefined ? "" : ` · ${Math.round(this.delay)} ms`;
    if (this.root.dataset.state === "live") {
      this.root.querySelector(".state").textContent = `${fps.toFixed(0)} fps · ${kbit.toFixed(0)} kbit/s${delay}`;
    }
    const codec = reports.get(rtp.codecId)?.mimeType ?? "";
    this.statistics.textContent = [
      `${codec} ${rtp.frameWidth ?? "?"}x${rtp.frameHeight ?? "?"} ${rtp.decoderImplementation ?? ""}`,
      `frames   ${rtp.framesDecoded} decoded, ${rtp.framesDropped ?? 0} dropped, ${fps.toFixed(1)} a second`,
      `bit rate ${kbit.toFixed(0)} kbit/s`,
      `packets  ${rtp.packetsReceived} received, ${rtp.packetsLost} lost`,
      `asked    ${rtp.pliCount ?? 0} keyframes, ${rtp.nackCount ?? 0} packets again`,
      this.delay === undefined ? "delay    not told by this browser" : `delay    ${Math.round(this.delay)} ms from capture to shown`,
    ].join("\n");
  }
}

function press(button, isOn) {
  button.setAttribute("aria-pressed", String(isOn));
}

function switches(tile) {
  document.getElementById("switches").hidden = false;
  layers(tile);
  const statistics = document.getElementById("statistics");
  statistics.onclick = () => {
    tile.statistics.hidden = !tile.statistics.hidden;
    press(statistics, !tile.statistics.hidden);
  };
  document.getElementById("full").onclick = () =>
    document.fullscreenElement ? document.exitFullscreen() : tile.root.requestFullscreen().catch(() => {});
  const keys = { i: "statistics", d: "depth", p: "palette", b: "bodies", f: "full" };
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest("input, select, textarea")) return;
    const control = document.getElementById(keys[event.key]);
    if (control?.id === "palette") {
      control.selectedIndex = (control.selectedIndex + 1) % control.length;
      control.dispatchEvent(new Event("change"));
    } else {
      control?.click();
    }
    if (event.key === "Escape" && !document.fullscreenElement) location.href = "/";
  });
}

/** The switches of what lies over the picture. */
function layers(tile) {
  const [canvas, pointer] = [tile.root.querySelector(".depth"), tile.root.querySelector(".pointer")];
  const [depth, palette, bodies] = ["depth", "palette", "bodies"].map((id) => document.getElementById(id));
  for (const name of Object.keys(PALETTES)) palette.add(new Option(name));
  depth.onclick = () => {
    const isOn = !tile.depth;
    tile.depth?.stop();
    tile.depth = isOn ? new DepthView(tile.name, canvas, (text) => tile.tell(text)) : null;
    if (isOn) tile.depth.palette = palette.value;
    else tile.tell("");
    canvas.hidden = !isOn;
    pointer.hidden = true;
    press(depth, isOn);
  };
  palette.onchange = () => {
    if (!tile.depth) return;
    tile.depth.palette = palette.value;
    tile.depth.draw();
  };
  canvas.onpointermove = (event) => {
    const depth = tile.depth?.at(event.offsetX, event.offsetY) ?? null;
    pointer.hidden = depth === null;
    pointer.value = depth === 0 ? "not measured" : `${depth} mm`;
  };
  canvas.onpointerleave = () => { pointer.hidden = true; };
  const skeletons = tile.root.querySelector(".bodies");
  bodies.onclick = () => {
    const isOn = !tile.bodies;
    tile.bodies?.stop();
    tile.bodies = isOn ? new BodiesView(tile.name, skeletons, tile.video) : null;
    skeletons.hidden = !isOn;
    press(bodies, isOn);
  };
}

async function start() {
  const known = await (await fetch("/page/cameras.json")).json();
  const asked = new URLSearchParams(location.search).get("cameras");
  const names = viewed ? [viewed] : path === "/wall" && asked ? asked.split(",").filter(Boolean) : known;
  main.className = viewed ? "view" : path === "/wall" ? "wall" : "";
  document.title = viewed ?? "cameras";
  document.getElementById("name").textContent = viewed ?? "";
  for (const name of new Set(names)) tiles.set(name, new Tile(name));
  // For whoever tests the page, and for the curious.
  globalThis.tiles = tiles;
  if (viewed) {
    switches(tiles.get(viewed));
    new Desk(viewed, document.getElementById("operate"));
  }
  addEventListener("pagehide", () => tiles.forEach((tile) => tile.player.stop()));
}

start();
