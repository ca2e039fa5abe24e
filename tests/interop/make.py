"""make.py PATH OUTPUT: makes a torrent file (BitTorrent 1) of a file or folder with libtorrent."""

import os
import sys

import libtorrent

path, output = sys.argv[1:]
torrent = libtorrent.create_torrent(libtorrent.list_files(path), 16384, libtorrent.create_torrent.v1_only)
libtorrent.set_piece_hashes(torrent, os.path.dirname(path))
with open(output, "wb") as file:
    file.write(libtorrent.bencode(torrent.generate()))
