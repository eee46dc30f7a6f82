// Skeletons: drawn over the picture, in its coordinates.

/** Pairs of keypoints that are joined, by how many there are. Source: the ZED SDK's body formats. */
const BONES = {
  18: [[0, 1], [1, 2], [2, 3], [3, 4], [1, 5], [5, 6], [6, 7], [2, 8], [8, 9], [9, 10], [5, 11], [11, 12], [12, 13], [8, 11],
    [0, 14], [14, 16], [0, 15], [15, 17]],
  34: [[0, 1], [1, 2], [2, 4], [4, 5], [5, 6], [6, 7], [2, 11], [11, 12], [12, 13], [13, 14], [2, 3], [3, 26], [0, 18], [18, 19],
    [19, 20], [20, 21], [0, 22], [22, 23], [23, 24], [24, 25]],
  38: [[0, 1], [1, 2], [2, 3], [3, 4], [4, 5], [3, 10], [10, 12], [12, 14], [14, 16], [3, 11], [11, 13], [13, 15], [15, 17], [0, 18],
    [18, 20], [20, 22], [0, 19], [19, 21], [21, 23]],
};
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
