"""Players that break RTSP in every way, on one server.

usage: rude_players.py PORT PATH
"""

import os
import socket
import sys
import time

port, path = int(sys.argv[1]), sys.argv[2]
url = f"rtsp://127.0.0.1:{port}{path}"


def connect():
    end = socket.create_connection(("127.0.0.1", port), timeout=10)
    end.settimeout(10)
    return end


def served():
    """A connection that is answered: where there is no room, there is some when others have been let go."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        end = connect()
        try:
            if ask(end, "OPTIONS", "*", "CSeq: 0"):
                return end
        except OSError:
            pass
        end.close()
        time.sleep(0.1)
    raise TimeoutError("nobody was answered")


def ask(end, method, target, *headers):
    end.sendall("\r\n".join([f"{method} {target} RTSP/1.0", *headers, "", ""]).encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        piece = end.recv(65536)
        if not piece:
            return ""
        answer += piece
    return answer.decode("latin-1")


def send(end, data):
    try:
        end.sendall(data)
        end.recv(65536)
    except OSError:
        pass


# Requests out of order.
for method in ["PLAY", "PAUSE", "TEARDOWN", "RECORD", "ANNOUNCE", "SET_PARAMETER", "NONSENSE"]:
    with served() as end:
        answer = ask(end, method, url, "CSeq: 1", "Session: 1234567890")
        assert not answer.startswith("RTSP/1.0 200"), (method, answer)
with served() as end:
    assert "404" in ask(end, "DESCRIBE", url + "-of-nobody", "CSeq: 1").split("\r\n")[0]
with served() as end:
    answer = ask(end, "SETUP", url + "/stream=0", "CSeq: 1", "Transport: RTP/AVP;unicast;destination=192.0.2.1;client_port=9-10")
    assert "192.0.2.1" not in answer, answer

# Steps that were not taken, or twice.
for _ in range(20):
    with served() as end:
        ask(end, "DESCRIBE", url, "CSeq: 1", "Accept: application/sdp")
        assert not ask(end, "PLAY", url, "CSeq: 2").startswith("RTSP/1.0 200")
        answer = ask(end, "SETUP", url + "/stream=0", "CSeq: 3", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
        session = "Session: " + answer.split("Session: ")[1].split(";")[0].split("\r\n")[0]
        assert not ask(end, "SETUP", url + "/stream=99", "CSeq: 4", session).startswith("RTSP/1.0 200")
        ask(end, "SETUP", url + "/stream=0", "CSeq: 5", session, "Transport: RTP/AVP;unicast;client_port=9-10")
        assert ask(end, "TEARDOWN", url, "CSeq: 6", session).startswith("RTSP/1.0 200")
        assert not ask(end, "TEARDOWN", url, "CSeq: 7", session).startswith("RTSP/1.0 200")

# One that sets up all that there is, and stays until the others have been served.
greedy = served()
refused = 0
for number in range(100):
    answer = ask(greedy, "SETUP", url + "/stream=0", f"CSeq: {number}", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
    refused += answer.startswith("RTSP/1.0 503")
assert refused >= 90, refused

# A thousand that come and go.
for number in range(1000):
    end = connect()
    if number % 3 == 0:
        end.sendall(b"OPTIONS")
    end.close()

# What is no RTSP.
for garbage in [b"\0" * 4096, os.urandom(65536), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"$" + b"\xff" * 70000,
                b"OPTIONS * RTSP/1.0\r\n" + b"X: y\r\n" * 20000, b"DESCRIBE " + b"a" * 200000,
                b"SET_PARAMETER " + url.encode() + b" RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 2000000000\r\n\r\nabc",
                b"SET_PARAMETER " + url.encode() + b" RTSP/1.0\r\nCSeq: 1\r\nContent-Length: -5\r\n\r\nabc"]:
    end = connect()
    end.settimeout(0.3)
    send(end, garbage)
    end.close()

# Interleaved garbage within a session that plays, and no goodbye.
for _ in range(50):
    with served() as end:
        described = ask(end, "DESCRIBE", url, "CSeq: 1", "Accept: application/sdp")
        assert described.startswith("RTSP/1.0 200"), described
        answer = ask(end, "SETUP", url + "/stream=0", "CSeq: 2", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
        session = answer.split("Session: ")[1].split(";")[0].split("\r\n")[0]
        ask(end, "PLAY", url, "CSeq: 3", f"Session: {session}")
        end.sendall(b"$\x01\x00\x20" + os.urandom(32) + b"$\x09\x00\x04abcd" + b"$\x00\xff\xff" + os.urandom(65535))

# One that sends media instead of taking it is let go.
with served() as end:
    ask(end, "DESCRIBE", url, "CSeq: 1", "Accept: application/sdp")
    ask(end, "SETUP", url + "/stream=0", "CSeq: 2", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
    until, is_let_go = time.monotonic() + 30, False
    while not is_let_go and time.monotonic() < until:
        try:
            end.sendall(b"$\x00\xff\xff\x80\x60" + os.urandom(65533))
            time.sleep(0.01)
        except OSError:
            is_let_go = True
    assert is_let_go

# Half open: they say nothing, or half a request, and stay.
silent = [connect() for _ in range(20)]
halves = [connect() for _ in range(20)]
for end in halves:
    end.sendall(b"DESCRIBE " + url.encode() + b" RTSP/1.0\r\nCSe")

# Many at once, more than there is room for, then gone.
crowd = [connect() for _ in range(200)]
time.sleep(1)
for end in crowd + silent + halves:
    end.close()
greedy.close()
print("survived", flush=True)
