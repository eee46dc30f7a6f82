// Depth: frames from a WebSocket, unpacked, coloured and read out.

/** Bytes before the packed words: capture time (u64, ns), then coding, A, B, width, height (32 bits each), little-endian. */
const HEADER = 28;

/**
 * Unpacks a message: `{time, width, height, pixels}`, whole millimetres, 0 where nothing was measured.
 * Source: Wilson, "Fast Lossless Depth Image Compression" (2017).
 */
export function unpack(message) {
  const view = new DataView(message);
  const [width, height] = [view.getUint32(20, true), view.getUint32(24, true)];
  const count = width * height;
  if (count === 0 || count > 1 << 26) throw new RangeError(`a picture of ${width}x${height}`);
  const pixels = new Uint16Array(count);
  let [place, word, left] = [HEADER, 0, 0];
  const number = () => {
    for (let value = 0, bits = 0; ; bits += 3) {
      if (left === 0) {
        word = view.getUint32(place, true);
        place += 4;
        left = 8;
      }
      const nibble = word >>> 28;
      word <<= 4;
      left -= 1;
      value |= (nibble & 7) << bits;
      if ((nibble & 8) === 0) return value;
      if (bits > 24) throw new RangeError("a number that no packer makes");
    }
  };
  for (let at = 0, last = 0; at < count;) {
    at += number();
    const end = at + number();
    if (end > count) throw new RangeError("more pixels than the picture has");
    for (; at < end; at += 1) {
      const folded = number();
      last += (folded >>> 1) ^ -(folded & 1);
      pixels[at] = last;
    }
  }
  return { time: view.getBigUint64(0, true), width, height, pixels };
}

/** Palettes: stops from near to far. */
export const PALETTES = {
  turbo: ["#30123b", "#4662d7", "#36a9f9", "#1ae4b6", "#72fe5e", "#c8ef34", "#faba39", "#f66b19", "#ca2a04", "#7a0403"].reverse(),
  viridis: ["#440154", "#46327e", "#365c8d", "#277f8e", "#1fa187", "#4ac16d", "#a0da39", "#fde725"].reverse(),
  grey: ["#ffffff", "#202020"],
};

function table(stops) {
  const colours = stops.map((stop) => [1, 3, 5].map((at) => parseInt(stop.slice(at, at + 2), 16)));
  return Uint32Array.from({ length: 256 }, (_, index) => {
    const place = index / 255 * (colours.length - 1);
    const [from, to] = [colours[Math.floor(place)], colours[Math.ceil(place)]];
    const [red, green, blue] = from.map((value, part) => Math.round(value + (to[part] - value) * (place % 1)));
    return (255 << 24 | blue << 16 | green << 8 | red) >>> 0;
  });
}

/** Shows depth of `camera` in `canvas`, until `stop()`. */
export class DepthView {
  #socket; #canvas; #say; #tables = {}; #over = false; #timer = 0;
  frame = null;
  frames = 0;
  palette = "turbo";

  constructor(camera, canvas, say) {
    this.#canvas = canvas;
    this.#say = say;
    this.#open(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/depth/${encodeURIComponent(camera)}?fps=15`);
  }

  #open(address) {
    this.#socket = new WebSocket(address);
    this.#socket.binaryType = "arraybuffer";
    this.#say("no depth has come from this camera yet");
    this.#socket.onmessage = ({ data }) => {
      try {
        this.frame = unpack(data);
      } catch (error) {
        this.#say(`depth cannot be read: ${error.message}`);
        return;
      }
      this.frames += 1;
      this.#say("");
      this.draw();
    };
    this.#socket.onclose = () => {
      if (!this.#over) this.#timer = setTimeout(() => this.#open(address), 1000);
    };
  }

  stop() {
    this.#over = true;
    clearTimeout(this.#timer);
    this.#socket.close();
  }

  /** Millimetres at a place of the canvas' box; 0 where nothing was measured, null outside the picture. */
  at(x, y) {
    if (!this.frame) return null;
    const { width, height, pixels } = this.frame;
    const [boxWidth, boxHeight] = [this.#canvas.clientWidth, this.#canvas.clientHeight];
    const scale = Math.min(boxWidth / width, boxHeight / height);
    const column = Math.floor((x - (boxWidth - width * scale) / 2) / scale);
    const row = Math.floor((y - (boxHeight - height * scale) / 2) / scale);
    return column >= 0 && column < width && row >= 0 && row < height ? pixels[row * width + column] : null;
  }

  draw() {
    if (!this.frame) return;
    const { width, height, pixels } = this.frame;
    const colours = this.#tables[this.palette] ??= table(PALETTES[this.palette]);
    let [near, far] = [65535, 0];
    for (let at = 0; at < pixels.length; at += 7) {
      const pixel = pixels[at];
      if (pixel === 0) continue;
      if (pixel < near) near = pixel;
      if (pixel > far) far = pixel;
    }
    const scale = 255 / Math.max(1, far - near);
    if (this.#canvas.width !== width || this.#canvas.height !== height) [this.#canvas.width, this.#canvas.height] = [width, height];
    const image = new ImageData(width, height);
    const painted = new Uint32Array(image.data.buffer);
    for (let at = 0; at < pixels.length; at += 1) {
      const pixel = pixels[at];
      painted[at] = pixel === 0 ? 0xff000000 : colours[Math.max(0, Math.min(255, (pixel - near) * scale | 0))];
    }
    this.#canvas.getContext("2d").putImageData(image, 0, 0);
  }
}
