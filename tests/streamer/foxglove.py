"""A client of Foxglove's WebSocket protocol, of packages that other people use, and rude ones of raw sockets.

usage: foxglove.py watch PORT FOLDER UNITS DEPTHS BODIES [PROTOCOL]
       foxglove.py topics PORT
       foxglove.py stall PORT
       foxglove.py rude PORT

`watch` subscribes to every topic, until so many access units, depth pictures and packets have come, and prints what came as JSON; access
units go to FOLDER. `stall` subscribes, says so, and reads nothing until its input ends. `rude` breaks every rule.
"""

import base64
import hashlib
import json
import os
import socket
import struct
import sys
import time

sys.path.append(os.path.join(os.path.dirname(__file__), "../support"))
from rvl import unpack_rvl

PROTOCOL = "foxglove.sdk.v1"


def sha(data):
    return hashlib.sha256(data).hexdigest()


def nanoseconds(timestamp):
    return timestamp.seconds * 10**9 + timestamp.nanos


def watch(port, folder, units, depths, bodies, protocol=PROTOCOL):
    from foxglove_schemas_protobuf.CompressedVideo_pb2 import CompressedVideo
    from mcap.records import Schema
    from mcap_protobuf.decoder import DecoderFactory
    from websockets.sync.client import connect

    wanted = {"video": int(units), "depth": int(depths), "body": int(bodies)}
    found = {"channels": {}, "video": [], "depth": [], "body": []}
    decoders, channels, factory = {}, {}, DecoderFactory()
    video = open(os.path.join(folder, "video"), "wb")
    with connect(f"ws://127.0.0.1:{port}", subprotocols=[protocol], max_size=None, proxy=None) as client:
        assert client.subprotocol == protocol
        info = json.loads(client.recv(timeout=30))
        assert info["op"] == "serverInfo" and info["capabilities"] == [] and info["name"], info
        while any(len(found[leaf]) < count for leaf, count in wanted.items()):
            said = client.recv(timeout=30)
            if isinstance(said, str):
                said = json.loads(said)
                assert said["op"] in ("advertise", "unadvertise"), said
                for channel in said.get("channels", []):
                    channels[channel["id"]] = channel
                    found["channels"][channel["topic"]] = {
                        "schema": channel["schemaName"] or None,
                        "schema_encoding": channel["schemaEncoding"],
                        "message_encoding": channel["encoding"],
                    }
                    if channel["encoding"] == "protobuf":
                        descriptors = base64.b64decode(channel["schema"])
                        schema = Schema(id=channel["id"], name=channel["schemaName"], encoding="protobuf", data=descriptors)
                        decoders[channel["id"]] = factory.decoder_for("protobuf", schema)
                    client.send(json.dumps({
                        "op": "subscribe",
                        "subscriptions": [{"id": 1000 + channel["id"], "channelId": channel["id"]}],
                    }))
                continue
            opcode, subscription, log_time = struct.unpack_from("<BIQ", said)
            assert opcode == 1
            payload, channel = said[13:], channels[subscription - 1000]
            if channel["encoding"] != "protobuf":
                found["body"].append({"log_time": log_time, "sha": sha(payload)})
                continue
            decoded = decoders[channel["id"]](payload)
            message = {"log_time": log_time, "timestamp": nanoseconds(decoded.timestamp), "frame_id": decoded.frame_id,
                       "topic": channel["topic"], "bytes": sha(payload)}
            if channel["schemaName"] == "foxglove.CompressedVideo":
                theirs = CompressedVideo.FromString(payload)
                assert theirs.data == decoded.data and nanoseconds(theirs.timestamp) == message["timestamp"]
                video.write(theirs.data)
                found["video"].append({**message, "format": theirs.format, "sha": sha(theirs.data)})
            else:
                found["depth"].append({**message, "width": decoded.width, "height": decoded.height,
                                       "pixels": checksum_of_rvl(decoded.data) if len(found["depth"]) % 3 == 0 else None})
    video.close()
    print(json.dumps(found))


def topics(port):
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    there = {}
    with connect(f"ws://127.0.0.1:{port}", subprotocols=[PROTOCOL], max_size=None, proxy=None) as client:
        try:
            for said in map(json.loads, client):
                there.update({channel["id"]: channel["topic"] for channel in said.get("channels", [])})
                for gone in said.get("channelIds", []):
                    del there[gone]
                print(json.dumps(sorted(there.values())), flush=True)
        except ConnectionClosed:
            pass


def checksum_of_rvl(data):
    """Checksum of the pixels."""
    *_, pixels = unpack_rvl(data)
    return sha(struct.pack(f"<{len(pixels)}H", *pixels))


def raw(port):
    end = socket.socket()
    # What is not read waits at the other side.
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    end.settimeout(10)
    end.connect(("127.0.0.1", int(port)))
    return end


def upgrade(port, *more, protocol=PROTOCOL):
    """A connection that is agreed on, or the first line of what it was refused with."""
    end = raw(port)
    key = base64.b64encode(os.urandom(16)).decode()
    headers = [f"Host: 127.0.0.1:{port}", "Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {key}",
               "Sec-WebSocket-Version: 13", *more]
    headers += [f"Sec-WebSocket-Protocol: {protocol}"] if protocol else []
    end.sendall("\r\n".join(["GET / HTTP/1.1", *headers, "", ""]).encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        piece = end.recv(1)
        assert piece, answer
        answer += piece
    line = answer.split(b"\r\n")[0].decode()
    if " 101 " not in line + " ":
        end.close()
        return line
    return end


def frame(opcode, payload, final=True, masked=True, length=None):
    length = len(payload) if length is None else length
    head = bytes([opcode | (0x80 if final else 0)])
    mark = 0x80 if masked else 0
    if length < 126:
        head += bytes([mark | length])
    elif length < 1 << 16:
        head += bytes([mark | 126]) + struct.pack(">H", length)
    else:
        head += bytes([mark | 127]) + struct.pack(">Q", length)
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


def text(value):
    return frame(1, value if isinstance(value, bytes) else json.dumps(value).encode())


def is_let_go(end, seconds=20):
    """Whether the other side ends this, which is read to its end meanwhile."""
    end.settimeout(seconds)
    until = time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            if not end.recv(65536):
                return True
    except TimeoutError:
        return False
    except OSError:
        return True
    return False


def subscribe_all(end, last=64):
    end.sendall(text({"op": "subscribe", "subscriptions": [{"id": n, "channelId": n} for n in range(1, last)]}))


def stall(port):
    end = upgrade(port)
    # Channels have small numbers.
    subscribe_all(end)
    print("stalled", flush=True)
    sys.stdin.read()


def rude(port):
    # Whoever asks from a foreign page, or speaks no protocol that is known.
    assert " 403" in upgrade(port, "Origin: https://evil.example")
    assert " 403" in upgrade(port, "Origin: null")
    assert " 400" in upgrade(port, protocol="foxglove.sdk.v9")
    assert " 400" in upgrade(port, protocol=None)
    for origin in ["https://app.foxglove.dev", "file://"]:
        upgrade(port, f"Origin: {origin}").close()

    # What is no handshake.
    for garbage in [b"\0" * 4096, os.urandom(65536), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20000,
                    b"GET /" + b"a" * 200000, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\nabc"]:
        end = raw(port)
        end.settimeout(0.3)
        try:
            end.sendall(garbage)
            end.recv(65536)
        except OSError:
            pass
        end.close()

    # Messages that are too large, in one frame and in many, broken frames, and text that is none.
    for said in [frame(2, b"", length=1 << 30) + os.urandom(1 << 16), frame(1, b"", length=(1 << 63) - 1),
                 frame(1, b"", length=1 << 63), frame(1, b"[", masked=False), frame(3, b"x"), frame(9, b"x" * 126),
                 frame(1, b"\xff\xfe"), frame(0, b"x"), frame(1, b"a" * 1000, final=False) + frame(0, b"b" * 60000, final=False) * 4]:
        end = upgrade(port)
        subscribe_all(end)
        try:
            end.sendall(said)
        except OSError:
            pass
        assert is_let_go(end), said[:20]
        end.close()

    # What is understood by nobody: it is told so, and stays.
    end = upgrade(port)
    for said in [b"", b"{", b"[" * 30000, b"null", b"{}", {"op": "x"}, {"op": "subscribe"}, {"op": 7},
                 {"op": "subscribe", "subscriptions": [{"id": -1, "channelId": 1}]},
                 {"op": "subscribe", "subscriptions": [{"id": 1 << 40, "channelId": 1}]},
                 {"op": "subscribe", "subscriptions": [{"id": 1, "channelId": 4000000000}]},
                 {"op": "subscribe", "subscriptions": [{"id": 1, "channelId": 1}] * 1000},
                 {"op": "unsubscribe", "subscriptionIds": list(range(5000))},
                 {"op": "advertise", "channels": [{"id": n, "topic": "/x", "encoding": "json", "schemaName": ""} for n in range(500)]}]:
        end.sendall(text(said))
    end.sendall(frame(2, b"\x01" + os.urandom(100)) * 100)
    end.sendall(frame(9, b"still there?"))
    said = b""
    while b"still there?" not in said:
        piece = end.recv(65536)
        assert piece, "it was let go"
        said = said[-64:] + piece
    end.close()

    # Who asks for a keyframe as often as they can.
    end = upgrade(port)
    for _ in range(1000):
        end.sendall(text({"op": "subscribe", "subscriptions": [{"id": 1, "channelId": 1}]}))
        end.sendall(text({"op": "unsubscribe", "subscriptionIds": [1]}))
    end.close()

    # Come and gone, some with a reset.
    for number in range(200):
        if number % 4 == 0:
            end = raw(port)
            end.sendall(b"GET / HTTP/1.1\r\nHos")
        else:
            end = upgrade(port)
            if isinstance(end, str):
                # The ones before have not left yet.
                assert " 503" in end, end
                continue
            subscribe_all(end)
        if number % 2:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.close()

    # More than there is room for.
    crowd = []
    while not isinstance(crowd[-1] if crowd else None, str):
        crowd.append(upgrade(port))
        assert len(crowd) < 100
    assert " 503" in crowd.pop()
    for end in crowd:
        end.close()
    print("survived", flush=True)


{"watch": watch, "topics": topics, "stall": stall, "rude": rude}[sys.argv[1]](*sys.argv[2:])
