"""An Ethernet cable between two network namespaces whose delay, rate and loss can be set while it is in use.

The kernel's netem does the same, where the kernel was built with it. This process moves frames between two TAP
interfaces: python -m tests.faults.link NAMESPACE NAMESPACE. It prints a line when the interfaces exist, then reads
lines of JSON: ``delay`` (seconds, each way), ``rate`` (bits a second, each way; 0 is unlimited), ``loss`` (share of
frames), ``is_cut``.
"""

import fcntl
import heapq
import json
import os
import random
import select
import struct
import subprocess
import sys
import time

ADDRESSES = ("10.77.0.1", "10.77.0.2")
_TUNSETIFF, _TAP_WITHOUT_HEADER = 0x400454CA, 0x1002
_FRAME = 65536
_QUEUE = 0.5  # seconds that a frame may wait for the link; then it is dropped, as a router does


def _open(namespace: str, address: str) -> int:
    """Create a TAP interface in a namespace, and return the descriptor of its other end."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    asked = struct.pack("16sH22x", b"actor%d", _TAP_WITHOUT_HEADER)
    name = fcntl.ioctl(descriptor, _TUNSETIFF, asked)[:16].rstrip(b"\0").decode()
    for command in (
        ["link", "set", name, "netns", namespace],
        ["-n", namespace, "link", "set", name, "name", "cable"],
        ["-n", namespace, "addr", "add", f"{address}/24", "dev", "cable"],
        ["-n", namespace, "link", "set", "cable", "up"],
        ["-n", namespace, "link", "set", "lo", "up"],
    ):
        subprocess.run(["ip", *command], check=True)
    return descriptor


def main() -> None:
    """Move frames until standard input is closed."""
    ends = [_open(*pair) for pair in zip(sys.argv[1:], ADDRESSES, strict=True)]
    other = {ends[0]: ends[1], ends[1]: ends[0]}
    free_at = dict.fromkeys(ends, 0.0)
    waiting: list[tuple[float, int, int, bytes]] = []
    chance, count = random.Random(0), 0
    how = {"delay": 0.0, "rate": 0.0, "loss": 0.0, "is_cut": False}
    print("up", flush=True)
    while True:
        pause = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        ready, _, _ = select.select([*ends, sys.stdin], [], [], pause)
        now = time.monotonic()
        if sys.stdin in ready:
            line = sys.stdin.readline()
            if not line:
                return
            how |= json.loads(line)
            print("set", flush=True)
        for end in set(ready) & set(ends):
            try:
                frame = os.read(end, _FRAME)
            except OSError:  # the interface is down
                continue
            if how["is_cut"] or chance.random() < how["loss"]:
                continue
            begin = max(now, free_at[end])
            if begin > now + _QUEUE:
                continue
            free_at[end] = begin + (8 * len(frame) / how["rate"] if how["rate"] else 0.0)
            count += 1
            heapq.heappush(waiting, (free_at[end] + how["delay"], count, other[end], frame))
        while waiting and waiting[0][0] <= now:
            _, _, end, frame = heapq.heappop(waiting)
            try:
                os.write(end, frame)
            except OSError:  # the interface is down
                continue


if __name__ == "__main__":
    main()
