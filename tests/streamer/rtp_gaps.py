"""Receives RTP until its input ends, and tells how many packets came and how often one was missing."""

import json
import select
import socket
import sys

end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 20)
end.bind(("127.0.0.1", 0))
print(end.getsockname()[1], flush=True)
packets, gaps, last = 0, 0, None
while True:
    ready = select.select([end, sys.stdin], [], [])[0]
    if end in ready:
        sequence = int.from_bytes(end.recv(2048)[2:4], "big")
        gaps += last is not None and sequence != (last + 1) % 65536
        packets, last = packets + 1, sequence
    elif sys.stdin in ready:
        break
print(json.dumps({"packets": packets, "gaps": gaps}))
