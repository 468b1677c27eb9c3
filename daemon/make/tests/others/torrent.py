"""Makes a torrent with libtorrent: INPUT OUTPUT PIECE_LENGTH v1|aligned|v2|hybrid [private] [source=S]. Prints the info-hashes."""

import os
import sys

try:
    import libtorrent as lt
except ImportError:
    sys.exit("python3-libtorrent is not installed (apt-get install python3-libtorrent)")

path, output, piece_length, kind = sys.argv[1:5]
flags = {
    "v1": lt.create_torrent.v1_only,
    "aligned": lt.create_torrent.v1_only | lt.create_torrent.canonical_files,
    "v2": lt.create_torrent.v2_only,
    "hybrid": 0,
}[kind]
files = lt.file_storage()
lt.add_files(files, path)
torrent = lt.create_torrent(files, int(piece_length), flags=flags)
torrent.set_priv("private" in sys.argv[5:])
lt.set_piece_hashes(torrent, os.path.dirname(os.path.abspath(path)))
with open(output, "wb") as out:
    out.write(lt.bencode(torrent.generate()))
hashes = lt.torrent_info(output).info_hashes()
print(hashes.v1 if hashes.has_v1() else "-", hashes.v2 if hashes.has_v2() else "-")
