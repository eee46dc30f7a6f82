"""A cv-mmap producer that shares nothing with ours: it writes the bytes of the contract and speaks ZMTP itself.

    producer.py SEGMENT SOCKET FPS LABEL

Each line on stdin is a frame, or orders for the next ones:
    {"size": [W, H], "unit": "HEX", "codec": 1, "keyframe": true}   picture of W x H grey pixels, with an access unit or not
    {"at": SECONDS, ...}                                             the same, captured so long after the start
    {"wait": true}                                                   waits for the first subscriber
"""

import json
import os
import socket
import struct
import sys
import threading
import time

METADATA = 256
GRAY, U8 = 4, 0
LOCK = threading.Lock()
SUBSCRIBED = threading.Event()
PEERS = []


def read(peer, count):
    data = b""
    while len(data) < count:
        more = peer.recv(count - len(data))
        if not more:
            raise ConnectionError
        data += more
    return data


def frame(flags, body):
    return struct.pack(">BB", flags, len(body)) + body if len(body) < 256 else struct.pack(">BQ", flags | 2, len(body)) + body


def serve(peer):
    """One subscriber: ZMTP 3.0, mechanism NULL. Source: ZMTP 3.0 specification (RFC 23)."""
    try:
        peer.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32))
        read(peer, 64)
        peer.sendall(frame(4, b"\x05READY\x0bSocket-Type\x00\x00\x00\x03PUB"))
        while True:
            flags = read(peer, 1)[0]
            size = struct.unpack(">Q", read(peer, 8))[0] if flags & 2 else read(peer, 1)[0]
            body = read(peer, size)
            if flags & 4 and body.startswith(b"\x04PING"):
                with LOCK:
                    peer.sendall(frame(4, b"\x04PONG" + body[7:]))
            elif body.startswith((b"\x01", b"\x09SUBSCRIBE")):
                with LOCK:
                    PEERS.append(peer)
                SUBSCRIBED.set()
    except OSError:
        with LOCK:
            if peer in PEERS:
                PEERS.remove(peer)


def listen(path):
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()
    while True:
        threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()


def plane(kind, pixel_format, width, height, offset, size):
    return struct.pack("<BBBBIIIII", kind, pixel_format, U8, 0, width, height, width, offset, size)


def publish(segment, number, now, order, label):
    width, height = order["size"]
    unit = bytes.fromhex(order.get("unit", ""))
    left = width * height
    payload = bytes([number * 7 % 200 + 20]) * left + unit
    mask = 0b1001 if unit else 0b0001
    head = struct.pack(
        "<8sBBHIQQBBHHHIB", b"CV-MMAP\0", 2, 1, 0, number, now, number, bin(mask).count("1"), mask, 64, 24, 4, len(payload), 0
    )
    head += struct.pack("<BBHHHQ3x", order.get("codec", 0) if unit else 0, 1 if unit else 0, order.get("keyframe", False), 0, 0, 0)
    planes = plane(0, GRAY, width, height, 0, left) + bytes(48)
    planes += plane(3, GRAY, len(unit), 1, left, len(unit)) if unit else bytes(24)
    # The mark of a producer that changes its header first.
    metadata = (head + planes).ljust(METADATA - 8, b"\0") + b"HDRFIRST"
    if os.fstat(segment).st_size < METADATA + len(payload):
        os.ftruncate(segment, METADATA + len(payload))
    os.pwrite(segment, struct.pack("<I", number), 12)
    os.pwrite(segment, payload, METADATA)
    os.pwrite(segment, metadata, 0)
    announcement = struct.pack("<BBBBI8xQ24s", 0x7D, 0, 1, 0, number, now, label.encode())
    with LOCK:
        for peer in PEERS:
            try:
                peer.sendall(frame(0, announcement))
            except OSError:
                pass


def main():
    name, path, fps, label = sys.argv[1:5]
    segment = os.open("/dev/shm/" + name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        threading.Thread(target=listen, args=(path,), daemon=True).start()
        begun = due = time.time()
        number = 0
        for line in sys.stdin:
            order = json.loads(line)
            if order.get("wait"):
                if not SUBSCRIBED.wait(60):
                    return
                due = time.time()
                continue
            time.sleep(max(0, due - time.time()))
            due = max(due, time.time())
            now = begun + order["at"] if "at" in order else due
            publish(segment, number, int(now * 1e9), order, label)
            number += 1
            due += 1 / float(fps)
    finally:
        os.unlink("/dev/shm/" + name)


if __name__ == "__main__":
    main()
