"""Reads a recording of several cameras with the packages that other people use, and prints what is in it as JSON.

The video of each topic goes to FILE.LABEL.video, one access unit behind the other.
"""

import json
import sys

from mcap.reader import make_reader
from mcap_protobuf.decoder import DecoderFactory


def nanoseconds(timestamp):
    return timestamp.seconds * 10**9 + timestamp.nanos


def main(path):
    found = {"channels": {}, "video": {}, "depth": {}, "poses": {}, "bundles": []}
    with open(path, "rb") as file:
        reader = make_reader(file, validate_crcs=True, decoder_factories=[DecoderFactory()])
        summary = reader.get_summary()
        found["compression"] = sorted({index.compression for index in summary.chunk_indexes})
        found["counts"] = {channel.topic: summary.statistics.channel_message_counts[channel.id]
                           for channel in summary.channels.values()}
        files = {}
        messages = reader.iter_decoded_messages(log_time_order=False)
        for order, (schema, channel, message, decoded) in enumerate(messages):
            assert message.log_time == message.publish_time == nanoseconds(decoded.timestamp)
            found["channels"][channel.topic] = {
                "schema": schema.name,
                "schema_encoding": schema.encoding,
                "message_encoding": channel.message_encoding,
                "metadata": dict(channel.metadata),
            }
            if schema.name == "foxglove.CompressedVideo":
                label = channel.topic.split("/")[1]
                if label not in files:
                    files[label] = open(f"{path}.{label}.video", "wb")
                files[label].write(decoded.data)
                found["video"].setdefault(label, []).append({
                    "order": order,
                    "time": message.log_time,
                    "frame_id": decoded.frame_id,
                    "format": decoded.format,
                    "begins": decoded.data[:5].hex(),
                })
            elif schema.name == "cvmmap_streamer.DepthMap":
                found["depth"].setdefault(channel.topic, []).append({
                    "time": message.log_time,
                    "size": [decoded.width, decoded.height],
                    "units": [decoded.source_unit, decoded.storage_unit],
                    "encoding": decoded.encoding,
                })
            elif schema.name == "foxglove.PoseInFrame":
                place, turn = decoded.pose.position, decoded.pose.orientation
                found["poses"].setdefault(channel.topic, []).append({
                    "time": message.log_time,
                    "frame_id": decoded.frame_id,
                    "position": [place.x, place.y, place.z],
                    "orientation": [turn.x, turn.y, turn.z, turn.w],
                })
            elif schema.name == "cvmmap_streamer.BundleManifest":
                status = decoded.members[0].DESCRIPTOR.fields_by_name["status"].enum_type.values_by_number
                policy = decoded.DESCRIPTOR.fields_by_name["policy"].enum_type.values_by_number
                found["bundles"].append({
                    "order": order,
                    "time": message.log_time,
                    "index": decoded.index,
                    "policy": policy[decoded.policy].name,
                    "members": [{
                        "label": member.label,
                        "time": nanoseconds(member.timestamp),
                        "status": status[member.status].name,
                        "skipped": member.skipped_frames,
                    } for member in decoded.members],
                })
        for file in files.values():
            file.close()
    print(json.dumps(found))


main(sys.argv[1])
