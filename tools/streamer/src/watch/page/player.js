// Plays a camera by WHEP: one offer, one answer, and again when the stream or the network breaks.

/** Longest wait for a new attempt, in milliseconds. */
const RETRY_MAX = 5000;
const ABSOLUTE_CAPTURE_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time";

/** Shows `camera` in `video`. `say(text, isTrouble)` is told what goes on. */
export class Player {
  #video; #camera; #say; #session = null; #connection = null; #timer = 0; #wait = 250; #over = false;

  constructor(camera, video, say) {
    this.#camera = camera;
    this.#video = video;
    this.#say = say;
    this.#start();
  }

  /** Ends the session. */
  stop() {
    this.#over = true;
    clearTimeout(this.#timer);
    this.#end();
  }

  get connection() { return this.#connection; }

  async #start() {
    const connection = this.#connection = new RTCPeerConnection({ iceServers: [] });
    connection.addTransceiver("video", { direction: "recvonly" });
    connection.ontrack = ({ track, receiver, streams }) => {
      // A picture is shown when it is there; some browsers would collect a few first.
      receiver.playoutDelayHint = 0;
      if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
      this.#video.srcObject = streams[0] ?? new MediaStream([track]);
      this.#video.play().catch(() => {});
    };
    connection.onconnectionstatechange = () => {
      if (connection !== this.#connection) return;
      if (connection.connectionState === "connected") {
        this.#wait = 250;
        this.#say("live", false);
      } else if (["failed", "disconnected", "closed"].includes(connection.connectionState)) {
        this.#again("the connection broke");
      }
    };
    try {
      const offer = await connection.createOffer();
      await connection.setLocalDescription({ type: "offer", sdp: withCaptureTime(offer.sdp) });
      const answer = await fetch(`/whep/${encodeURIComponent(this.#camera)}`, {
        method: "POST", headers: { "Content-Type": "application/sdp" }, body: connection.localDescription.sdp,
      });
      const text = await answer.text();
      if (connection !== this.#connection) return;
      if (answer.status !== 201) {
        // A camera that is not there yet is asked again as soon as the streamer says.
        const pause = answer.status === 503 ? Number(answer.headers.get("Retry-After")) * 1000 : 0;
        this.#again(text.trim() || `HTTP ${answer.status}`, pause);
        return;
      }
      this.#session = answer.headers.get("Location");
      await connection.setRemoteDescription({ type: "answer", sdp: text });
    } catch (error) {
      if (connection === this.#connection) this.#again(String(error.message ?? error));
    }
  }

  #again(why, pause) {
    this.#end();
    if (this.#over) return;
    this.#say(why, true);
    this.#timer = setTimeout(() => this.#start(), pause || this.#wait);
    if (!pause) this.#wait = Math.min(RETRY_MAX, this.#wait * 2);
  }

  #end() {
    const [connection, session] = [this.#connection, this.#session];
    this.#connection = this.#session = null;
    connection?.close();
    if (session) fetch(session, { method: "DELETE", keepalive: true }).catch(() => {});
  }
}

/** Asks for the time of capture of each picture, which browsers understand and do not ask for. */
function withCaptureTime(sdp) {
  if (sdp.includes(ABSOLUTE_CAPTURE_TIME)) return sdp;
  const taken = new Set([...sdp.matchAll(/^a=extmap:(\d+)/gm)].map((found) => Number(found[1])));
  const id = Array.from({ length: 14 }, (_, index) => index + 1).find((id) => !taken.has(id));
  return id ? sdp.replace(/^(m=video [\s\S]*?\r\n)(a=)/m, `$1a=extmap:${id} ${ABSOLUTE_CAPTURE_TIME}\r\n$2`) : sdp;
}
