"""libtorrent_client.py FILE FOLDER PORT [INTERVAL]: libtorrent on a torrent file, until it is killed.

Default settings, but for what finds peers without trackers. With INTERVAL trackers may ask for announces as often as
once in so many seconds; by default libtorrent waits for 5 minutes, whatever they ask for.
"""

import sys
import time

import libtorrent

file, folder, port, *interval = sys.argv[1:]
session = libtorrent.session({
    "listen_interfaces": f"127.0.0.1:{port}",
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    **{"min_announce_interval": int(seconds) for seconds in interval},
})
params = libtorrent.add_torrent_params()
params.ti = libtorrent.torrent_info(file)
params.save_path = folder
params.flags |= libtorrent.torrent_flags.disable_pex
session.add_torrent(params)
time.sleep(3600)
