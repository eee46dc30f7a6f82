"""Reads a recording with the packages that other people use, and prints what is in it as JSON.

The video goes to FILE.VIDEO, one access unit behind the other. Depth is unpacked by a decoder that is written after the
description of RVL and shares nothing with the recorder's.
"""

import hashlib
import json
import struct
import sys

from mcap.exceptions import EndOfFile, McapError
from mcap.reader import make_reader
from mcap.records import Channel, Message, Schema
from mcap.stream_reader import StreamReader
from mcap_protobuf.decoder import DecoderFactory

from rvl import unpack_rvl


def sha(data):
    return hashlib.sha256(data).hexdigest()


def messages(path):
    """Every message; of an unfinished file those that are whole."""
    schemas, channels = {}, {}
    try:
        for record in StreamReader(open(path, "rb"), validate_crcs=True).records:
            if isinstance(record, Schema):
                schemas[record.id] = record
            elif isinstance(record, Channel):
                channels[record.id] = record
            elif isinstance(record, Message):
                channel = channels[record.channel_id]
                yield schemas.get(channel.schema_id), channel, record
    except EndOfFile:
        return


def main(path):
    found = {"channels": {}, "video": [], "depth": [], "body": [], "finished": True}
    try:
        reader = make_reader(open(path, "rb"))
        header, summary = reader.get_header(), reader.get_summary()
        found["library"] = header.library
        found["indexed_chunks"] = len(summary.chunk_indexes)
        found["compression"] = sorted({index.compression for index in summary.chunk_indexes})
        found["indexed_messages"] = sum(1 for _ in reader.iter_messages())
    except McapError:
        found["finished"] = False
    decoders, factory = {}, DecoderFactory()
    with open(path + ".video", "wb") as video:
        for schema, channel, message in messages(path):
            about = found["channels"].setdefault(channel.topic, {
                "schema": schema.name if schema else None,
                "schema_encoding": schema.encoding if schema else None,
                "message_encoding": channel.message_encoding,
                "metadata": dict(channel.metadata),
            })
            if about["message_encoding"] != "protobuf":
                found["body"].append({"log_time": message.log_time, "sha": sha(message.data)})
                continue
            if channel.id not in decoders:
                decoders[channel.id] = factory.decoder_for("protobuf", schema)
            decoded = decoders[channel.id](message.data)
            times = {
                "log_time": message.log_time,
                "publish_time": message.publish_time,
                "timestamp": decoded.timestamp.seconds * 10**9 + decoded.timestamp.nanos,
                "sequence": message.sequence,
                "frame_id": decoded.frame_id,
                "bytes": sha(message.data),
            }
            if schema.name == "foxglove.CompressedVideo":
                video.write(decoded.data)
                found["video"].append({**times, "format": decoded.format, "sha": sha(decoded.data),
                                       "begins": decoded.data[:5].hex()})
            elif schema.name == "cvmmap_streamer.DepthMap":
                columns, rows, a, b, pixels = unpack_rvl(decoded.data)
                assert (columns, rows) == (decoded.width, decoded.height)
                found["depth"].append({**times, "source_unit": decoded.source_unit, "storage_unit": decoded.storage_unit,
                                       "encoding": decoded.encoding, "quantised": a != 0,
                                       "sha": sha(struct.pack(f"<{len(pixels)}H", *pixels))})
    print(json.dumps(found))


main(sys.argv[1])
