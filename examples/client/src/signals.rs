//! Ctrl+C and SIGTERM: the first asks for an end, the second takes one.

use std::io;

use tokio::sync::watch::{Receiver, channel};

/// Hears of the first signal. From the second one on the process ends at once.
#[derive(Debug, Clone)]
pub(crate) struct Signals(Receiver<bool>);

impl Signals {
    /// Listens from now on; to be called within the runtime.
    ///
    /// # Errors
    /// When the system gives no signals.
    pub(crate) fn listen() -> io::Result<Self> {
        let mut source = Source::new()?;
        let (sender, receiver) = channel(false);
        tokio::spawn(async move {
            source.next().await;
            sender.send_replace(true);
            source.next().await;
            std::process::exit(crate::exit::INTERRUPTED.into());
        });
        Ok(Self(receiver))
    }

    /// Waits for the first signal.
    pub(crate) async fn recv(&mut self) {
        if self.0.wait_for(|&has_come| has_come).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(unix)]
struct Source([tokio::signal::unix::Signal; 3]);

#[cfg(unix)]
impl Source {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

#[cfg(windows)]
struct Source(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Source {
    fn new() -> io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn next(&mut self) {
        self.0.recv().await;
    }
}
