#!/usr/bin/python3
"""Making and checking torrents, beside mktorrent, transmission-create and libtorrent, on the same files in the same run.

    tests/bench/make.py [--size GIB] [--files N] [--runs N] [--btctl PATH]

Each program has several turns, one after the other and in rounds, so that other work on the machine falls on all alike; its best turn
counts. The files are in /dev/shm, so no disk is measured. The last columns are ratios to the fastest other program: above 1 we are faster, or
cheaper.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time

LIBTORRENT_MAKE = """
import libtorrent as lt, os, sys
files = lt.file_storage()
lt.add_files(files, sys.argv[1])
torrent = lt.create_torrent(files, int(sys.argv[3]), flags=lt.create_torrent.v1_only)
lt.set_piece_hashes(torrent, os.path.dirname(sys.argv[1]))
open(sys.argv[2], "wb").write(lt.bencode(torrent.generate()))
"""

LIBTORRENT_CHECK = """
import libtorrent as lt, sys, time
session = lt.session({"listen_interfaces": "", "enable_dht": False, "enable_lsd": False, "enable_upnp": False,
    "enable_natpmp": False, "hashing_threads": 2, "aio_threads": 2, "checking_mem_usage": 2048})
handle = session.add_torrent({"ti": lt.torrent_info(sys.argv[1]), "save_path": sys.argv[2]})
while handle.status().state in (lt.torrent_status.checking_files, lt.torrent_status.checking_resume_data):
    time.sleep(0.005)
assert handle.status().progress == 1.0, "the data is not right"
"""


def measure(command):
    """Wall and processor seconds of a command."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - start
    if process.returncode != 0:
        sys.exit(f"{command[0]} failed: {errors.decode(errors='replace')}")
    return wall, usage.ru_utime + usage.ru_stime


def compare(title, size, programs, runs, cleanup):
    """Runs all programs in rounds and prints their best turns; the first is ours."""
    best = {}
    for _ in range(runs):
        for name, command in programs.items():
            cleanup()
            wall, cpu = measure(command)
            before = best.get(name, (float("inf"), float("inf")))
            best[name] = (min(before[0], wall), min(before[1], cpu))
    ours, *others = best
    wall = min(best[name][0] for name in others)
    cpu = min(best[name][1] for name in others)
    gib = size / (1 << 30)
    print(f"\n{title}")
    print(f"  {'':22} {'seconds':>8} {'MB/s':>8} {'CPU s/GiB':>10}")
    for name, (w, c) in best.items():
        print(f"  {name:22} {w:8.3f} {size / w / 1e6:8.0f} {c / gib:10.3f}")
    print(f"  {ours} is {wall / best[ours][0]:.2f} times as fast and takes {best[ours][1] / cpu:.2f} of the CPU of the best other")


def noise(path, size):
    block = os.urandom(16 << 20)
    with open(path, "wb") as out:
        for index in range(0, size, len(block)):
            # Different everywhere, without asking for gigabytes of randomness.
            out.write(index.to_bytes(8, "little") + block[8 : min(len(block), size - index)])


def many(folder, count):
    total = 0
    for index in range(count):
        directory = f"{folder}/{index % 200:03}"
        os.makedirs(directory, exist_ok=True)
        data = os.urandom(64) * (index * 7919 % 320 + 1)
        with open(f"{directory}/file {index:05}", "wb") as out:
            total += out.write(data)
    return total


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=float, default=4, help="GiB in the large file")
    parser.add_argument("--files", type=int, default=20_000, help="how many small files")
    parser.add_argument("--runs", type=int, default=5)
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
    parser.add_argument("--btctl", default=os.path.join(root, "target/release/btctl"))
    options = parser.parse_args()
    for program, package in [("mktorrent", "mktorrent"), ("transmission-create", "transmission-cli")]:
        if not shutil.which(program):
            sys.exit(f"{program} is missing: apt-get install {package}")
    if not os.access(options.btctl, os.X_OK):
        sys.exit(f"{options.btctl} is missing: cargo build --release -p btctl")

    work = tempfile.mkdtemp(prefix="bench-make-", dir="/dev/shm")
    try:
        run(options, work)
    finally:
        shutil.rmtree(work)


def run(options, work):
    output, btctl, threads = f"{work}/out.torrent", options.btctl, str(os.cpu_count())

    def cleanup():
        if os.path.exists(output):
            os.unlink(output)

    def makers(path, exponent):
        piece = 1 << exponent
        common = [btctl, "mktorrent", "--local", "-w", "-l", str(exponent), "-p", output, path]
        return {
            "btctl": common,
            f"mktorrent -t{threads}": ["mktorrent", "-t", threads, "-d", "-l", str(exponent), "-a", "http://a.example/", "-o", output, path],
            "transmission-create": ["transmission-create", "-s", str(piece // 1024), "-o", output, path],
            "libtorrent": [sys.executable, "-c", LIBTORRENT_MAKE, path, output, str(piece)],
        }

    small = f"{work}/many"
    size = many(small, options.files)
    compare(f"making: {options.files} files, {size / 1e6:.0f} MB, pieces of 256 KiB", size, makers(small, 18), options.runs, cleanup)
    shutil.rmtree(small)

    large = f"{work}/large"
    size = int(options.size * (1 << 30))
    noise(large, size)
    compare(f"making: one file of {options.size:g} GiB, pieces of 2 MiB", size, makers(large, 21), options.runs, cleanup)
    for flag in ["--v2", "--hybrid"]:
        wall, cpu = min(measure([btctl, "mktorrent", "--local", flag, "--force", "-l", "21", "-p", output, large]) for _ in range(options.runs))
        print(f"  btctl {flag:16} {wall:8.3f} {size / wall / 1e6:8.0f} {cpu / options.size:10.3f}")

    torrent = f"{work}/check.torrent"
    measure([btctl, "mktorrent", "--local", "-l", "21", "-p", torrent, large])
    checkers = {
        "btctl": [btctl, "verify", torrent, large],
        "libtorrent": [sys.executable, "-c", LIBTORRENT_CHECK, torrent, work],
    }
    compare(f"checking: one file of {options.size:g} GiB", size, checkers, options.runs, lambda: None)


main()
