"""Plays a WHEP address with aiortc: whep.py URL PICTURES. Prints what it decoded as JSON."""

import asyncio
import hashlib
import json
import sys
import urllib.parse
import urllib.request

from aiortc import RTCPeerConnection, RTCSessionDescription

url, wanted = sys.argv[1], int(sys.argv[2])


def ask(method, where, body=None, kind="application/sdp"):
    request = urllib.request.Request(where, data=body, method=method, headers={"Content-Type": kind})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.headers.get("Location"), answer.read().decode()


async def main():
    connection = RTCPeerConnection()
    receiver = connection.addTransceiver("video", direction="recvonly").receiver
    await connection.setLocalDescription(await connection.createOffer())
    place, answer = await asyncio.to_thread(ask, "POST", url, connection.localDescription.sdp.encode())
    await connection.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
    kinds, times = set(), []
    while len(times) < wanted:
        frame = await asyncio.wait_for(receiver.track.recv(), 30)
        kinds.add(hashlib.md5(frame.to_ndarray(format="gray").tobytes()).hexdigest())
        times.append(frame.pts)
    assert times == sorted(times), times
    await asyncio.to_thread(ask, "DELETE", urllib.parse.urljoin(url, place))
    await connection.close()
    print(json.dumps({"pictures": len(times), "different": len(kinds), "width": frame.width, "height": frame.height}))


asyncio.run(asyncio.wait_for(main(), 50))
