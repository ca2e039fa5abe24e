//! The exit codes, as `--help` lists them.

pub(crate) const COMPLETE: u8 = 0;
pub(crate) const OTHER: u8 = 1;
pub(crate) const USAGE: u8 = 2;
pub(crate) const INCOMPLETE: u8 = 3;
pub(crate) const REFUSED: u8 = 4;
pub(crate) const DISK: u8 = 5;
pub(crate) const NOT_WHOLE: u8 = 6;
pub(crate) const INTERRUPTED: u8 = 130;

/// The code of a process whose torrents ended with these: that which asks most of the user. What has to be mended comes before
/// what another try may bring, and an interruption that the user knows of comes last.
pub(crate) fn worst(codes: &[u8]) -> u8 {
    let order = [DISK, REFUSED, USAGE, OTHER, NOT_WHOLE, INCOMPLETE, INTERRUPTED];
    order.into_iter().find(|code| codes.contains(code)).unwrap_or(COMPLETE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_code_is_the_one_that_asks_most() {
        for (codes, expected) in [
            (&[][..], COMPLETE),
            (&[COMPLETE, COMPLETE], COMPLETE),
            (&[COMPLETE, INTERRUPTED], INTERRUPTED),
            (&[INTERRUPTED, INCOMPLETE, COMPLETE], INCOMPLETE),
            (&[INCOMPLETE, NOT_WHOLE], NOT_WHOLE),
            (&[NOT_WHOLE, OTHER, USAGE], USAGE),
            (&[REFUSED, USAGE, OTHER], REFUSED),
            (&[REFUSED, DISK, INTERRUPTED], DISK),
        ] {
            assert_eq!(worst(codes), expected, "{codes:?}");
        }
    }
}
