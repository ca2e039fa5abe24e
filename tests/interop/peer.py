"""peer.py [OPTION...] FOLDER PORT TORRENT...: libtorrent with these torrent files and magnet links, seeding and
downloading, until it is killed.

Default settings, but for what finds peers without trackers, which is off unless an option says otherwise:

  --all            asks every tracker
  --pex            exchanges peers
  --dht PORT,...   is a node of the DHT, which begins with the nodes at these ports of 127.0.0.1
  --encryption W   W is require (all connections are encrypted with RC4), or off (none is)
  --fast           prints each message of the fast extension (BEP 6) as "fast sent NAME" or "fast got NAME"
  --super          names its pieces one by one to each peer (BEP 16)

On standard input "limit N" lets it send no more than N bytes a second, 0 for as many as it can; "fetch N" the same for
what it receives; "connect PORT" makes it connect to a peer at 127.0.0.1. As a node of the DHT it prints "announced" when a
peer has announced itself to it, and "asked PORT" when it first asks the node at that port of 127.0.0.1 something.
"""

import re
import sys
import threading

import libtorrent

options = {}
arguments = sys.argv[1:]
while arguments[0].startswith("--"):
    option = arguments.pop(0)
    options[option] = arguments.pop(0) if option in ("--dht", "--encryption") else True
folder, port, *torrents = arguments
policy = {None: libtorrent.enc_policy.pe_enabled, "require": libtorrent.enc_policy.pe_forced,
          "off": libtorrent.enc_policy.pe_disabled}[options.get("--encryption")]
level = libtorrent.enc_level.pe_rc4 if options.get("--encryption") == "require" else libtorrent.enc_level.pe_both
session = libtorrent.session({
    "out_enc_policy": policy,
    "in_enc_policy": policy,
    "allowed_enc_level": level,
    "listen_interfaces": f"127.0.0.1:{port}",
    "enable_dht": "--dht" in options,
    "dht_bootstrap_nodes": ",".join(f"127.0.0.1:{node}" for node in options.get("--dht", "").split(",") if node),
    # All nodes have one address here, which on the internet would be an attack.
    "dht_restrict_routing_ips": False,
    "dht_restrict_search_ips": False,
    "dht_enforce_node_id": False,
    "dht_prefer_verified_node_ids": False,
    "dht_ignore_dark_internet": False,
    "dht_announce_interval": 5,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "allow_multiple_connections_per_ip": True,
    "announce_to_all_tiers": "--all" in options,
    "announce_to_all_trackers": "--all" in options,
    "alert_mask": libtorrent.alert.category_t.dht_notification | libtorrent.alert.category_t.dht_log_notification
                  | (libtorrent.alert.category_t.peer_log_notification if "--fast" in options else 0),
})


def watch():
    asked = set()
    while True:
        session.wait_for_alert(1000)
        for alert in session.pop_alerts():
            if isinstance(alert, libtorrent.dht_announce_alert):
                print("announced", flush=True)
            elif "--fast" in options and isinstance(alert, libtorrent.peer_log_alert):
                message = re.search(r"(==>|<==) (HAVE_ALL|HAVE_NONE|REJECT_PIECE|ALLOWED_FAST|SUGGEST_PIECE)\b", alert.message())
                if message:
                    print("fast", "sent" if message[1] == "==>" else "got", message[2], flush=True)
            elif isinstance(alert, libtorrent.dht_pkt_alert):
                packet = re.match(r"==> \[127\.0\.0\.1:(\d+)\].*'y': 'q'", alert.message())
                if packet and packet[1] not in asked:
                    asked.add(packet[1])
                    print("asked", packet[1], flush=True)


threading.Thread(target=watch, daemon=True).start()
handles = []
for torrent in torrents:
    if torrent.startswith("magnet:"):
        params = libtorrent.parse_magnet_uri(torrent)
    else:
        params = libtorrent.add_torrent_params()
        params.ti = libtorrent.torrent_info(torrent)
    params.save_path = folder
    if "--pex" not in options:
        params.flags |= libtorrent.torrent_flags.disable_pex
    if "--super" in options:
        params.flags |= libtorrent.torrent_flags.super_seeding
    handles.append(session.add_torrent(params))
for line in sys.stdin:
    command, number = line.split()
    for handle in handles:
        if command == "limit":
            handle.set_upload_limit(int(number))
        elif command == "fetch":
            handle.set_download_limit(int(number))
        elif command == "connect":
            handle.connect_peer(("127.0.0.1", int(number)))
