//! What holds for any input. Each module has one `check` that panics where it doesn't: fuzz targets call it with what
//! libFuzzer makes up, and `tests/fuzz_bodies.rs` with the seeds and with changed seeds, on stable (S-32).

pub mod http_reply;
pub mod metainfo;
pub mod tolerance;
pub mod tracker_list;
pub mod tracker_url;
pub mod udp;

/// Panics where something does not hold for this input.
pub type Check = fn(&[u8]);

/// The targets, by the names of their folders in `seeds`.
pub const TARGETS: [(&str, Check); 6] = [
    ("http_reply", http_reply::check),
    ("metainfo", metainfo::check),
    ("tolerance", tolerance::check),
    ("tracker_list", tracker_list::check),
    ("tracker_url", tracker_url::check),
    ("udp", udp::check),
];

/// Fails where a text for people could steer a terminal or flood it (S-20, S-21).
pub(crate) fn check_text(text: &str) {
    assert!(text.chars().count() <= 1024, "{} characters", text.chars().count());
    assert!(!text.chars().any(char::is_control), "{text:?}");
    let invisible = |c| {
        matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
    };
    assert!(!text.chars().any(invisible), "{text:?}");
}
