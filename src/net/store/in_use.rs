//! Files that another process has open. Windows refuses to open or to replace them meanwhile, which is for a moment.

use std::io;
use std::thread;
use std::time::Duration;

/// How often it is tried at most. A file of this size is open for a few milliseconds at a time.
const ATTEMPTS: usize = 60;

/// The pause between two attempts. The end of an announcer waits longer than all of them take.
const PAUSE: Duration = Duration::from_millis(10);

/// Does something with a file, and tries again while another process has it open.
pub(super) fn while_in_use<T>(operation: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    retried(is_in_use, || thread::sleep(PAUSE), operation)
}

/// `ERROR_ACCESS_DENIED` is what Windows gives for a file that is open while it is replaced, or deleted while it is opened;
/// else it is `ERROR_SHARING_VIOLATION`.
fn is_in_use(error: &io::Error) -> bool {
    cfg!(windows) && matches!(error.raw_os_error(), Some(5 | 32))
}

fn retried<T>(
    passes: impl Fn(&io::Error) -> bool,
    mut pause: impl FnMut(),
    mut operation: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    for _ in 1..ATTEMPTS {
        match operation() {
            Err(error) if passes(&error) => pause(),
            result => return result,
        }
    }
    operation()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The result of an operation that fails so often with this code, how often it was tried, and how many pauses were made.
    fn tried(failures: usize, code: i32) -> (Option<i32>, usize, usize) {
        let (mut attempts, mut pauses) = (0, 0);
        let operation = || {
            attempts += 1;
            if attempts > failures { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
        };
        let result = retried(|error| error.raw_os_error() == Some(32), || pauses += 1, operation);
        (result.err().and_then(|error| error.raw_os_error()), attempts, pauses)
    }

    #[test]
    fn a_file_in_use_is_tried_again_a_bounded_number_of_times() {
        assert_eq!(tried(0, 32), (None, 1, 0));
        assert_eq!(tried(3, 32), (None, 4, 3));
        assert_eq!(tried(ATTEMPTS - 1, 32), (None, ATTEMPTS, ATTEMPTS - 1));
        assert_eq!(tried(usize::MAX, 32), (Some(32), ATTEMPTS, ATTEMPTS - 1));
        assert_eq!(tried(3, 2), (Some(2), 1, 0), "another error is one at once");
    }

    /// Elsewhere the codes are those of other errors, which don't pass.
    #[test]
    fn only_on_windows_a_file_can_be_in_use() {
        let expected = cfg!(windows);
        for (code, is_passing) in [(5, expected), (32, expected), (2, false), (13, false)] {
            assert_eq!(is_in_use(&io::Error::from_raw_os_error(code)), is_passing, "{code}");
        }
    }
}
