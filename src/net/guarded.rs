//! Guards around code of the client that runs inside the loop, so that its panics don't end the loop (R93).

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use crate::text::fit;

/// A value of a client's type, whose `drop` may panic.
pub(super) struct Guarded<T>(Option<T>);

/// The payload of a panic.
pub(super) type Panic = Box<dyn Any + Send>;

/// How many characters of a panic's message are kept.
const MAX_PANIC_TEXT_LEN: usize = 200;

impl<T> Guarded<T> {
    pub(super) fn new(value: T) -> Self {
        Self(Some(value))
    }

    /// The value; there is always one until this is dropped.
    pub(super) fn get_mut(&mut self) -> Option<&mut T> {
        self.0.as_mut()
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        let value = self.0.take();
        contained(|| drop(value));
    }
}

impl<T> fmt::Debug for Guarded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guarded")
    }
}

/// Calls a client's code; `None` where it panicked.
pub(super) fn contained<R>(call: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(call)).map_err(discard).ok()
}

/// Drops the payload of a panic, which may panic as well.
pub(super) fn discard(panic: Panic) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(move || drop(panic))) {
        std::mem::forget(again);
    }
}

/// The output of a future, or its panic. After a panic, what it borrowed may be in any state.
pub(super) async fn caught<F: Future>(future: F) -> Result<F::Output, Panic> {
    let mut future = pin!(future);
    std::future::poll_fn(move |context| {
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    })
    .await
}

/// The message of a panic, without control characters.
pub(super) fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    fit(&text.unwrap_or("no text").chars().take(MAX_PANIC_TEXT_LEN).collect::<String>())
}
