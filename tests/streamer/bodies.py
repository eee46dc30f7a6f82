"""Hears skeletons twice, as the producer sent them over NATS and as JSON by WebSocket, and compares them by frame.

bodies.py NATS_URL KEY WEBSOCKET COUNT    prints how many frames were the same in every number
"""

import asyncio
import json
import math
import struct
import sys

import nats
from websockets.asyncio.client import connect

HEADER, RECORD = 64, 3248


def read(packet):
    """A packet by the offsets of the contract."""
    frame, time = struct.unpack_from("<IQ", packet, 4)
    count, size = struct.unpack_from("<HH", packet, 24)
    assert packet[0] == 0x62 and size == RECORD and len(packet) == HEADER + count * RECORD, packet[:HEADER]
    bodies = []
    for place in range(HEADER, len(packet), RECORD):
        def floats(count):
            nonlocal at
            values = struct.unpack_from(f"<{count}f", packet, at)
            at += 4 * count
            return [None if math.isnan(value) else value for value in values]

        def rows(count, width):
            values = floats(count * width)
            return [values[row:row + width] for row in range(0, len(values), width)]

        points = struct.unpack_from("<H", packet, place + RECORD - 4)[0]
        at = place + 8
        body = {"id": struct.unpack_from("<i", packet, place)[0], "confidence": floats(1)[0], "position": floats(3)}
        floats(3 + 6)
        body["bounding_box_2d"] = rows(4, 2)
        floats(8 * 3 + 3)
        body["keypoints_2d"] = rows(38, 2)[:points]
        body["keypoints_3d"] = rows(38, 3)[:points]
        body["keypoint_confidence"] = floats(38)[:points]
        assert points in (18, 34, 38), points
        bodies.append(body)
    return {"frame": frame, "timestamp_ns": time, "bodies": bodies}


def single(value):
    """Numbers in the precision of the packet."""
    if isinstance(value, dict):
        return {key: single(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [single(inner) for inner in value]
    return struct.pack("<f", value) if isinstance(value, float) else value


async def main(server, key, address, count):
    sent = {}
    client = await nats.connect(server)

    async def hear(message):
        packet = read(message.data)
        sent[packet["frame"]] = packet

    await client.subscribe(f"cvmmap.{key}.body", cb=hear)
    await client.flush()
    same = 0
    async with connect(address) as socket:
        while same < count:
            shown = json.loads(await socket.recv())
            # The other way may take longer.
            for _ in range(200):
                if shown["frame"] in sent:
                    break
                await asyncio.sleep(0.01)
            # What was sent before this one heard.
            if shown["frame"] not in sent and same == 0:
                continue
            assert single(shown) == single(sent[shown["frame"]]), (shown, sent[shown["frame"]])
            assert len(shown["bodies"]) > 0 and shown["bodies"][0]["keypoints_2d"], shown
            same += 1
    await client.close()
    print(same)


asyncio.run(asyncio.wait_for(main(*sys.argv[1:4], int(sys.argv[4])), 50))
