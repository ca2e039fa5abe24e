//! Ctrl+C and SIGTERM: the first asks for an end, the second takes one.

use tokio::sync::mpsc::{Receiver, channel};

/// Hears of the first signal. From the second one on the process ends at once.
#[derive(Debug)]
pub(crate) struct Signals(Receiver<()>);

impl Signals {
    /// Listens from now on; to be called within the runtime.
    pub(crate) fn listen() -> Self {
        let (sender, receiver) = channel(1);
        tokio::spawn(async move {
            any().await;
            // Nobody waits any more when the program is ending already.
            let _ = sender.send(()).await;
            any().await;
            std::process::exit(crate::exit::INTERRUPTED.into());
        });
        Self(receiver)
    }

    /// Waits for the first signal.
    pub(crate) async fn recv(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(unix)]
async fn any() {
    use tokio::signal::unix::{SignalKind, signal};
    let hear = |kind| async move {
        match signal(kind) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = hear(SignalKind::interrupt()) => {}
        () = hear(SignalKind::terminate()) => {}
        () = hear(SignalKind::hangup()) => {}
    }
}

#[cfg(not(unix))]
async fn any() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
