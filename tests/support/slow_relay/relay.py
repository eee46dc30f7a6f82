"""A network of a given speed: takes one connection on a port of its own and passes it on to another port.

Usage: relay.py PORT KBIT. Prints its own port; each line on stdin is a new speed in kbit/s.
"""

import select
import socket
import sys
import threading
import time

TICK = 0.01

speed = float(sys.argv[2])


def obey():
    global speed
    for line in sys.stdin:
        speed = float(line)


listener = socket.socket()
# What waits in the relay is of no use to whoever wants to see how slow it is.
listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
listener.bind(("127.0.0.1", 0))
listener.listen(1)
print(listener.getsockname()[1], flush=True)
threading.Thread(target=obey, daemon=True).start()
near, _ = listener.accept()
far = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
budget, last = 0.0, time.monotonic()
while True:
    now = time.monotonic()
    budget = min(budget + (now - last) * speed * 125, 2 * TICK * speed * 125 + 1)
    last = now
    ready, _, _ = select.select([near, far] if budget >= 1 else [far], [], [], TICK)
    if far in ready:
        answer = far.recv(65536)
        if not answer:
            break
        near.sendall(answer)
    if near in ready and budget >= 1:
        sent = near.recv(int(budget))
        if not sent:
            break
        budget -= len(sent)
        far.sendall(sent)
    else:
        time.sleep(TICK / 2)
near.close()
far.close()
