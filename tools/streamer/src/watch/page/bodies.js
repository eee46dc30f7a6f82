// Skeletons: drawn over the picture, in its coordinates.

import { BONES } from "./bones.js";

/** What is older is not there any more, in milliseconds. */
const STALE = 1000;

export class BodiesView {
  #socket; #canvas; #video; #over = false; #timer = 0; #stale = 0;
  packets = 0;

  constructor(camera, canvas, video) {
    this.#canvas = canvas;
    this.#video = video;
    this.#open(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/bodies/${encodeURIComponent(camera)}`);
  }

  #open(address) {
    this.#socket = new WebSocket(address);
    this.#socket.onmessage = ({ data }) => {
      this.packets += 1;
      this.#draw(JSON.parse(data).bodies);
      clearTimeout(this.#stale);
      this.#stale = setTimeout(() => this.#draw([]), STALE);
    };
    this.#socket.onclose = () => {
      if (!this.#over) this.#timer = setTimeout(() => this.#open(address), 1000);
    };
  }

  stop() {
    this.#over = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#stale);
    this.#socket.close();
  }

  #draw(bodies) {
    const [width, height] = [this.#video.videoWidth || 1280, this.#video.videoHeight || 720];
    if (this.#canvas.width !== width || this.#canvas.height !== height) [this.#canvas.width, this.#canvas.height] = [width, height];
    const paint = this.#canvas.getContext("2d");
    paint.clearRect(0, 0, width, height);
    paint.lineWidth = Math.max(2, width / 320);
    for (const body of bodies) {
      paint.strokeStyle = paint.fillStyle = `hsl(${body.id * 67 % 360} 90% 60%)`;
      const points = body.keypoints_2d.map(([x, y]) => (x === null || y === null || x < 0 || y < 0 ? null : [x, y]));
      paint.beginPath();
      for (const [from, to] of BONES[points.length] ?? []) {
        if (!points[from] || !points[to]) continue;
        paint.moveTo(...points[from]);
        paint.lineTo(...points[to]);
      }
      paint.stroke();
      for (const point of points.filter(Boolean)) paint.fillRect(point[0] - 2, point[1] - 2, 4, 4);
    }
  }
}
