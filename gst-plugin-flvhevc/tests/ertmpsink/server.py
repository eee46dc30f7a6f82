#!/usr/bin/env python3
"""An RTMP server of raw sockets that plays what it is told, well-behaved or hostile.

    server.py KIND [--port N] [--once] [--cert FILE --key FILE] [--after N] [--target URL] [--hold SECONDS] [--caps-ex N,N] [--exclusive]

It listens on 127.0.0.1 and tells one JSON object a line on stdout: the port, and what it saw on each connection. KIND is
a name of KINDS below; `all` plays the hostile ones in turns, one for each connection. A line on stdin lets a stalled
connection go on. It shares no code with the client that it is there to try.
"""
import argparse, base64, hashlib, json, os, random, socket, ssl, struct, sys, threading, time

OUT = threading.Lock()
GO_ON = threading.Event()
# Taken by who publishes, where one alone may.
PUBLISHER = threading.Semaphore()


def tell(event, **fields):
    with OUT:
        try:
            print(json.dumps({"event": event, **fields}), flush=True)
        except (BrokenPipeError, ValueError):
            os._exit(0)


class Over(Exception):
    pass


# AMF0

def text(value):
    raw = value.encode()
    return struct.pack(">H", len(raw)) + raw


def encode(value):
    if value is None:
        return b"\x05"
    if isinstance(value, bool):
        return b"\x01" + bytes([value])
    if isinstance(value, (int, float)):
        return b"\x00" + struct.pack(">d", value)
    if isinstance(value, str):
        return b"\x02" + text(value)
    if isinstance(value, list):
        return b"\x0a" + struct.pack(">I", len(value)) + b"".join(map(encode, value))
    return b"\x03" + b"".join(text(key) + encode(entry) for key, entry in value.items()) + b"\0\0\x09"


def decode(data, at):
    kind = data[at]
    at += 1
    if kind == 0:
        return struct.unpack_from(">d", data, at)[0], at + 8
    if kind == 1:
        return bool(data[at]), at + 1
    if kind == 2:
        size = struct.unpack_from(">H", data, at)[0]
        return data[at + 2:at + 2 + size].decode(), at + 2 + size
    if kind in (3, 8):
        if kind == 8:
            at += 4
        entries = {}
        while True:
            size = struct.unpack_from(">H", data, at)[0]
            key = data[at + 2:at + 2 + size].decode()
            at += 2 + size
            if not key and data[at] == 9:
                return entries, at + 1
            entries[key], at = decode(data, at)
    if kind in (5, 6):
        return None, at
    if kind == 10:
        count = struct.unpack_from(">I", data, at)[0]
        at += 4
        values = []
        for _ in range(count):
            value, at = decode(data, at)
            values.append(value)
        return values, at
    raise ValueError(f"AMF0 type {kind}")


class Connection:
    """The server's end of one connection."""

    def __init__(self, sock, number, args):
        self.sock, self.number, self.args = sock, number, args
        self.buffer = b""
        self.chunk_size = 128
        self.streams = {}
        self.tags = 0
        self.publishing = False
        self.holds_name = False
        self.connect_object = {}

    def tell(self, event, **fields):
        tell(event, connection=self.number, **fields)

    def read(self, count):
        while len(self.buffer) < count:
            data = self.sock.recv(65536)
            if not data:
                raise Over()
            self.buffer += data
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def send(self, data):
        self.sock.sendall(data)

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Over()

    def handshake(self):
        c0c1 = self.read(1537)
        assert c0c1[0] == 3, c0c1[0]
        s1 = struct.pack(">II", 0, 0) + os.urandom(1528)
        self.send(b"\x03" + s1 + c0c1[1:])
        c2 = self.read(1536)
        assert c2 == s1, "C2 does not repeat S1"

    def message(self):
        """The next message: type, stream, timestamp, body."""
        while True:
            first = self.read(1)[0]
            form, stream = first >> 6, first & 63
            assert stream >= 2, "a short chunk stream id is expected"
            last = self.streams.get(stream)
            if form == 0:
                head = self.read(11)
                length, kind = int.from_bytes(head[3:6], "big"), head[6]
                target = struct.unpack("<I", head[7:])[0]
                time_ = int.from_bytes(head[:3], "big")
                extended = time_ == 0xFFFFFF
                if extended:
                    time_ = int.from_bytes(self.read(4), "big")
                assert last is None or not last["body"], "a message begins within another"
                last = self.streams[stream] = dict(length=length, kind=kind, target=target, time=time_, extended=extended, body=b"")
            else:
                assert form == 3 and last is not None, "a chunk of another form"
                if last["extended"]:
                    assert int.from_bytes(self.read(4), "big") == last["time"]
            last["body"] += self.read(min(self.chunk_size, last["length"] - len(last["body"])))
            if len(last["body"]) == last["length"]:
                body, last["body"] = last["body"], b""
                if last["kind"] == 1:
                    self.chunk_size = int.from_bytes(body, "big")
                    continue
                return last["kind"], last["target"], last["time"], body

    def write(self, kind, body, stream=0, chunk_stream=3):
        head = bytes([chunk_stream]) + b"\0\0\0" + len(body).to_bytes(3, "big") + bytes([kind]) + struct.pack("<I", stream)
        pieces = [body[at:at + 128] for at in range(0, len(body), 128)] or [b""]
        self.send(head + bytes([0xC0 | chunk_stream]).join(pieces))

    def command(self, name, transaction, *values, stream=0):
        self.write(20, encode(name) + encode(transaction) + b"".join(map(encode, values)), stream)

    def status(self, level, code, description="", **more):
        self.command("onStatus", 0, None, dict(level=level, code=code, description=description, **more), stream=1)

    def expect(self, wanted):
        """Reads up to a command, passing over everything else."""
        while True:
            kind, stream, time_, body = self.message()
            if kind != 20:
                continue
            name, at = decode(body, 0)
            values = []
            while at < len(body):
                value, at = decode(body, at)
                values.append(value)
            if name == wanted:
                return values
            if name == "releaseStream" and self.args.kind != "silent_extras":
                self.command("_error", values[0], None, dict(level="error", code="NetConnection.Call.Failed"))

    def accept_connect(self, **answer):
        values = self.expect("connect")
        self.connect_object = values[1]
        self.tell("connect", object=values[1])
        self.write(5, struct.pack(">I", 2500000), chunk_stream=2)
        self.write(6, struct.pack(">IB", 2500000, 2), chunk_stream=2)
        self.command("_result", values[0], dict(fmsVer="FMS/3,5,7,7009", capabilities=31, **answer),
                     dict(level="status", code="NetConnection.Connect.Success", description="yes", objectEncoding=0))

    def accept_stream(self):
        values = self.expect("createStream")
        self.command("_result", values[0], None, 1)

    def accept_publish(self):
        values = self.expect("publish")
        if self.args.exclusive and not PUBLISHER.acquire(blocking=False):
            self.status("error", "NetStream.Publish.BadName", "somebody publishes there")
            self.wait_for_end()
        self.holds_name = self.args.exclusive
        self.tell("publish", stream=values[2])
        self.status("status", "NetStream.Publish.Start", "go on")
        self.publishing = True

    def accept(self, **answer):
        # What each connection in turn is told; nothing where none is left.
        caps_ex = self.args.caps_ex[self.number:self.number + 1]
        if caps_ex:
            answer["capsEx"] = float(caps_ex[0])
        self.handshake()
        self.accept_connect(**answer)
        self.accept_stream()
        self.accept_publish()

    def tags_until_end(self, after_tag=lambda: None):
        """Tells each tag and the farewell."""
        while True:
            kind, stream, time_, body = self.message()
            if kind in (8, 9, 18):
                assert stream == 1
                self.tags += 1
                self.tell("tag", type=kind, time=time_, size=len(body), head=body[:5].hex(), sha=hashlib.sha1(body).hexdigest(),
                          at=time.time())
                after_tag()
            elif kind == 20:
                name = decode(body, 0)[0]
                self.tell("command", name=name)

    # Well-behaved

    def serve(self):
        self.accept()
        self.tags_until_end()

    def serve_codecs(self):
        self.accept(fourCcList=["av01", "vp09"], capsEx=15.0)
        self.tags_until_end()

    def reconnect(self):
        """The first connection asks for another one after some tags."""
        self.accept(capsEx=1)

        def ask():
            if self.tags == self.args.after and self.number == 0:
                more = dict(tcUrl=self.args.target) if self.args.target else {}
                self.status("status", "NetConnection.Connect.ReconnectRequest", "moving", **more)
        self.tags_until_end(ask)

    def half(self):
        """Every other publisher is refused, and the others lose their connection after some tags."""
        if self.number % 2:
            hostile(self, "publish_badname")
        self.accept()

        def leave():
            if self.tags == self.args.after:
                self.reset()
        self.tags_until_end(leave)

    def stall(self):
        """Takes nothing for a while, or until a line comes on stdin."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.accept()

        def hold():
            if self.tags == self.args.after:
                self.tell("stalled", at=time.time())
                GO_ON.wait(self.args.hold)
                self.tell("goes on", at=time.time())
        self.tags_until_end(hold)

    def authenticated(self, method):
        self.handshake()
        values = self.expect("connect")
        app, url = values[1]["app"], values[1]["tcUrl"]
        assert url.endswith(app), (app, url)
        query = dict(part.split("=", 1) for part in app.partition("?")[2].split("&") if part)
        reject = lambda description: self.command(
            "_error", values[0], None, dict(level="error", code="NetConnection.Connect.Rejected", description=description))
        if "user" not in query:
            reject(f"[ AccessManager.Reject ] : [ code=403 need auth; authmod={method} ] : ")
            raise Over()
        assert query["authmod"] == method and query["user"] == "bob", query
        if "response" not in query:
            reject(f"[ AccessManager.Reject ] : [ authmod={method} ] : ?reason=needauth&user=bob&salt=c2FsdA==&challenge=Y2g=&opaque=b3A=&nonce=n0nce")
            raise Over()
        digest64 = lambda value: base64.b64encode(hashlib.md5(value.encode()).digest()).decode()
        digest = lambda value: hashlib.md5(value.encode()).hexdigest()
        if method == "adobe":
            expected = digest64(digest64("bob" + "c2FsdA==" + "s3cret") + "b3A=" + query["challenge"])
        else:
            expected = digest(":".join([digest("bob:live:s3cret"), "n0nce", query["nc"], query["cnonce"], "auth", digest("publish:/live/_definst_")]))
        if query["response"] != expected:
            reject(f"[ AccessManager.Reject ] : [ authmod={method} ] : ?reason=authfailed&opaque=b3A=")
            raise Over()
        self.command("_result", values[0], dict(fmsVer="x"), dict(level="status", code="NetConnection.Connect.Success"))
        self.accept_stream()
        self.accept_publish()
        self.tags_until_end()

    # Hostile

    def wait_for_end(self):
        while self.sock.recv(65536):
            pass
        raise Over()

    def drip(self, data, pause=0.02):
        for byte in data:
            self.send(bytes([byte]))
            time.sleep(pause)

    def until_connect(self):
        self.handshake()
        return self.expect("connect")

    def until_stream(self):
        self.handshake()
        self.accept_connect()
        return self.expect("createStream")

    def until_publish(self):
        self.handshake()
        self.accept_connect()
        self.accept_stream()
        return self.expect("publish")

    def flood(self, data, times=2000):
        for _ in range(times):
            self.send(data)
        self.wait_for_end()


ERROR = dict(level="error", code="NetConnection.Connect.Rejected", description="go away")


def pings(c):
    return bytes([2]) + b"\0\0\0\0\0\x06\x04\0\0\0\0" + b"\0\x06\x01\x02\x03\x04"


def hostile(c, kind):
    if kind == "close_on_accept":
        raise Over()
    if kind == "reset_on_accept":
        c.reset()
    if kind == "silent":
        c.wait_for_end()
    if kind == "http":
        c.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        c.wait_for_end()
    if kind == "version_6":
        c.send(b"\x06" + bytes(3072))
        c.wait_for_end()
    if kind == "half_handshake":
        c.send(b"\x03" + bytes(1000))
        c.wait_for_end()
    if kind == "slow_handshake":
        c.drip(b"\x03" + bytes(3072))
    if kind == "half_open":
        c.read(1537)
        c.sock.shutdown(socket.SHUT_WR)
        c.wait_for_end()
    if kind == "close_in_handshake":
        c.send(b"\x03" + bytes(1536))
        raise Over()
    if kind == "reset_after_handshake":
        c.handshake()
        c.reset()
    if kind == "silent_after_handshake":
        c.handshake()
        c.wait_for_end()
    if kind == "garbage":
        c.handshake()
        random_ = random.Random(c.number)
        c.flood(random_.randbytes(65536), 16)
    if kind == "connect_error":
        c.command("_error", c.until_connect()[0], None, ERROR)
        c.wait_for_end()
    if kind == "connect_error_bare":
        c.command("_error", c.until_connect()[0])
        c.wait_for_end()
    if kind == "connect_reset":
        c.until_connect()
        c.reset()
    if kind == "connect_drip":
        c.until_connect()
        c.drip(b"\x03\0\0\0\0\xff\xff\x14\0\0\0\0" + encode("_result") * 100)
    if kind == "amf_malformed":
        c.until_connect()
        c.write(20, encode("_result") + encode(1) + b"\x03\0\x05abc")
        c.wait_for_end()
    if kind == "amf_deep":
        c.until_connect()
        c.write(20, encode("_result") + encode(1) + b"\x0a\0\0\0\x01" * 10000)
        c.wait_for_end()
    if kind == "amf_deep_objects":
        c.until_connect()
        c.write(20, encode("_result") + encode(1) + b"\x03\0\x01k" * 10000)
        c.wait_for_end()
    if kind == "amf_string_4g":
        c.until_connect()
        c.write(20, encode("_result") + encode(1) + b"\x0c\xff\xff\xff\xff" + bytes(100))
        c.wait_for_end()
    if kind == "amf_array_4g":
        c.until_connect()
        c.write(20, encode("_result") + encode(1) + b"\x0a\xff\xff\xff\xff" + b"\x05" * 60000)
        c.wait_for_end()
    if kind == "chunk_size_0":
        c.until_connect()
        c.write(1, bytes(4), chunk_stream=2)
        c.wait_for_end()
    if kind == "chunk_size_2g":
        c.until_connect()
        c.write(1, b"\x7f\xff\xff\xff", chunk_stream=2)
        c.flood(b"\x03\0\0\0\0\xff\xff\x14\0\0\0\0" + bytes(65535), 50)
    if kind == "chunk_size_negative":
        c.until_connect()
        c.write(1, b"\xff\xff\xff\xff", chunk_stream=2)
        c.wait_for_end()
    if kind == "huge_message":
        c.until_connect()
        c.flood(b"\x03\0\0\0\xff\xff\xff\x14\0\0\0\0" + bytes(128), 1)
    if kind == "many_chunk_streams":
        c.until_connect()
        for stream in range(65536):
            c.send(b"\x01" + struct.pack("<H", stream) + b"\0\0\0\0\xff\x00\x14\0\0\0\0" + bytes(128))
        c.wait_for_end()
    if kind == "many_huge_messages":
        c.until_connect()
        for stream in range(65536):
            c.send(b"\x01" + struct.pack("<H", stream) + b"\0\0\0\xff\xff\xff\x14\0\0\0\0" + bytes(128))
        c.wait_for_end()
    if kind == "unfinished_messages":
        c.until_connect()
        c.write(1, struct.pack(">I", 59999), chunk_stream=2)
        for stream in range(3, 63):
            c.send(bytes([stream]) + b"\0\0\0" + (60000).to_bytes(3, "big") + b"\x14\0\0\0\0" + bytes(59999))
        c.wait_for_end()
    if kind == "window_0":
        c.accept_with(lambda: c.write(5, bytes(4), chunk_stream=2))
    if kind == "window_1":
        c.accept_with(lambda: c.write(5, b"\0\0\0\x01", chunk_stream=2))
    if kind == "window_short":
        c.until_connect()
        c.write(5, b"\0\0", chunk_stream=2)
        c.wait_for_end()
    if kind == "acknowledgements":
        c.accept_with(lambda: [c.write(3, struct.pack(">I", value), chunk_stream=2) for value in (0, 0xFFFFFFFF, 1)])
    if kind == "ping_flood":
        c.accept()
        c.flood(pings(c) * 1000)
    if kind == "bandwidth_flood":
        c.accept()
        c.flood((b"\x02\0\0\0\0\0\x05\x06\0\0\0\0" + b"\0\0\x10\0\x02") * 1000)
    if kind == "media_flood":
        c.accept()
        for _ in range(200):
            c.write(9, bytes(60000), stream=1)
        c.tags_until_end()
    if kind == "create_error":
        c.command("_error", c.until_stream()[0], None, ERROR)
        c.wait_for_end()
    if kind == "create_nothing":
        c.command("_result", c.until_stream()[0], None)
        c.wait_for_end()
    if kind == "create_nan":
        c.command("_result", c.until_stream()[0], None, float("nan"))
        c.wait_for_end()
    if kind == "create_silent":
        c.until_stream()
        c.wait_for_end()
    if kind == "create_reset":
        c.until_stream()
        c.reset()
    if kind == "publish_badname":
        c.until_publish()
        c.status("error", "NetStream.Publish.BadName", "somebody publishes there")
        c.wait_for_end()
    if kind == "publish_silent":
        c.until_publish()
        c.wait_for_end()
    if kind == "publish_reset":
        c.until_publish()
        c.reset()
    if kind == "publish_then_close":
        c.accept()
        c.message()
        raise Over()
    if kind == "publish_then_reset":
        c.accept()
        c.message()
        c.reset()
    if kind == "publish_then_unpublish":
        c.accept()
        c.message()
        c.status("status", "NetStream.Unpublish.Success", "enough")
        c.wait_for_end()
    if kind == "publish_then_garbage":
        c.accept()
        c.flood(random.Random(c.number).randbytes(65536), 16)
    if kind == "publish_then_deaf":
        c.accept()
        time.sleep(c.args.hold)
        raise Over()
    if kind == "reconnect_flood":
        c.accept(capsEx=1)
        for _ in range(1000):
            c.status("status", "NetConnection.Connect.ReconnectRequest", "again")
        c.tags_until_end()
    if kind == "reconnect_nowhere":
        c.accept(capsEx=1)
        for url in ["rtmp://127.0.0.1:1/live", "http://x", "rtmp://", "/", "\x01", "x" * 60000]:
            c.status("status", "NetConnection.Connect.ReconnectRequest", "there", tcUrl=url)
        c.tags_until_end()
    if kind == "auth_endless":
        c.command("_error", c.until_connect()[0], None, dict(
            ERROR, description="[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : "))
        c.wait_for_end()
    raise AssertionError(f"no kind {kind}")


def accept_with(self, before):
    self.handshake()
    self.accept_connect()
    before()
    self.accept_stream()
    self.accept_publish()
    before()
    self.tags_until_end()


Connection.accept_with = accept_with

HOSTILE = """close_on_accept reset_on_accept silent http version_6 half_handshake slow_handshake half_open close_in_handshake
reset_after_handshake silent_after_handshake garbage connect_error connect_error_bare connect_reset connect_drip amf_malformed
amf_deep amf_deep_objects amf_string_4g amf_array_4g chunk_size_0 chunk_size_2g chunk_size_negative huge_message
many_chunk_streams many_huge_messages unfinished_messages window_0 window_1 window_short acknowledgements ping_flood
bandwidth_flood media_flood create_error create_nothing create_nan create_silent create_reset publish_badname publish_silent
publish_reset publish_then_close publish_then_reset publish_then_unpublish publish_then_garbage publish_then_deaf
reconnect_flood reconnect_nowhere auth_endless""".split()
KINDS = {
    "serve": Connection.serve,
    "serve_codecs": Connection.serve_codecs,
    "reconnect": Connection.reconnect,
    "stall": Connection.stall,
    "half": Connection.half,
    "adobe": lambda c: c.authenticated("adobe"),
    "llnw": lambda c: c.authenticated("llnw"),
    **{kind: (lambda c, kind=kind: hostile(c, kind)) for kind in HOSTILE},
    "all": lambda c: hostile(c, HOSTILE[c.number % len(HOSTILE)]),
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=list(KINDS))
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--cert")
    parser.add_argument("--key")
    parser.add_argument("--after", type=int, default=5)
    parser.add_argument("--target")
    parser.add_argument("--hold", type=float, default=60)
    parser.add_argument("--exclusive", action="store_true")
    parser.add_argument("--caps-ex", type=lambda list_: [int(flags) for flags in list_.split(",")], default=[])
    args = parser.parse_args()
    threading.Thread(target=lambda: [GO_ON.set() for _ in sys.stdin], daemon=True).start()
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if args.kind == "stall":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    listener.bind(("127.0.0.1", args.port))
    listener.listen(128)
    tell("listening", port=listener.getsockname()[1])
    context = None
    if args.cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(args.cert, args.key)
    number = 0
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=serve, args=(sock, number, args, context), daemon=True).start()
        number += 1


def serve(sock, number, args, context):
    why = "hung up"
    try:
        # A client that is gone is not waited for without an end.
        sock.settimeout(60)
        if context:
            sock = context.wrap_socket(sock, server_side=True)
        connection = Connection(sock, number, args)
        try:
            KINDS[args.kind](connection)
        finally:
            if connection.holds_name:
                PUBLISHER.release()
    except (Over, ConnectionError, TimeoutError):
        pass
    except (ssl.SSLError, OSError) as error:
        why = repr(error)
    except Exception as error:
        why = "BROKEN: " + repr(error)
    finally:
        tell("closed", connection=number, why=why)
        try:
            sock.close()
        except OSError:
            pass


if __name__ == "__main__":
    main()
