"""Reads capture times out of what a receiver has, and prints them as a JSON list of nanoseconds.

usage: times.py units FILE    messages of supplemental enhancement information in a byte stream of H.264 or H.265
       times.py rtp           header extension 3 (ntp-64) of RTP packets, until stdin closes; prints its port first
       times.py reports PORT SECONDS
                              the time of each picture by the sender reports behind it, from PORT and the port above
"""

import json
import re
import select
import socket
import struct
import sys
import time
import uuid

OURS = uuid.UUID("c4d9a5b2-6f0e-4d0a-9e57-7a1cf0c1d3e8").bytes
NTP_UNIX = 2_208_988_800


def units(path):
    found = []
    for nal in re.split(rb"\x00\x00\x01", open(path, "rb").read())[1:]:
        for kind, head in ((nal[0] & 0x1F, 1), (nal[0] >> 1 & 0x3F, 2)):
            if (kind, head) not in ((6, 1), (39, 2)):
                continue
            body = re.sub(rb"\x00\x00\x03", b"\x00\x00", nal[head:])
            if body[:2] == b"\x05\x18" and body[2:18] == OURS:
                found.append(struct.unpack(">Q", body[18:26])[0])
    return found


def nanoseconds(ntp):
    return ((ntp >> 32) - NTP_UNIX) * 10**9 + (((ntp & 0xFFFFFFFF) * 10**9) >> 32)


def listen(port):
    end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    end.bind(("127.0.0.1", port))
    return end


def extension(packet):
    """The number that header extension 3 holds. Source: RFC 8285, 4.2; RFC 6051, 3.3."""
    if not packet[0] & 0x10:
        return None
    profile, words = struct.unpack(">HH", packet[12:16])
    data, at = packet[16:16 + 4 * words], 0
    assert profile == 0xBEDE, profile
    while at < len(data):
        if data[at] == 0:
            at += 1
            continue
        number, length = data[at] >> 4, (data[at] & 15) + 1
        if number == 3:
            assert length == 8, length
            return struct.unpack(">Q", data[at + 1:at + 9])[0]
        at += 1 + length
    return None


def rtp():
    end, found = listen(0), set()
    print(end.getsockname()[1], flush=True)
    while True:
        ready, _, _ = select.select([end, sys.stdin], [], [])
        if sys.stdin in ready:
            return sorted(found)
        ntp = extension(end.recv(65536))
        if ntp is not None:
            found.add(nanoseconds(ntp))


def reports(port, seconds):
    media, control = listen(port), listen(port + 1)
    print("listening", flush=True)
    pictures, report, goodbye, until = [], None, False, time.monotonic() + seconds
    while not goodbye and time.monotonic() < until:
        for end in select.select([media, control], [], [], 0.2)[0]:
            packet, at = end.recv(65536), 0
            if end is media:
                pictures.append(struct.unpack(">I", packet[4:8])[0])
                continue
            while at < len(packet):
                kind, words = packet[at + 1], struct.unpack(">H", packet[at + 2:at + 4])[0]
                if kind == 200:
                    report = struct.unpack(">QI", packet[at + 8:at + 20])
                goodbye |= kind == 203
                at += 4 * words + 4
    assert goodbye and report, (goodbye, report)
    ntp, reference = report
    since = lambda timestamp: (timestamp - reference + 2**31) % 2**32 - 2**31
    return sorted({nanoseconds(ntp) + since(timestamp) * 100_000 // 9 for timestamp in pictures})


kind, *rest = sys.argv[1:]
print(json.dumps(units(rest[0]) if kind == "units" else rtp() if kind == "rtp" else reports(int(rest[0]), float(rest[1]))))
