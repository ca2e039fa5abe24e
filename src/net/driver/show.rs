//! What the loop shows to recorders and subscribers of the program.

use super::Driver;
#[cfg(any(feature = "metrics", feature = "tracing"))]
use crate::net::guarded;
use crate::policy::Output;

impl Driver {
    /// Shows what is done to recorders and subscribers of the program: without a lock, and their panics end nothing (R93),
    /// because they are foreign code.
    #[cfg_attr(
        not(any(feature = "metrics", feature = "tracing")),
        expect(
            clippy::unused_self,
            clippy::needless_pass_by_ref_mut,
            reason = "without a feature nothing is shown"
        )
    )]
    pub(super) fn show(&mut self, output: &Output) {
        #[cfg(feature = "metrics")]
        {
            let now = self.torrents().clock.now();
            guarded::contained(|| self.meters.done(output, now));
        }
        #[cfg(feature = "tracing")]
        match output {
            Output::Alert { torrent, alert } => {
                let info_hash = self.torrents().info_hash(*torrent);
                if let Some(info_hash) = info_hash {
                    guarded::contained(|| self.spans.alert(*torrent, info_hash, alert));
                }
            }
            Output::RoundEnded { torrent, .. } => {
                guarded::contained(|| self.spans.round_ended(*torrent));
            }
            Output::Ended { torrent, .. } => {
                guarded::contained(|| self.spans.ended(*torrent));
            }
            _ => {}
        }
        #[cfg(not(any(feature = "metrics", feature = "tracing")))]
        let _ = output;
    }
}
