"""Plays by RTSP over TCP, by hand, and tells what was missing when the connection or its input ends.

usage: rtsp_player.py PORT PATH
"""

import json
import select
import socket
import sys
import time

port, path = int(sys.argv[1]), sys.argv[2]
url = f"rtsp://127.0.0.1:{port}{path}"
end = socket.create_connection(("127.0.0.1", port), timeout=30)
pending = b""


def receive():
    global pending
    piece = end.recv(65536)
    if not piece:
        raise EOFError
    pending += piece


def answer():
    """The next answer; packets that come meanwhile are counted as well."""
    global pending
    while True:
        while len(pending) < 4:
            receive()
        if pending[0] == ord("$"):
            packet()
            continue
        while b"\r\n\r\n" not in pending:
            receive()
        head, pending = pending.split(b"\r\n\r\n", 1)
        head = head.decode("latin-1")
        size = [int(line.split(":")[1]) for line in head.lower().split("\r\n") if line.startswith("content-length")]
        while size and len(pending) < size[0]:
            receive()
        body, pending = (pending[: size[0]], pending[size[0] :]) if size else (b"", pending)
        return head, body.decode("latin-1")


number = 0


def ask(method, target, *headers):
    global number
    number += 1
    end.sendall("\r\n".join([f"{method} {target} RTSP/1.0", f"CSeq: {number}", *headers, "", ""]).encode())
    head, body = answer()
    return head.split(" ")[1], head, body


seen = {"packets": 0, "gaps": 0, "pictures": 0, "ended": False}
last = None


def packet():
    global pending, last
    size = int.from_bytes(pending[2:4], "big")
    while len(pending) < 4 + size:
        receive()
    channel, data, pending = pending[1], pending[4 : 4 + size], pending[4 + size :]
    if channel != 0:
        return
    sequence = int.from_bytes(data[2:4], "big")
    if last is not None and sequence != (last + 1) % 65536:
        seen["gaps"] += 1
    last = sequence
    seen["packets"] += 1
    seen["pictures"] += data[1] >> 7
    if seen["pictures"] == 20:
        print("plays", flush=True)


until = time.monotonic() + 30
while True:
    status, _, body = ask("DESCRIBE", url, "Accept: application/sdp")
    if status not in ("404", "503") or time.monotonic() > until or "--once" in sys.argv:
        break
    time.sleep(0.2)
if status != "200":
    print(json.dumps({"status": status}))
    sys.exit()
control = [line.split(":", 1)[1].strip() for line in body.splitlines() if line.startswith("a=control:")][-1]
control = control if control.startswith("rtsp:") else f"{url}/{control}"
status, head, _ = ask("SETUP", control, "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
assert status == "200", head
session = [line.split(":")[1].split(";")[0].strip() for line in head.split("\r\n") if line.lower().startswith("session")][0]
status, head, _ = ask("PLAY", url, f"Session: {session}")
assert status == "200", head
until = time.monotonic() + 120
try:
    while time.monotonic() < until:
        ready = select.select([end, sys.stdin], [], [], 1)[0]
        if sys.stdin in ready:
            break
        if end in ready:
            receive()
        while len(pending) >= 4 and pending[0] == ord("$"):
            packet()
except (EOFError, ConnectionError):
    seen["ended"] = True
print(json.dumps(seen), flush=True)
