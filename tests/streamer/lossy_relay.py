"""Passes UDP on between whoever speaks to it and a port of this machine, and loses one datagram in so many each way.

usage: lossy_relay.py PORT ONE_IN

Prints its own port, and at the end, when stdin closes, how many datagrams it took and lost.
"""

import select
import socket
import sys

target, one_in = ("127.0.0.1", int(sys.argv[1])), int(sys.argv[2])
front, back = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
for end in (front, back):
    end.bind(("127.0.0.1", 0))
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
print(front.getsockname()[1], flush=True)
client, taken, lost = None, 0, 0
while True:
    ready, _, _ = select.select([front, back, sys.stdin], [], [])
    if sys.stdin in ready:
        break
    for end in ready:
        datagram, source = end.recvfrom(65536)
        if end is front:
            client = source
        taken += 1
        if taken % one_in == 0:
            lost += 1
            continue
        if end is front:
            back.sendto(datagram, target)
        elif client:
            front.sendto(datagram, client)
print(taken, lost, flush=True)
