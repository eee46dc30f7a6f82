"""The work of scripts/soak.sh: PROGRAMS HOURS."""

import json, os, pathlib, random, select, shutil, signal, socket, subprocess, sys, tempfile, time, urllib.request

import mcap.reader

PROGRAMS, HOURS = pathlib.Path(sys.argv[1]).resolve(), float(sys.argv[2])
CAMERAS, MEMORY_MAX = 4, 5 << 20
folder = pathlib.Path(tempfile.mkdtemp(prefix="cvmmap_soak_"))
children = {}


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


def start(name, *command):
    log = open(folder / f"{name}.log", "ab")
    children[name] = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def stop(name, how=signal.SIGKILL, patience=60):
    child = children.pop(name)
    child.send_signal(how)
    return child.wait(patience)


nats, http = free_port(), free_port()
names = [f"soak{os.getpid()}_{index}" for index in range(CAMERAS)]
rtmp = [free_port() for _ in names]
# Nobody's, so that nothing is refused.
sinks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in names]
for it in sinks:
    it.bind(("127.0.0.1", 0))


def producer(index):
    start(f"producer{index}", PROGRAMS / "cvmmap_streamer", "--input-mode", "dummy", "--dummy-frames", 0, "--dummy-depth",
          "--input-uri", f"cvmmap://{names[index]}@{folder}", "--dummy-width", 320, "--dummy-height", 180,
          "--dummy-fps", 15, "--nats-url", f"nats://127.0.0.1:{nats}")


def server(index):
    start(f"server{index}", PROGRAMS / "rtmp_stub_tester", "--listen-host", "127.0.0.1", "--listen-port", rtmp[index],
          "--mode", "h264", "--until-end", "--timeout-ms", 3_600_000)


def configure(gop):
    text = f"""[http]
listen = "127.0.0.1:{http}"
[defaults]
nats_url = "nats://127.0.0.1:{nats}"
codec = "h264"
rtp = true
rtmp = true
mcap_rotate = "10s"
"""
    for index, name in enumerate(names):
        text += f"""[[camera]]
name = "cam{index}"
input_uri = "cvmmap://{name}@{folder}"
gop = {gop if index == 0 else 30}
rtp_endpoint = ["127.0.0.1:{sinks[index].getsockname()[1]}"]
rtmp_url = ["rtmp://127.0.0.1:{rtmp[index]}/live/cam{index}"]
mcap = "{folder}/cam{index}_{{start}}.mcap"
"""
    (folder / "cameras.toml").write_text(text)


def reload():
    configure(random.choice([10, 20, 40]))
    streamer = children["streamer"]
    streamer.send_signal(signal.SIGHUP)


def healthy():
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{http}/healthz", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def quiet():
    """Waits until all has been well for a while, with every server there: one that is not costs the streamer less."""
    until, well = time.monotonic() + 180, None
    while well is None or time.monotonic() - well < 15:
        keep()
        well = (well or time.monotonic()) if healthy() else None
        if time.monotonic() > until:
            sys.exit(f"soak: the cameras do not become healthy; see {folder}")
        time.sleep(1)


def measure():
    process = pathlib.Path("/proc") / str(children["streamer"].pid)
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines() if ":" in line)
    return {
        "memory": int(status["VmRSS"].split()[0]) << 10,
        "threads": int(status["Threads"]),
        "descriptors": len(list((process / "fd").iterdir())),
    }


def drain():
    for it in sinks:
        it.setblocking(False)
        try:
            while it.recv(65536):
                pass
        except BlockingIOError:
            pass


def sent():
    with urllib.request.urlopen(f"http://127.0.0.1:{http}/api/cameras", timeout=5) as answer:
        outputs = [camera["counts"]["outputs"] for camera in json.load(answer)]
    return [output["sent"] for each in outputs for name, output in each.items() if name.startswith("rtmp")]


def stale():
    """Who has got nothing in the last second."""
    drain()
    before, until = sent(), time.monotonic() + 1
    waiting = set(sinks)
    while waiting and time.monotonic() < until:
        ready, _, _ = select.select(list(waiting), [], [], until - time.monotonic())
        waiting -= set(ready)
    time.sleep(max(0, until - time.monotonic()))
    still = [f"rtmp of camera {index}" for index, (old, new) in enumerate(zip(before, sent(), strict=True)) if old == new]
    return [f"rtp of camera {sinks.index(it)}" for it in waiting] + still


def keep():
    """A server takes one publisher, and ends with it."""
    for index in range(CAMERAS):
        if children[f"server{index}"].poll() is not None:
            server(index)


def spoil():
    """One misfortune."""
    keep()
    kind, index = random.choice(["producer", "server", "reload"]), random.randrange(CAMERAS)
    if kind == "reload":
        return reload()
    stop(f"{kind}{index}", random.choice([signal.SIGKILL, signal.SIGTERM]))
    time.sleep(random.uniform(0, 3))
    (producer if kind == "producer" else server)(index)


def whole(path):
    with open(path, "rb") as file:
        return sum(1 for _ in mcap.reader.make_reader(file, validate_crcs=True).iter_messages())


try:
    start("nats", shutil.which("nats-server") or "/usr/sbin/nats-server", "-a", "127.0.0.1", "-p", nats)
    configure(30)
    for index in range(CAMERAS):
        server(index)
        producer(index)
    start("streamer", PROGRAMS / "cvmmap_streamer", "--config", folder / "cameras.toml", "--json")
    end = time.monotonic() + HOURS * 3600
    quiet()
    # Allocators and drivers take what they keep for good in the first storms.
    warm = time.monotonic() + max(180, HOURS * 360)
    misfortunes = 0
    while time.monotonic() < warm:
        spoil()
        misfortunes += 1
        drain()
        time.sleep(random.uniform(0, 4))
    quiet()
    before = measure()
    while time.monotonic() < end:
        spoil()
        misfortunes += 1
        drain()
        time.sleep(random.uniform(0, 8))
        if children["streamer"].poll() is not None:
            sys.exit(f"soak: the streamer ended with {children['streamer'].returncode}; see {folder}")
    quiet()
    after, behind = measure(), stale()
    code = stop("streamer", signal.SIGINT)
    files = sorted(folder.glob("cam*.mcap"))
    messages, broken = 0, []
    for path in files:
        try:
            messages += whole(path)
        except Exception as error:
            broken.append(f"{path}: {error}")
    report = {
        "hours": HOURS, "misfortunes": misfortunes, "before": before, "after": after, "exit_code": code,
        "files": len(files), "messages": messages, "broken": broken,
        "stale": behind,
    }
    ok = (code == 0 and not broken and not behind and files and after["memory"] - before["memory"] <= MEMORY_MAX
          and after["threads"] <= before["threads"] and after["descriptors"] <= before["descriptors"])
    print(json.dumps({**report, "ok": bool(ok)}, indent=2))
    if ok:
        shutil.rmtree(folder)
    sys.exit(0 if ok else f"soak: it does not hold; see {folder}")
finally:
    for name in list(children):
        stop(name)
    # Killed producers leave their segments.
    for name in names:
        pathlib.Path(f"/dev/shm/cvmmap_{name}").unlink(missing_ok=True)
