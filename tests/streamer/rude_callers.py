"""SRT handshakes that never end, and what is none, on one listener.

usage: rude_callers.py PORT
"""

import os
import socket
import struct
import sys

port = int(sys.argv[1])
INDUCTION, CONCLUSION = 1, 0xFFFFFFFF


def handshake(kind, number, cookie, version=4, extension=2):
    """Source: draft-sharabayko-srt, 3.2.1."""
    head = struct.pack(">IIII", 0x80000000, 0, 0, 0)
    body = struct.pack(">IHHIIIIII", version, 0, extension, number, 1500, 8192, kind, number, cookie)
    return head + body + socket.inet_aton("1.0.0.127") + bytes(12)


def caller():
    end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    end.settimeout(5)
    end.connect(("127.0.0.1", port))
    return end


answered, callers = 0, []
for number in range(1, 501):
    end = caller()
    callers.append(end)
    end.send(handshake(INDUCTION, number, 0))
for end in callers:
    try:
        answered += len(end.recv(2048)) >= 64
    except OSError:
        pass
assert answered > 400, answered
# The second half with a number that was not given, cut off, and too long.
for number, end in enumerate(callers, 1):
    end.send(handshake(CONCLUSION, number, 0xDEADBEEF, 5, 1))
    end.send(handshake(CONCLUSION, number, 0, 5, 7)[: number % 64])
    end.send(handshake(INDUCTION, number, 0) + os.urandom(number % 1300))
for size in [0, 1, 15, 16, 64, 1400]:
    for _ in range(50):
        callers[size % 7].send(os.urandom(size))
for end in callers:
    end.close()
print("survived", flush=True)
