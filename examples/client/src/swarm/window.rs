//! How many requests are kept outstanding at a peer: libtorrent's rule.
//!
//! 1. It begins in a slow start: every block that arrives allows one more, so the window doubles with every
//!    turn of the peer's, until the speed no longer grows.
//! 2. From then on it is what the peer delivers in three seconds, since many peers answer in pulses.
//! 3. It is never beyond the peer's own queue (`reqq`, BEP 10) and never beyond 500. A peer that has shown
//!    speed has at least 64; one that stays silent has one.

use std::time::Duration;

use crate::wire::message::BLOCK;

/// The window of one peer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    size: usize,
    slow_start: bool,
    fast: bool,
    reqq: usize,
    speed: u64,
    judged: Duration,
}

impl Window {
    /// The window of a peer that has sent no limit.
    pub(crate) fn new(now: Duration) -> Self {
        Self { size: INITIAL, slow_start: true, fast: false, reqq: DEFAULT_REQQ, speed: 0, judged: now }
    }

    /// Takes the peer's own limit.
    pub(crate) fn set_reqq(&mut self, reqq: u32) {
        self.reqq = (reqq as usize).clamp(1, MAX);
    }

    /// How many requests may be outstanding.
    pub(crate) fn size(&self) -> usize {
        let floor = if self.fast { FAST_FLOOR } else { FLOOR };
        self.size.max(floor).min(self.reqq)
    }

    /// A block arrived.
    pub(crate) fn received(&mut self) {
        if self.slow_start {
            self.size = (self.size + 1).min(MAX);
        }
    }

    /// Judges the peer by its speed in bytes a second, once a second.
    pub(crate) fn tick(&mut self, now: Duration, speed: u64) {
        if now.saturating_sub(self.judged) < Duration::from_secs(1) {
            return;
        }
        self.judged = now;
        self.fast = speed >= FAST_FLOOR as u64 * u64::from(BLOCK);
        if self.slow_start {
            // A peer that hasn't begun is still in its start.
            self.slow_start = speed == 0 || speed > self.speed.saturating_add(GROWTH);
        }
        if !self.slow_start {
            self.size = usize::try_from(speed * QUEUE_SECONDS / u64::from(BLOCK)).unwrap_or(MAX).min(MAX);
        }
        self.speed = speed;
    }
}

/// Seconds of delivery kept outstanding (libtorrent `request_queue_time`).
const QUEUE_SECONDS: u64 = 3;
/// The most that is ever outstanding at a peer (libtorrent `max_out_request_queue`).
const MAX: usize = 500;
/// The queue assumed of a peer that sends no limit (libtorrent).
const DEFAULT_REQQ: usize = 250;
const INITIAL: usize = 16;
const FLOOR: usize = 2;
const FAST_FLOOR: usize = 64;
/// A slow start goes on while the speed grows by so much a second.
const GROWTH: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn second(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn it_doubles_with_every_turn_and_then_follows_the_speed() {
        let mut window = Window::new(Duration::ZERO);
        assert_eq!(window.size(), 16);
        (0..16).for_each(|_| window.received());
        assert_eq!(window.size(), 32);
        window.tick(second(1), 160_000);
        (0..100).for_each(|_| window.received());
        assert_eq!(window.size(), 132);
        // It no longer grows: three seconds' worth from here on.
        window.tick(second(2), 163_840);
        window.received();
        assert_eq!(window.size(), 30);
        window.tick(second(3), 0);
        assert_eq!(window.size(), 2);
    }

    #[test]
    fn it_stays_within_the_limits() {
        let mut window = Window::new(Duration::ZERO);
        (0..1000).for_each(|_| window.received());
        assert_eq!(window.size(), 250);
        for (reqq, expected) in [(0, 1), (50, 50), (400, 400), (u32::MAX, 500)] {
            window.set_reqq(reqq);
            assert_eq!(window.size(), expected, "reqq {reqq}");
        }
        let mut quick = Window::new(Duration::ZERO);
        quick.tick(second(1), 2 << 20);
        assert_eq!(quick.size(), 64);
    }
}
