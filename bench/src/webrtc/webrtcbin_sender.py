"""GStreamer's own `webrtcbin` behind WHEP, to be measured beside cvmmap_streamer: whoever offers gets the stream.

webrtcbin_sender.py PORT SOURCE

SOURCE is a pipeline in gst-launch's words that gives H.264. Each payload type that viewers offer has one payloader, and each
viewer a valve, a queue and a `webrtcbin` behind that one's tee. It listens on 127.0.0.1 alone, says `ready` then, and ends
when its input does. Needs Debian's gstreamer1.0-nice, gir1.2-gst-plugins-bad-1.0 and python3-gst-1.0, and openssl.
"""

import base64
import ctypes
import hashlib
import re
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstVideo", "1.0")
gi.require_version("GstWebRTC", "1.0")
gi.require_version("GstSdp", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstVideo, GstWebRTC  # noqa: E402

GOBJECT = ctypes.CDLL("libgobject-2.0.so.0")
# Seconds until a session has to be negotiated.
PATIENCE = 20
# A payloader makes packets of this size, as cvmmap_streamer's sessions do.
MTU = 1200


def done(element, action, *arguments):
    """Runs an action of webrtcbin to its end; its reply. What that holds goes with it."""
    promise = Gst.Promise.new()
    element.emit(action, *arguments, promise)
    if promise.wait() != Gst.PromiseResult.REPLIED:
        raise ValueError(f"{action} was not answered")
    reply = promise.get_reply()
    if reply is not None and reply.has_field("error"):
        raise ValueError(f"{action}: {reply.get_value('error')}")
    return reply


def certificate():
    """A certificate with its key, and its fingerprint in SDP's words."""
    request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=webrtcbin -keyout -"
    pem = subprocess.run(["openssl", *request.split()], check=True, capture_output=True, text=True).stdout
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    binary = base64.b64decode(pem.split(begin)[1].split(end)[0])
    return pem, "a=fingerprint:sha-256 " + hashlib.sha256(binary).digest().hex(":").upper() + "\r"


def payload_type(offer):
    """The offered payload type of H.264 in packetization mode 1. Source: RFC 6184, 8.1."""
    types = re.findall(r"^a=rtpmap:(\d+) H264/90000", offer, re.MULTILINE)
    for number in types:
        if re.search(rf"^a=fmtp:{number} .*packetization-mode=1", offer, re.MULTILINE):
            return int(number)
    raise ValueError("the offer has no H.264 in packetization mode 1")


def caps(number):
    """Packets of this payload type, in GStreamer's words."""
    kind = "application/x-rtp,media=video,encoding-name=H264,clock-rate=90000,packetization-mode=(string)1"
    return f"{kind},payload={number}"


class Sender:
    """One stream, and all who watch it."""

    def __init__(self, source):
        self.pipeline = Gst.parse_launch(f"{source} ! tee name=units allow-not-linked=true")
        # webrtcbin 1.22 would make one of RSA for each session, which str0m's DTLS does not take.
        self.certificate, self.fingerprint = certificate()
        self.payloaders = {}
        self.sessions = {}
        self.lock = threading.Lock()
        self.pipeline.set_state(Gst.State.PLAYING)

    def add(self, name, **properties):
        element = Gst.ElementFactory.make(name)
        for key, value in properties.items():
            Gst.util_set_object_arg(element, key.replace("_", "-"), str(value))
        self.pipeline.add(element)
        return element

    def packets(self, number):
        """The tee of packets with this payload type."""
        if number not in self.payloaders:
            payloader = self.add("rtph264pay", pt=number, ssrc=number, mtu=MTU, config_interval=-1)
            payloader.set_property("aggregate-mode", 1)
            # A profile with its level would have to be that of the offer to the letter.
            plain = self.add("capssetter", replace="true", caps=f"{caps(number)},ssrc=(uint){number}")
            tee = self.add("tee", allow_not_linked="true")
            payloader.link(plain)
            plain.link(tee)
            for element in (tee, plain, payloader):
                element.sync_state_with_parent()
            self.pipeline.get_by_name("units").link(payloader)
            self.payloaders[number] = tee
        return self.payloaders[number]

    def answer(self, text):
        """Takes an offer. The session's name and the answer."""
        number = payload_type(text)
        _, sdp = GstSdp.SDPMessage.new_from_text(text)
        offer = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.OFFER, sdp)
        with self.lock:
            tee = self.packets(number)
            valve = self.add("valve", drop="true", drop_mode="forward-sticky-events")
            queue = self.add("queue", leaky="downstream", max_size_buffers=400, max_size_bytes=0, max_size_time=0)
            peer = self.add("webrtcbin", bundle_policy="max-bundle", latency=0)
            peer.connect("deep-element-added", self.certify)
            name = peer.get_name()
            self.sessions[name] = (tee, valve, queue, peer)
        wanted = Gst.Caps.from_string(caps(number))
        sink = peer.request_pad(peer.get_pad_template("sink_%u"), None, wanted)
        queue.get_static_pad("src").link(sink)
        valve.link(queue)
        sender = sink.get_property("transceiver")
        sender.set_property("codec-preferences", wanted)
        sender.set_property("direction", GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY)
        # Packets that a viewer misses are sent again, where it has offered that.
        sender.set_property("do-nack", True)
        agent = peer.get_property("ice-agent")
        # webrtcbin 1.22 hands out its own reference, floating, and Python takes it: another one makes up for it.
        GOBJECT.g_object_ref(ctypes.c_void_p(hash(agent)))
        agent.emit("add-local-ip-address", "127.0.0.1")
        # Otherwise an answer waits 200 ms for a router.
        agent.get_property("agent").set_property("upnp", False)
        gathered = threading.Event()
        complete = GstWebRTC.WebRTCICEGatheringState.COMPLETE
        peer.connect(
            "notify::ice-gathering-state",
            lambda peer, _: peer.get_property("ice-gathering-state") == complete and gathered.set(),
        )
        peer.connect("notify::connection-state", lambda peer, _: self.look(name))
        for element in (peer, queue, valve):
            element.sync_state_with_parent()
        # The answer tells the source that the packets are of, which their caps tell.
        tee.link(valve)
        until = time.monotonic() + PATIENCE
        while sink.get_current_caps() is None and time.monotonic() < until:
            time.sleep(0.005)
        done(peer, "set-remote-description", offer)
        created = done(peer, "create-answer", None)
        done(peer, "set-local-description", created.get_value("answer"))
        if not gathered.wait(PATIENCE):
            raise ValueError("no addresses were gathered")
        # Of a certificate that it is given, webrtcbin 1.22 takes the key into the fingerprint.
        text = peer.get_property("local-description").sdp.as_text()
        return name, re.sub("a=fingerprint:.*", self.fingerprint, text)

    def certify(self, _, __, element):
        """Gives a session's DTLS the certificate."""
        if element.get_factory() and element.get_factory().get_name() == "dtlsdec":
            element.set_property("pem", self.certificate)

    def look(self, name):
        """Sends from the moment at which the viewer is connected, beginning with a keyframe."""
        _, valve, _, peer = self.sessions.get(name, (None,) * 4)
        connected = GstWebRTC.WebRTCPeerConnectionState.CONNECTED
        if peer is not None and peer.get_property("connection-state") == connected and valve.get_property("drop"):
            valve.set_property("drop", False)
            keyframe = GstVideo.video_event_new_upstream_force_key_unit(Gst.CLOCK_TIME_NONE, True, 0)
            valve.get_static_pad("sink").push_event(keyframe)

    def leave(self, name):
        """Ends a session. Whether there was one."""
        with self.lock:
            session = self.sessions.pop(name, None)
        if session is None:
            return False
        tee, valve, queue, peer = session
        place = valve.get_static_pad("sink").get_peer()

        def end():
            tee.release_request_pad(place)
            for element in (valve, queue, peer):
                element.set_state(Gst.State.NULL)
                self.pipeline.remove(element)

        def unlink(*_):
            place.unlink(valve.get_static_pad("sink"))
            GLib.idle_add(end)
            return Gst.PadProbeReturn.REMOVE

        # While no packet passes. An element cannot be stopped by a thread of its own.
        place.add_probe(Gst.PadProbeType.IDLE, unlink)
        return True


class Whep(BaseHTTPRequestHandler):
    """WHEP, without candidates that come later."""

    protocol_version = "HTTP/1.1"

    def reply(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        offer = self.rfile.read(int(self.headers["Content-Length"])).decode()
        try:
            name, answer = self.server.sender.answer(offer)
        except ValueError as error:
            return self.reply(406, f"{error}\n".encode())
        self.reply(201, answer.encode(), Content_Type="application/sdp", Location=f"{self.path}/{name}")

    def do_DELETE(self):
        self.reply(200 if self.server.sender.leave(self.path.rsplit("/", 1)[1]) else 404)

    def log_message(self, *_):
        """Says nothing."""


def main():
    port, source = int(sys.argv[1]), sys.argv[2]
    Gst.init(None)
    server = ThreadingHTTPServer(("127.0.0.1", port), Whep)
    server.daemon_threads = True
    server.sender = Sender(source)
    loop = GLib.MainLoop()
    bus = server.sender.pipeline.get_bus()
    bus.add_signal_watch()

    def fail(_, message):
        error, detail = message.parse_error()
        print(f"{error.message}: {detail}", file=sys.stderr)
        loop.quit()

    bus.connect("message::error", fail)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    # Whoever started it holds its input.
    threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
    print("ready", flush=True)
    loop.run()
    server.sender.pipeline.set_state(Gst.State.NULL)


main()
