"""libtorrent_client.py TORRENTS DOWNLOADS PORT: libtorrent on a folder of torrent files, until SIGTERM.

Default settings, but for what finds peers without trackers, and none is queued. At its end it sends `stopped`.
"""

import pathlib
import signal
import sys
import threading
import time

import libtorrent

torrents, downloads, port = sys.argv[1:]
end = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: end.set())
session = libtorrent.session({
    "listen_interfaces": f"127.0.0.1:{port}",
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
})
for file in sorted(pathlib.Path(torrents).iterdir()):
    params = libtorrent.add_torrent_params()
    params.ti = libtorrent.torrent_info(str(file))
    params.save_path = downloads
    params.flags |= libtorrent.torrent_flags.disable_pex
    params.flags &= ~(libtorrent.torrent_flags.auto_managed | libtorrent.torrent_flags.paused)
    session.async_add_torrent(params)
while not end.wait(0.5):
    session.pop_alerts()
# As qBittorrent ends: all torrents are paused, which announces `stopped`, and then the session waits for the answers,
# `stop_tracker_timeout` seconds at most.
session.pause()
time.sleep(5)
del session
