"""Guesses a password by RTSP while somebody at the same address plays.

usage: rtsp_guesses.py PORT PATH USER PASSWORD
"""

import hashlib
import re
import socket
import sys

port, path, user, password = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
url = f"rtsp://127.0.0.1:{port}{path}"


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


class Connection:
    def __init__(self, source="127.0.0.1"):
        self.end = socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(source, 0))
        self.nonce, self.number, self.packets = "0", 0, 0

    def ask(self, method, target, secret=None, *headers, nonce=None):
        """Status of the answer, or nothing when there is none."""
        self.number += 1
        if secret is not None:
            nonce = nonce or self.nonce
            response = md5(f"{md5(f'{user}:cvmmap:{secret}')}:{nonce}:{md5(f'{method}:{target}')}")
            headers += (f'Authorization: Digest username="{user}", realm="cvmmap", nonce="{nonce}", '
                        f'uri="{target}", response="{response}"',)
        try:
            self.end.sendall("\r\n".join([f"{method} {target} RTSP/1.0", f"CSeq: {self.number}", *headers, "", ""]).encode())
            return self.answer()
        except OSError:
            return ""

    def read(self, size):
        data = b""
        while len(data) < size:
            piece = self.end.recv(size - len(data))
            if not piece:
                raise ConnectionError
            data += piece
        return data

    def answer(self):
        while True:
            first = self.read(1)
            if first == b"$":
                self.read(int.from_bytes(self.read(3)[1:], "big"))
                self.packets += 1
                continue
            head = first
            while not head.endswith(b"\r\n\r\n"):
                head += self.read(1)
            self.head = head.decode("latin-1")
            size = re.search(r"(?i)content-length: *(\d+)", self.head)
            self.read(int(size[1]) if size else 0)
            nonce = re.search(r'nonce="([^"]+)"', self.head)
            self.nonce = nonce[1] if nonce else self.nonce
            return self.head.split(" ")[1]

    def describe(self, secret):
        self.ask("DESCRIBE", url)
        return self.ask("DESCRIBE", url, secret)

    def play(self):
        assert self.describe(password) == "200", self.head
        transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"
        assert self.ask("SETUP", f"{url}/stream=0", password, transport) == "200", self.head
        self.session = "Session: " + re.search(r"Session: ([^;\r]+)", self.head)[1]
        assert self.ask("PLAY", url, password, self.session) == "200", self.head


friend = Connection()
friend.play()

# A number that another connection used is answered with a new one, which serves.
one, other = Connection("127.0.0.2"), Connection("127.0.0.2")
assert one.describe(password) == "200"
assert other.ask("DESCRIBE", url, password, nonce=one.nonce) == "401" and other.nonce != one.nonce
assert other.ask("DESCRIBE", url, password) == "200", other.head
assert other.ask("DESCRIBE", url, password, nonce="never-given") == "401"

guesser = Connection()
told = [guesser.describe(f"guess-{number}") for number in range(3)]
told += [Connection().describe(f"guess-{number}") for number in (3, 4)]
assert told == ["401"] * 5, told
# From now on not even the right one.
assert guesser.ask("DESCRIBE", url, password) == ""
for _ in range(20):
    assert Connection().describe(password) == ""
# Nobody else is held up: neither who plays at the same address, nor another address.
assert Connection("127.0.0.2").describe(password) == "200"
for _ in range(3):
    before = friend.packets
    assert friend.ask("GET_PARAMETER", url, password, friend.session) == "200", friend.head
    while friend.packets < before + 20:
        assert friend.read(1) == b"$"
        friend.read(int.from_bytes(friend.read(3)[1:], "big"))
        friend.packets += 1
print("refused", flush=True)
