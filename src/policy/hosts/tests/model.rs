//! When a failing host may be tried again, and by which torrent: a model written from the rules, and random steps that
//! both take.
