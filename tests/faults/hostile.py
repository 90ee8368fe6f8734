"""Files that mean harm, and a process that watches what becomes of them.

Whoever forges a checkpoint can compute its digests: those here are right wherever the file can be understood.
"""

import contextlib
import gzip
import io
import json
import os
import pickle
import resource
import shutil
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.faults.forgery import Parts, frame, take_apart

NAME = "epoch_000003.safetensors"
HARMLESS = {
    "log file outside", "warm start from elsewhere", "shadowing modules in the run folder", "planted cache",
    "metrics with a number of 10,000 digits", "evaluation that is a pipe", "evaluation that links to /dev/zero",
    "collector at step 10^15",
}  # fmt: skip
"""What is a sound run: it may go on, as long as nothing happens that it had no right to."""
ONLY_RESUME = {
    "batch of 2^31", "device that is not there", "metrics that are a pipe", "metrics that link to /dev/zero",
    "lock that links outside", "settings that are a pipe", "settings that link to /dev/zero",
}  # fmt: skip
"""What an evaluation does not ask for."""

MIB = 1 << 20


class _Payload:
    """What leaves a mark when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("echo executed > executed",)


class _Executed:
    """The same by way of exec."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("open('executed', 'w').close()",)


def _pickled(protocol: int) -> bytes:
    return pickle.dumps([_Payload(), _Executed()], protocol)


def _torch_zip() -> bytes:
    stream = io.BytesIO()
    torch.save({"policy": _Payload()}, stream)
    return stream.getvalue()


def _torch_legacy() -> bytes:
    stream = io.BytesIO()
    torch.save({"policy": _Payload()}, stream, _use_new_zipfile_serialization=False)
    return stream.getvalue()


def _tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        entry = tarfile.TarInfo("../../executed")
        entry.size = len(_pickled(2))
        archive.addfile(entry, io.BytesIO(_pickled(2)))
    return stream.getvalue()


def _zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", _pickled(2))
    return stream.getvalue()


def _npy() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([_Payload()], object), allow_pickle=True)
    return stream.getvalue()


def _npz() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, weights=np.array([_Payload()], object))
    return stream.getvalue()


def _header(good: bytes) -> bytes:
    return good[: 8 + int.from_bytes(good[:8], "little")]


def _changed(change: Callable[[Parts], Any]) -> Callable[[bytes], bytes]:
    """A sound file with something changed, and the digests computed anew."""

    def make(good: bytes) -> bytes:
        parts = take_apart(good)
        change(parts)
        parts.seal()
        return parts.to_bytes()

    return make


def _settings(**changes: Any) -> Callable[[bytes], bytes]:
    return _changed(lambda parts: parts.header["settings"].update(changes))


def _space(which: str, **changes: Any) -> Callable[[bytes], bytes]:
    return _changed(lambda parts: parts.header["spaces"][which][0].update(changes))


def _counter(value: Any) -> Callable[[bytes], bytes]:
    return _changed(lambda parts: parts.header["counters"].update(epoch=value))


def _entry(**changes: Any) -> Callable[[bytes], bytes]:
    return _changed(lambda parts: parts.entries["policy.head.weight"].update(changes))


def _outer(text: str) -> Callable[[bytes], bytes]:
    """A file whose header is this text."""
    return lambda good: frame(text, take_apart(good).data)


def _inner(text: str) -> Callable[[bytes], bytes]:
    """A file whose document of ours is this text."""

    def make(good: bytes) -> bytes:
        parts = take_apart(good)
        return frame(json.dumps({"__metadata__": {"actor_critic": text}, **parts.entries}), parts.data)

    return make


def _twice(good: bytes) -> bytes:
    length = int.from_bytes(good[:8], "little")
    text = good[8 : 8 + length].decode().rstrip()
    return frame(
        f'{text[:-1]},"value_memory":{{"dtype":"F32","shape":[2,0],"data_offsets":[0,0]}}}}', good[8 + length :]
    )


def _swapped(parts: Parts) -> None:
    """Two tensors over the same bytes."""
    first = parts.entries["observation_normalizer.mean"]
    parts.entries["observation_normalizer.squares"]["data_offsets"] = first["data_offsets"]


def _gap(parts: Parts) -> None:
    last = list(parts.entries)[-1]
    begin, end = parts.entries[last]["data_offsets"]
    parts.entries[last]["data_offsets"] = [begin + 64, end + 64]
    parts.data += bytes(64)


def _shifted(parts: Parts) -> None:
    for entry in parts.entries.values():
        entry["data_offsets"] = [-end for end in entry["data_offsets"]]


def _embedded(parts: Parts) -> None:
    count = 90_000
    changes = {"kind": "categories", "dtype": "int64", "shape": [count], "sizes": [2] * count, "starts": [0] * count}
    parts.header["spaces"]["observation"][0].update(changes)
    parts.header["settings"].update(embedding_dim=2, input_dim=2 * count)


def _escapes(parts: Parts) -> None:
    parts.header["settings"]["\x1b]0;owned\x07"] = 1
    parts.header["code"]["encoder"] = "\x1b[2J"


def _not_finite(parts: Parts) -> None:
    begin, end = parts.entries["optimizer.first_moment"]["data_offsets"]
    parts.data = parts.data[:begin] + b"\xff" * (end - begin) + parts.data[end:]


def _nan(parts: Parts) -> None:
    begin, end = parts.entries["policy.head.weight"]["data_offsets"]
    parts.data = parts.data[:begin] + b"\xff" * (end - begin) + parts.data[end:]


def _tensor(name: str, value: Any, dtype: Any = np.int64) -> Callable[[bytes], bytes]:
    """A sound file with another tensor in the place of one."""

    def change(parts: Parts) -> None:
        array, data, entries = np.asarray(value, dtype), b"", {}
        for key, entry in parts.entries.items():
            begin, end = entry["data_offsets"]
            piece, shape = parts.data[begin:end], entry["shape"]
            if key == name:
                piece, shape = array.tobytes(), list(array.shape)
            entries[key] = entry | {"shape": shape, "data_offsets": [len(data), len(data) + len(piece)]}
            data += piece
        parts.entries, parts.data = entries, data

    return _changed(change)


KEYS = ",".join(f'"k{number}":0' for number in range(90_000))
MANY = ",".join(f'"{n}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}' for n in range(11_000))
GIANT = json.dumps({"policy": {"dtype": "F32", "shape": [1 << 38], "data_offsets": [0, 1 << 40]}})

FILES: dict[str, Callable[[bytes], bytes]] = {
    **{f"pickle of protocol {p}": lambda good, p=p: _pickled(p) for p in range(6)},
    "torch.save, zip": lambda good: _torch_zip(),
    "torch.save, legacy": lambda good: _torch_legacy(),
    "tar": lambda good: _tar(),
    "zip": lambda good: _zip(),
    "npy of objects": lambda good: _npy(),
    "npz of objects": lambda good: _npz(),
    "gzip of a pickle": lambda good: gzip.compress(_pickled(4)),
    "gzip of a checkpoint": gzip.compress,
    "pickle behind a header's length": lambda good: frame(_pickled(2)),
    "pickle behind a checkpoint": lambda good: good + _pickled(2),
    "pickle in the place of the tensors": lambda good: _header(good) + _pickled(4),
    "python source": lambda good: b"import os\nos.system('echo executed > executed')\n",
    "header of 2^63 bytes": lambda good: (1 << 63).to_bytes(8, "little") + good[8:],
    "header of 2^64 - 1 bytes": lambda good: b"\xff" * 8 + good[8:],
    "header of 100 MB of spaces": lambda good: frame(b" " * (100 * MIB)),
    "header just within the limit, of spaces": lambda good: frame(b" " * MIB),
    "header nested 100,000 deep": _outer('{"a":' * 100_000 + "1" + "}" * 100_000),
    "header of lists nested 100,000 deep": _outer("[" * 100_000),
    "header of 90,000 keys": _outer(f"{{{KEYS}}}"),
    "11,000 empty tensors": _outer(f"{{{MANY}}}"),
    "document nested 100,000 deep": _inner('{"settings":' * 10_000 + "1" + "}" * 10_000),
    "document with a key twice": _inner('{"schema_version": 2, "schema_version": 2}'),
    "header with a tensor twice": _twice,
    "document with NaN": _inner('{"schema_version": NaN}'),
    "document with 1e999": _inner('{"schema_version": 1e999}'),
    "number of a million digits": _inner('{"schema_version": ' + "9" * 500_000 + "}"),
    "shape of 10^400": _entry(shape=[10**400]),
    "shape of 2^62 by 2^62": _entry(shape=[2**62, 2**62]),
    "shape of nothing, 2^62 wide": _entry(shape=[0, 2**62, 2**62]),
    "shape that is negative": _entry(shape=[-2, -8]),
    "shape that is a float": _entry(shape=[2.0, 8]),
    "shape of 10,000 axes": _entry(shape=[1] * 10_000),
    "offsets that overlap": _changed(_swapped),
    "offsets with a gap": _changed(_gap),
    "offsets that are negative": _changed(_shifted),
    "offsets of 2^64": _entry(data_offsets=[0, 2**64]),
    "offsets back to front": _entry(data_offsets=[64, 0]),
    "dtype of objects": _entry(dtype="O"),
    "dtype of another kind": _entry(dtype="C64"),
    "dtype of the same size": _entry(dtype="I32"),
    "entry with another key": _entry(path="/etc/passwd"),
    "metadata with another key": lambda good: good.replace(b'{"__metadata__":{', b'{"__metadata__":{"a":"b",', 1),
    "schema version 10^6": _changed(lambda parts: parts.header.update(schema_version=10**6)),
    "schema version true": _changed(lambda parts: parts.header.update(schema_version=True)),
    "document with another key": _changed(lambda parts: parts.header.update(load_with="pickle")),
    "counter of -1": _counter(-1),
    "counter of 10^400": _counter(10**400),
    "counter that is true": _counter(True),
    "counter that is a text": _counter("3"),
    "record of 10^400": _changed(lambda parts: parts.header["records"].update(hours=10**400)),
    "record that is a list": _changed(lambda parts: parts.header["records"].update(best=[1])),
    "code that is a list": _changed(lambda parts: parts.header["code"].update(encoder=["evil"])),
    "terminal escapes": _changed(_escapes),
    "encoder named": _settings(encoder="evil:Code"),
    "reward model named": _settings(reward_model="evil:Code"),
    "wrappers named": _settings(wrappers=["evil:Code"]),
    "environment named": _settings(environment="evil:Code-v0"),
    "environment named in two": _settings(environment="evil:x:Code-v0"),
    "environment named inside another": _settings(
        environment="GymV26Environment-v0", environment_kwargs={"env_id": "evil:Code-v0"}
    ),
    "environment with terminal escapes": _settings(environment="evil:\x1b[2J\n\rCode-v0"),
    "environment that is not there": _settings(environment="../evil-v0"),
    "hidden_dim of 10^6": _settings(hidden_dim=10**6),
    "hidden_dim of 2^24": _settings(hidden_dim=2**24),
    "hidden_layers of 64, wide": _settings(hidden_layers=64, hidden_dim=2**20),
    "memory of 10^6": _settings(memory="lstm", hidden_dim=10**6, num_minibatches=1),
    "num_envs of 65,536": _settings(num_envs=65536, batch_size=65536),
    "batch of 2^31": _settings(batch_size=2**31, num_minibatches=1),
    "evaluation of 10^12": _settings(evaluation_episodes=10**12),
    "embedding of 65,536": _settings(embedding_dim=65536),
    "20,000 settings": _changed(lambda parts: parts.header["settings"].update({f"k{n}": 0 for n in range(20_000)})),
    "device that is not there": _settings(device="cuda:99"),
    "input_dim of 10^6": _settings(input_dim=10**6),
    "observations of 10^12": _space("observation", shape=[10**12]),
    "observations of 10^6 by 10^6": _space("observation", shape=[10**6, 10**6]),
    "observations of nothing, 10^12 wide": _space("observation", shape=[0, 10**12]),
    "observations of objects": _space("observation", dtype="object"),
    "observations of long texts": _space("observation", dtype="U1000000000"),
    "observations that are images": _space("observation", kind="image", shape=[10**6, 10**6, 3], order=[2, 0, 1]),
    "observations with a path of 10,000": _space("observation", path=["a"] * 10_000),
    "observations of 10^12 categories": _space(
        "observation", kind="categories", dtype="int64", shape=[], sizes=[10**12], starts=[0]
    ),
    "observations of 90,000 embedded categories": _changed(_embedded),
    "actions of 10^12": _space("action", sizes=[10**12]),
    "actions of -1": _space("action", sizes=[-1]),
    "actions that start at 10^400": _space("action", starts=[10**400]),
    "actions of 50,000 groups": _space("action", shape=[50_000], sizes=[2] * 50_000, starts=[0] * 50_000),
    "actions of nothing": _changed(lambda parts: parts.header["spaces"].update(action=[])),
    "moments that are not finite": _changed(_not_finite),
    "weights that are not finite": _changed(_nan),
    "episodes of other sizes": _tensor("episodes.running", np.zeros((1, 4)), np.float64),
    "episodes of the past of other sizes": _tensor("episodes.recent", np.zeros((7, 3)), np.float64),
    "episodes of the past with one axis": _tensor("episodes.recent", np.zeros(7), np.float64),
    "episodes that are none": _tensor("environment.episodes", [0]),
    "episodes of negative numbers": _tensor("environment.episodes", [-1, -2, -3, -4]),
    "episodes of -10 steps": _tensor("environment.lengths", [-10] * 4),
    "episodes of 10^12 steps": _tensor("environment.lengths", [10**12] * 4),
    "episodes with actions that are none": _tensor("environment.actions", np.full((99, 1), 10**12)),
    "episodes of a negative seed": _tensor("environment.seed", [-1]),
    "episodes without a seed": _tensor("environment.seed", []),
    "collector at step 10^15": _tensor("environment.collector.live_steps", [10**15, 0, 0, 0]),
    "collector at step -1": _tensor("environment.collector.live_steps", [-1] * 4),
    "collector without steps": _tensor("environment.collector.live_steps", []),
    "collector with another memory": _tensor("environment.collector.memory", np.zeros((4, 9)), np.float32),
    "log file outside": _settings(log_file="/tmp/../tmp/evil.log"),
    "warm start from elsewhere": _settings(init_from="/dev/zero"),
}  # fmt: skip
"""What stands in the file, by what is wrong with it."""


def _piped(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def _long_number(path: Path) -> None:
    path.write_text(path.read_text() + f"{'9' * 10_000},1\r\n")


def _linked(path: Path, target: Path | str) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def _folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _giant(path: Path) -> None:
    path.write_bytes(frame(GIANT))
    os.truncate(path, 8 + len(GIANT) + (1 << 40))  # a hole: it takes no room on the disk


def _shadowed(path: Path) -> None:
    for name in ("torch", "numpy", "sitecustomize", "safetensors", "gymnasium"):
        (path.parent / f"{name}.py").write_text("import os\nos.system('echo executed > executed')\n")


def _planted(path: Path) -> None:
    for name in ("__pycache__", "compiled", ".cache/actor-critic/compiled"):
        folder = path.parent / name
        folder.mkdir(parents=True)
        (folder / "update.update-350.py311.nbi").write_bytes(_pickled(2))


FOLDERS: dict[str, Callable[[Path], None]] = {
    "link to itself": lambda path: _linked(path, path.name),
    "link to /dev/zero": lambda path: _linked(path, "/dev/zero"),
    "link to a folder": lambda path: _linked(path, path.parent),
    "pipe": lambda path: _piped(path),
    "folder": _folder_instead,
    "metrics that are a pipe": lambda path: _piped(path.with_name("metrics.csv")),
    "metrics that link to /dev/zero": lambda path: _linked(path.with_name("metrics.csv"), "/dev/zero"),
    "metrics with a number of 10,000 digits": lambda path: _long_number(path.with_name("metrics.csv")),
    "evaluation that is a pipe": lambda path: _piped(path.with_name("evaluation.json")),
    "evaluation that links to /dev/zero": lambda path: _linked(path.with_name("evaluation.json"), "/dev/zero"),
    "settings that are a pipe": lambda path: _piped(path.with_name("settings.json")),
    "settings that link to /dev/zero": lambda path: _linked(path.with_name("settings.json"), "/dev/zero"),
    "lock that links outside": lambda path: _linked(path.with_name(".lock"), path.parents[2] / "victim"),
    "file of a terabyte": _giant,
    "shadowing modules in the run folder": _shadowed,
    "planted cache": _planted,
}
"""What is done in the folder of a run, whose checkpoint has this path."""

# --- the process that watches ---

CONTROL = "what is seen where something is executed"
WATCHED = {
    "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "subprocess.Popen", "pickle.find_class",
    "marshal.loads", "marshal.load", "socket.connect", "socket.bind", "ctypes.dlopen", "exec", "compile",
    "code.__new__",
}  # fmt: skip


class Watch:
    """What the interpreter does, while it is looked at."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.folder: Path | None = None
        self.may_compute = False
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.folder is None:
            return
        if event == "compile" and arguments[1] == "<unknown>":
            return  # a line of ours, parsed for a traceback in the log
        if event == "ctypes.dlopen" and str(arguments[0]).startswith(sys.prefix):
            return  # the libraries of ours, whose threads are counted
        if event in WATCHED and not self.may_compute:
            self.seen.append(f"{event} {arguments!r:.200}")
        elif event == "import" and str(arguments[0]).split(".")[0] == "evil":
            self.seen.append(f"import {arguments[0]}")
        elif event == "open" and isinstance(arguments[0], (str, bytes, os.PathLike)):
            flags = arguments[2] if isinstance(arguments[2], int) else 0
            path = Path(os.path.abspath(os.fsdecode(arguments[0])))
            is_ours = path.is_relative_to(self.folder) or ".cache" in path.parts or path == Path("/dev/null")
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and not is_ours:
                self.seen.append(f"open {path}")


def command(*words: str) -> tuple[int, str, str]:
    """A command in this process."""
    from actor_critic.cli import main

    if words[0] == CONTROL:
        pickle.loads(_pickled(4))
        return 0, "", ""
    sys.argv = ["actor-critic", *words]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else 0
    return code, out.getvalue(), err.getvalue()


def commands(run: Path) -> list[tuple[str, ...]]:
    """What somebody may do with a run they were sent."""
    file = str(run / NAME)
    return [("inspect", file), ("evaluate", file, "--episodes", "1", "--device", "cpu"), ("resume", str(run))]


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def main() -> None:
    """Try every case in the folder given, and print a line of JSON for each command."""
    template, *names = sys.argv[1:]
    base = Path.cwd()
    watch = Watch()
    victim = base / "victim"
    good = (Path(template) / NAME).read_bytes()
    for name in ["warm up", CONTROL, *names]:
        folder = base / "".join(letter if letter.isalnum() else "_" for letter in name)
        run = folder / "run"
        shutil.copytree(template, run)
        os.chdir(folder)
        victim.write_text("precious")
        (folder / "evil.py").write_text("open('executed', 'w').close()\n")
        if name in FILES:
            (run / NAME).write_bytes(FILES[name](good))
        elif name in FOLDERS:
            FOLDERS[name](run / NAME)
        for words in [(CONTROL,)] if name == CONTROL else commands(run):
            before, began = peak(), time.process_time()
            watch.seen.clear()
            watch.may_compute = name in HARMLESS  # a run that goes on compiles what it needs
            watch.folder = None if name == "warm up" else folder
            code, out, err = command(*words)
            watch.folder = None
            found = {
                "name": name,
                "command": words[0],
                "code": code,
                "out": out,
                "err": err,
                "seconds": time.process_time() - began,
                "memory": peak() - before,
                "seen": watch.seen,
                "is_executed": bool([*folder.rglob("executed"), *base.glob("executed")])
                or victim.read_text() != "precious",
            }
            print(json.dumps(found), flush=True)
        os.chdir(base)
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
