"""Plays URL with PyAV and keeps the number of decoded pictures in COUNT_FILE."""

import sys

import av

url, count_file = sys.argv[1:]
frames = 0
# A server that keeps the connection open after the stream is left after four seconds of silence.
with av.open(url, timeout=(40, 4), options={"analyzeduration": "1000000"}) as stream:
    try:
        for frame in stream.decode(video=0):
            frames += 1
            with open(count_file, "w") as file:
                file.write(f"{frames}\n")
    except av.error.FFmpegError as error:
        print(f"after {frames} frames: {error}")
    frames += sum(1 for _ in stream.streams.video[0].decode(None))
with open(count_file, "w") as file:
    file.write(f"{frames}\n")
