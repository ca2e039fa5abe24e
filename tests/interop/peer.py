"""peer.py one|all FOLDER PORT FILE...: libtorrent with these torrent files, seeding and downloading, until it is killed.

Default settings, but for what finds peers without trackers, and with "all" that it asks every tracker. "limit N" on standard
input lets it send no more than N bytes a second, 0 for as many as it can.
"""

import sys

import libtorrent

trackers, folder, port, *files = sys.argv[1:]
session = libtorrent.session({
    "listen_interfaces": f"127.0.0.1:{port}",
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "allow_multiple_connections_per_ip": True,
    "announce_to_all_tiers": trackers == "all",
    "announce_to_all_trackers": trackers == "all",
})
handles = []
for file in files:
    params = libtorrent.add_torrent_params()
    params.ti = libtorrent.torrent_info(file)
    params.save_path = folder
    params.flags |= libtorrent.torrent_flags.disable_pex
    handles.append(session.add_torrent(params))
for line in sys.stdin:
    for handle in handles:
        handle.set_upload_limit(int(line.split()[1]))
