"""A client and a producer for camera controls and playlists that share nothing with ours: the messages are written down here
once more, by field number, and Python's protobuf and nats-py carry them.

peer.py client URL KEY     asks a producer and prints one JSON object a request: name, error, and the reply's fields
peer.py producer URL KEY   answers as a camera of its own, says "ready", and prints each request that it understood
"""

import asyncio
import json
import sys

import nats
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message, message_factory

INT32, SINT32, UINT32, BOOL, STRING, MESSAGE = 5, 17, 13, 8, 9, 11
# Enumerations travel as int32: a number that nobody knows is a number.
STATE = [("setting", 1, INT32), ("kind", 2, INT32), ("value", 3, SINT32), ("min_value", 4, SINT32), ("max_value", 5, SINT32)]
LIST = [("has_playlist", 1, BOOL), ("paths", 2, [STRING]), ("sort_by_recording_time", 3, BOOL), ("current_index", 4, UINT32),
        ("current_path", 5, STRING)]
CONTROL = [("error", 1, INT32), ("control", 2, "State"), ("error_message", 3, STRING)]
PLAYLIST = [("error", 1, INT32), ("playlist_info", 2, "List"), ("error_message", 3, STRING)]
MESSAGES = {
    "State": STATE,
    "List": LIST,
    "camera_control.capabilities": ([], [("error", 1, INT32), ("supported", 2, BOOL), ("supported_settings", 3, [INT32]),
                                         ("error_message", 4, STRING)]),
    "camera_control.get": ([("setting", 1, INT32)], CONTROL),
    "camera_control.set": ([("setting", 1, INT32), ("mode", 2, INT32), ("value", 3, SINT32)], CONTROL),
    "camera_control.set_range": ([("setting", 1, INT32), ("min_value", 2, SINT32), ("max_value", 3, SINT32)], CONTROL),
    "source.playlist.info": ([], PLAYLIST),
    "source.playlist.apply": ([("paths", 1, [STRING]), ("sort_by_recording_time", 2, BOOL)], PLAYLIST),
}
VERBS = [name for name, fields in MESSAGES.items() if isinstance(fields, tuple)]


def classes():
    file = descriptor_pb2.FileDescriptorProto(name="peer.proto", package="peer", syntax="proto3")

    def add(name, fields):
        described = file.message_type.add(name=name)
        for field, number, kind in fields:
            repeated = isinstance(kind, list)
            kind = kind[0] if repeated else kind
            added = described.field.add(name=field, number=number, label=3 if repeated else 1)
            if isinstance(kind, str):
                added.type, added.type_name = MESSAGE, f".peer.{kind}"
            else:
                added.type = kind

    for name, fields in MESSAGES.items():
        if isinstance(fields, tuple):
            for suffix, part in zip(("Request", "Response"), fields):
                add(name.replace(".", "_") + suffix, part)
        else:
            add(name, fields)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    made = lambda name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"peer.{name}"))
    return {name: tuple(made(name.replace(".", "_") + suffix) for suffix in ("Request", "Response")) for name in VERBS}


def tell(name, told):
    fields = json_format.MessageToDict(told, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    print(json.dumps({"name": name, **fields}), flush=True)


async def client(connection, key, messages):
    """Requests come as lines of JSON: a name, and fields or `bytes` in hexadecimal."""
    for line in sys.stdin:
        fields = json.loads(line)
        name = fields.pop("name")
        request, response = messages[name]
        payload = bytes.fromhex(fields["bytes"]) if "bytes" in fields else request(**fields).SerializeToString()
        answer = await connection.request(f"cvmmap.{key}.producer.{name}", payload, timeout=10)
        tell(name, response.FromString(answer.data))


# What the producer answers, by setting. Setting 2 lies about which setting it tells of; 4 is as low and high as it goes.
VALUES = {1: dict(kind=1, value=-1), 2: dict(setting=1, kind=1, value=7), 4: dict(kind=1, value=-(2**31)),
          10: dict(kind=2, min_value=-5, max_value=2**31 - 1)}


def answer(name, request, response):
    if name == "camera_control.capabilities":
        return response(supported=True, supported_settings=[1, 2, 4, 10, 77, 0])
    if name == "camera_control.get":
        value = VALUES.get(request.setting)
        if value is None:
            return response(error=3, error_message="no such\x1b[2J knob")
        return response(control={"setting": request.setting, **value})
    if name == "camera_control.set":
        if request.value > 100:
            return response(error=5, error_message="-1 to 100")
        return response(control=dict(setting=request.setting, kind=1, value=-2 if request.mode == 2 else request.value))
    if name == "camera_control.set_range":
        return response(control=dict(setting=request.setting, kind=2, min_value=request.min_value, max_value=request.max_value))
    paths = list(getattr(request, "paths", [])) or ["/a.svo2", "/b\x07.svo2"]
    return response(playlist_info=dict(has_playlist=True, paths=paths, current_index=1, current_path=paths[-1]))


async def producer(connection, key, messages):
    async def on_request(received):
        name = received.subject.split(".", 3)[3]
        request, response = messages[name]
        try:
            request = request.FromString(received.data)
        except message.DecodeError:
            await received.respond(response(error=4).SerializeToString())
            return
        tell(name, request)
        await received.respond(answer(name, request, response).SerializeToString())

    for name in VERBS:
        await connection.subscribe(f"cvmmap.{key}.producer.{name}", cb=on_request)
    await connection.flush()
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def main():
    role, url, key = sys.argv[1:]
    connection = await nats.connect(url)
    await {"client": client, "producer": producer}[role](connection, key, classes())
    await connection.close()


asyncio.run(main())
