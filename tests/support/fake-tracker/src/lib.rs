//! Scripted BitTorrent trackers on loopback.
