//! What the page calls. A request is written to a buffer of this module, and its answer read from another one.

#![expect(
    unsafe_code,
    reason = "an export needs its name as it is, and no code here is unsafe beyond that attribute"
)]

use std::sync::{Mutex, PoisonError};

/// The request that the page writes.
static REQUEST: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// The answer that it reads.
static ANSWER: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// The longest request, in bytes: that of a thousand edits is shorter.
const MAX_REQUEST: usize = 1 << 20;

/// Makes room for a request of this length, and gives the place where it is to be written. The place of an empty request
/// where it is longer than 1 MiB.
#[unsafe(no_mangle)]
pub extern "C" fn request(length: usize) -> *mut u8 {
    let mut request = REQUEST.lock().unwrap_or_else(PoisonError::into_inner);
    request.clear();
    request.resize(if length > MAX_REQUEST { 0 } else { length }, 0);
    request.as_mut_ptr()
}

/// Answers the request that was written, and gives the length of the answer.
#[unsafe(no_mangle)]
pub extern "C" fn answer() -> usize {
    let request = std::mem::take(&mut *REQUEST.lock().unwrap_or_else(PoisonError::into_inner));
    let answer = crate::answer(&String::from_utf8_lossy(&request)).into_bytes();
    let length = answer.len();
    *ANSWER.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    length
}

/// Where the answer is.
#[unsafe(no_mangle)]
pub extern "C" fn answer_at() -> *const u8 {
    ANSWER.lock().unwrap_or_else(PoisonError::into_inner).as_ptr()
}
