"""A client of Foxglove's WebSocket protocol, of packages that other people use, and rude ones of raw sockets.

usage: foxglove.py watch PORT FOLDER UNITS DEPTHS BODIES [PROTOCOL]
       foxglove.py topics PORT
       foxglove.py stall PORT
       foxglove.py rude PORT
       foxglove.py scenes PORT COUNT
       foxglove.py crowd PORT NATS_PORT SUBJECT

`watch` subscribes to every topic, until so many access units, depth pictures and packets have come, and prints what came as JSON; access
units go to FOLDER. `stall` subscribes, says so, and reads nothing until its input ends. `rude` breaks every rule. `scenes` compares so many
packets of bodies with what is to be drawn of them, `crowd` packets that it sends itself, strange ones among them.
"""

import base64
import hashlib
import json
import math
import os
import socket
import struct
import sys
import time
from random import Random

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
                    if channel["schemaName"] == "foxglove.SceneUpdate":
                        # No recording has it.
                        continue
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


# A packet of bodies, by the offsets of the contract.
HEADER, RECORD, KEYPOINTS_3D, KEYPOINT_CONFIDENCE = 64, 3248, 504, 960
# Some bones that everybody has, by the number of keypoints: forearms and lower legs.
LIMBS = {18: [(3, 4), (6, 7), (9, 10), (12, 13)], 34: [(6, 7), (13, 14), (19, 20), (23, 24)],
         38: [(14, 16), (15, 17), (20, 22), (21, 23)]}
FORMATS = (18, 34, 38)
# What is there of a crowd.
CROWD = 256


def read_bodies(packet):
    """Time, number of keypoints of a whole skeleton, and for each body its number, confidence, places and confidences of keypoints."""
    time, sdk_time = struct.unpack_from("<QQ", packet, 8)
    count, size = struct.unpack_from("<HH", packet, 24)
    assert packet[0] == 0x62 and size == RECORD and len(packet) == HEADER + count * RECORD
    bodies = []
    for at in range(HEADER, len(packet), RECORD):
        points = struct.unpack_from("<H", packet, at + RECORD - 4)[0]
        places = list(struct.iter_unpack("<3f", packet[at + KEYPOINTS_3D:at + KEYPOINTS_3D + 12 * points]))
        sure = struct.unpack_from(f"<{points}f", packet, at + KEYPOINT_CONFIDENCE)
        bodies.append((struct.unpack_from("<i", packet, at)[0], struct.unpack_from("<f", packet, at + 8)[0], places, sure))
    return time or sdk_time, FORMATS[packet[28]], bodies


def write_bodies(time, keypoints, bodies, sdk_time=0):
    """The inverse."""
    packet = struct.pack("<4BIQQHHBBBBHBBI24s", 0x62, 2, 1, 0, 7, time, sdk_time, len(bodies), RECORD, FORMATS.index(keypoints), 0, 0, 0,
                         1, 1, 0, len(bodies) * RECORD, b"cam0")
    for number, confidence, places, sure in bodies:
        record = bytearray(RECORD)
        struct.pack_into("<iBBHf", record, 0, number, 1, 0, 0, confidence)
        for point, (place, confident) in enumerate(zip(places, sure)):
            struct.pack_into("<3f", record, KEYPOINTS_3D + 12 * point, *place)
            struct.pack_into("<f", record, KEYPOINT_CONFIDENCE + 4 * point, confident)
        struct.pack_into("<HH", record, RECORD - 4, len(places), 0)
        packet += record
    return packet


def check_scene(packet, update, log_time):
    """A message has to draw what is in a packet, nothing else, and nothing of what was there before. Returns the ids of its entities."""
    time, keypoints, bodies = read_bodies(packet)
    assert log_time == time
    assert [(deletion.type, nanoseconds(deletion.timestamp)) for deletion in update.deletions] == [(1, time)], update.deletions
    assert len(update.entities) == min(len(bodies), CROWD), len(update.entities)
    ids = [entity.id for entity in update.entities]
    assert len(set(ids)) == len(ids), ids
    for entity, (number, confidence, places, sure) in zip(update.entities, bodies):
        assert entity.id.split("/")[0] == str(number) and entity.frame_id == "camera", entity.id
        assert nanoseconds(entity.timestamp) == time and entity.lifetime.seconds == 1 and not entity.frame_locked
        assert {pair.key: pair.value for pair in entity.metadata}["coordinate_system"] == "right-handed, y up"
        known = {point for point, place in enumerate(places) if all(map(math.isfinite, place))}
        seen = [point for point in sorted(known) if sure[point] > 0]
        assert [xyz(sphere.pose.position) for sphere in entity.spheres] == [places[point] for point in seen], entity.id
        diameters = {value for sphere in entity.spheres for value in xyz(sphere.size)}
        tall = max((max(of) - min(of) for of in zip(*(places[point] for point in known))), default=0)
        assert all(tall / 100 <= diameter <= tall / 25 for diameter in diameters) and len(diameters) <= 1, (tall, diameters)
        if known == set(range(keypoints)) and len(set(places)) == keypoints:
            [line] = entity.lines
            assert line.type == 2 and line.scale_invariant and line.pose.orientation.w == 1
            ends = [places.index(xyz(point)) for point in line.points]
            bones = {tuple(sorted(bone)) for bone in zip(ends[::2], ends[1::2])}
            assert set(ends) == known and bones.issuperset(LIMBS[keypoints]), bones
        else:
            drawn = {xyz(point) for line in entity.lines for point in line.points}
            assert drawn <= {places[point] for point in known}, drawn
        colors = {(of.color.r, of.color.g, of.color.b, of.color.a) for of in [*entity.spheres, *entity.lines]}
        assert len(colors) == 1 or not known, colors
        if known:
            [text] = entity.texts
            assert text.text == f"{number} ({confidence:g})" and text.billboard, text.text
    return ids


def xyz(vector):
    return vector.x, vector.y, vector.z


def check_descriptors(data):
    """They have to describe what Foxglove's own do."""
    from foxglove_schemas_protobuf import SceneUpdate_pb2
    from google.protobuf.descriptor_pb2 import FileDescriptorSet

    def fields(messages):
        return {message.name: ([(field.name, field.number, field.type, field.label, field.type_name) for field in message.field],
                               [(kind.name, [(value.name, value.number) for value in kind.value]) for kind in message.enum_type])
                for message in messages}

    ours, theirs, left = {}, {}, [SceneUpdate_pb2.DESCRIPTOR]
    for file in FileDescriptorSet.FromString(data).file:
        if file.package == "foxglove":
            ours.update(fields(file.message_type))
    while left:
        file = left.pop()
        copy = type(FileDescriptorSet().file.add())()
        file.CopyToProto(copy)
        if copy.package == "foxglove":
            theirs.update(fields(copy.message_type))
            left.extend(file.dependencies)
    assert ours == theirs and len(ours) > 10, sorted(ours)


class Scenes:
    """A client of packets and of what is to be drawn, with what a panel shows then."""

    def __init__(self, client):
        self.client, self.packets, self.leaves, self.shown = client, {}, {}, {}

    def hear(self, timeout):
        """The time of a message that draws a packet that came before it; None for everything else."""
        from foxglove_schemas_protobuf.SceneUpdate_pb2 import SceneUpdate

        said = self.client.recv(timeout=timeout)
        if isinstance(said, str):
            for channel in json.loads(said).get("channels", []):
                leaf = channel["topic"].split("/")[-1]
                if leaf not in ("body", "body_scene"):
                    continue
                if leaf == "body_scene":
                    assert channel["schemaName"] == "foxglove.SceneUpdate" and channel["encoding"] == "protobuf"
                    check_descriptors(base64.b64decode(channel["schema"]))
                self.leaves[channel["id"]] = leaf
                wanted = {"id": channel["id"], "channelId": channel["id"]}
                self.client.send(json.dumps({"op": "subscribe", "subscriptions": [wanted]}))
            return None
        opcode, subscription, log_time = struct.unpack_from("<BIQ", said)
        assert opcode == 1
        if self.leaves[subscription] == "body":
            self.packets[log_time] = said[13:]
            return None
        if log_time not in self.packets:
            # Of before the other subscription.
            return None
        update = SceneUpdate.FromString(said[13:])
        ids = check_scene(self.packets[log_time], update, log_time)
        if any(deletion.type == 1 for deletion in update.deletions):
            self.shown.clear()
        self.shown.update((entity.id, entity) for entity in update.entities)
        assert sorted(self.shown) == sorted(ids)
        return log_time


def connect_scenes(port):
    from websockets.sync.client import connect

    return connect(f"ws://127.0.0.1:{port}", subprotocols=[PROTOCOL], max_size=None, proxy=None)


def scenes(port, count):
    with connect_scenes(port) as client:
        watched, drawn = Scenes(client), 0
        while drawn < int(count):
            drawn += watched.hear(30) is not None
            assert len(watched.shown) in (0, 2)
        places = {xyz(sphere.pose.position) for entity in watched.shown.values() for sphere in entity.spheres}
        print(json.dumps({"ids": sorted(watched.shown), "places": len(places)}))


def crowd(port, nats_port, subject):
    def send(packet):
        nats.sendall(f"PUB {subject} {len(packet)}\r\n".encode() + packet + b"\r\n")

    def body(number, keypoints, confidence=87.25):
        # Numbers that a float holds.
        places = [tuple(random.randrange(-48000, 48000) / 16 for _ in range(3)) for _ in range(keypoints)]
        return number, confidence, places, [50.0] * keypoints

    random = Random(7)
    nats = socket.create_connection(("127.0.0.1", int(nats_port)), timeout=10)
    nats.sendall(b'CONNECT {"verbose":false}\r\n')
    time_ns, sent = 1_790_000_000_000_000_000, set()
    with connect_scenes(port) as client:
        watched = Scenes(client)
        until = time.monotonic() + 30
        is_first = True
        # Somebody listens when the topics are there, and both are subscribed to when a packet comes by both.
        while is_first:
            assert time.monotonic() < until
            time_ns += 1
            sent.add(first := write_bodies(time_ns, 18, [body(0, 18)]))
            send(first)
            try:
                while is_first:
                    is_first = watched.hear(0.2) is None
            except TimeoutError:
                pass

        lame = body(4, 38)
        lame[2][3], lame[2][10], lame[2][22] = (math.nan, 1.0, 2.0), (math.nan,) * 3, (1.0, math.inf, 2.0)
        lame[3][0], lame[3][1], lame[3][2] = 0.0, math.nan, -1.0
        unknown = (5, math.nan, [(math.nan,) * 3] * 38, [math.nan] * 38)
        flat = (6, 1.0, [(1.0, 2.0, 3.0)] * 38, [50.0] * 38)
        most = 3.4028234663852886e38
        far = (7, 50.0, [(most, -most, most), (-most, most, -most)] * 19, [most] * 38)
        good = write_bodies(0, 18, [body(1, 18)])
        hostile = [b"", b"b", good[:63], good[:-1], good + b"x", bytes(4096), os.urandom(4096),
                   good[:24] + b"\xff\xff" + good[26:],
                   good[:24] + b"\xff\xff" + good[26:36] + struct.pack("<I", 65535 * RECORD) + good[40:],
                   good[:28] + b"\x03" + good[29:], good[:-4] + b"\x27\x00\x00\x00", good[:36] + b"\xff\xff\xff\xff" + good[40:]]
        for keypoints, bodies, ids in [
            (38, [body(4, 38), body(-9, 38)], ["-9", "4"]),
            (38, [lame], ["4"]),
            (34, [body(4, 34), body(2147483647, 34)], ["2147483647", "4"]),
            (34, [], []),
            (18, [body(-1, 18), body(-1, 18), body(-1, 18, 0.5)], ["-1", "-1/2", "-1/3"]),
            (38, [unknown, flat, far], ["5", "6", "7"]),
            (38, [body(1, 18), body(2, 0), body(3, 1)], ["1", "2", "3"]),
            # As many as a message of NATS holds.
            (38, [body(number, 38) for number in range(320)], sorted(str(number) for number in range(CROWD))),
            (18, [body(8, 18)], ["8"]),
        ]:
            # What is no packet is nobody's.
            for wrong in hostile:
                send(wrong)
            time_ns += 1
            sdk_time = time_ns if keypoints == 34 else 0
            sent.add(right := write_bodies(0 if sdk_time else time_ns, keypoints, bodies, sdk_time))
            send(right)
            while watched.hear(30) != time_ns:
                pass
            assert sorted(watched.shown) == ids, sorted(watched.shown)
        assert set(watched.packets.values()) <= sent
    print("drawn", flush=True)


modes = {"watch": watch, "topics": topics, "stall": stall, "rude": rude, "scenes": scenes, "crowd": crowd}
modes[sys.argv[1]](*sys.argv[2:])
