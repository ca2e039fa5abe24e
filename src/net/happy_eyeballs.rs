//! Happy eyeballs (RFC 8305): the addresses of one host are tried one after the other and then in parallel. Together
//! they are one attempt.

use std::collections::VecDeque;
use std::future::{Future, pending, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use tokio::time::sleep_until;

use super::clock;
#[cfg(feature = "udp")]
use super::found_addresses::FoundAddresses;
use crate::error::AnnounceError;

/// How long an address may be silent before the next one is tried beside it (RFC 8305, 5).
pub(super) const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// Tries all addresses until one succeeds: the next one as soon as one has failed, and every 250 ms. The families take
/// turns, beginning with that of the first address.
///
/// # Errors
/// When all failed: the error that is the best evidence about the tracker.
///
/// # Cancel safety
/// Dropping the future gives up all attempts that it began.
#[cfg(any(feature = "http", test))]
pub(super) async fn first<T, F>(
    addresses: &[SocketAddr],
    attempt: impl Fn(SocketAddr) -> F,
) -> Result<(SocketAddr, T), AnnounceError>
where
    F: Future<Output = Result<T, AnnounceError>>,
{
    in_turn(interleaved(addresses), std::future::ready(Vec::new()), attempt).await
}

/// Tries addresses as [`first`] does, without waiting for those that are still looked up.
///
/// # Errors
/// When all failed: the error that is the best evidence about the tracker.
///
/// # Cancel safety
/// Dropping the future gives up all attempts that it began, and the look-up.
#[cfg(feature = "udp")]
pub(super) async fn first_found<T, F>(
    addresses: FoundAddresses,
    attempt: impl Fn(SocketAddr) -> F,
) -> Result<(SocketAddr, T), AnnounceError>
where
    F: Future<Output = Result<T, AnnounceError>>,
{
    let (known, later) = addresses.into_parts();
    in_turn(interleaved(&known), later, attempt).await
}

/// Tries all targets until one succeeds: the next one as soon as one has failed, and every 250 ms. Those that are `found_later`
/// line up behind the others, so that no slow part of a look-up delays what is known already (RFC 8305, 3).
///
/// # Errors
/// When all failed: the error that is the best evidence about the tracker.
///
/// # Cancel safety
/// Dropping the future gives up all attempts that it began, and the look-up.
pub(super) async fn in_turn<A, T, F>(
    targets: Vec<A>,
    found_later: impl Future<Output = Vec<A>>,
    attempt: impl Fn(A) -> F,
) -> Result<(A, T), AnnounceError>
where
    A: Clone,
    F: Future<Output = Result<T, AnnounceError>>,
{
    let mut found_later = pin!(found_later);
    let mut is_looking = true;
    let mut left = VecDeque::from(targets);
    let mut running: Vec<(A, Pin<Box<F>>)> = Vec::new();
    let mut next_at = clock::now();
    let mut failed = None;
    loop {
        if !left.is_empty() && (running.is_empty() || next_at <= clock::now()) {
            running.extend(left.pop_front().map(|target| (target.clone(), Box::pin(attempt(target)))));
            next_at = clock::after(NEXT_ADDRESS_AFTER);
        } else if left.is_empty() && running.is_empty() && !is_looking {
            return Err(failed.unwrap_or(AnnounceError::Cancelled));
        }
        let next_is_due =
            async { if left.is_empty() { pending().await } else { sleep_until(next_at).await } };
        tokio::select! {
            biased;
            (place, result) = any(&mut running) => {
                let (target, _) = running.remove(place);
                match result {
                    Ok(opened) => return Ok((target, opened)),
                    Err(error) => failed = Some(weightier(failed, error)),
                }
                next_at = clock::now();
            }
            found = &mut found_later, if is_looking => {
                left.extend(found);
                is_looking = false;
            }
            () = next_is_due => {}
        }
    }
}

/// Waits for any of these attempts. Gives its place and output; of several the first one's.
async fn any<A, F: Future>(running: &mut [(A, Pin<Box<F>>)]) -> (usize, F::Output) {
    poll_fn(|context| {
        for (place, (_, attempt)) in running.iter_mut().enumerate() {
            if let Poll::Ready(result) = attempt.as_mut().poll(context) {
                return Poll::Ready((place, result));
            }
        }
        Poll::Pending
    })
    .await
}

/// The addresses with the families in turns, beginning with that of the first one (RFC 8305, 4).
fn interleaved(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let first_is_v4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let family = |first: bool| addresses.iter().filter(move |a| (a.is_ipv4() == first_is_v4) == first);
    let (mut one, mut other) = (family(true), family(false));
    let mut order = Vec::with_capacity(addresses.len());
    while order.len() < addresses.len() {
        order.extend(one.next().into_iter().chain(other.next()).copied());
    }
    order
}

/// The error that is better evidence about the tracker. A rejection by the tracker itself comes first, then silence, then
/// what the network reports about one address. That this machine can't reach one of the addresses is no evidence.
fn weightier(one: Option<AnnounceError>, other: AnnounceError) -> AnnounceError {
    let weight = |error: &AnnounceError| match error {
        AnnounceError::Rejected(_) => 3,
        AnnounceError::TimedOut(_) => 2,
        AnnounceError::Local(_) | AnnounceError::Cancelled => 0,
        _ => 1,
    };
    match one {
        Some(one) if weight(&one) >= weight(&other) => one,
        _ => other,
    }
}

/// The local address for a socket that is to reach `remote`: the configured one, or the unspecified one of its family.
///
/// # Errors
/// When the configured address is of the other family.
pub(super) fn local_address(configured: Option<IpAddr>, remote: SocketAddr) -> io::Result<IpAddr> {
    let any = if remote.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let local: IpAddr = configured.unwrap_or(any);
    if local.is_ipv4() == remote.is_ipv4() { Ok(local) } else { Err(io::ErrorKind::AddrNotAvailable.into()) }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use tokio::time::Instant;

    use super::*;
    use crate::error::{Cause, Rejection, TimeoutPhase};

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[expect(clippy::disallowed_methods, reason = "tests read tokio's paused clock")]
    fn now() -> Instant {
        Instant::now()
    }

    #[test]
    fn families_take_turns() {
        let given = addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "1.1.1.2:1"]);
        let expected = addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "1.1.1.2:1", "[::3]:1"]);
        assert_eq!(interleaved(&given), expected);
        assert_eq!(interleaved(&given[..2]), given[..2]);
        assert_eq!(interleaved(&[]), []);
    }

    /// R111: silent addresses in front, of one family or of both.
    #[tokio::test(start_paused = true)]
    async fn each_silent_address_in_front_costs_250_ms() {
        for dead in [
            addresses(&["1.1.1.1:1"]),
            addresses(&["1.1.1.1:1", "1.1.1.2:1"]),
            addresses(&["1.1.1.1:1", "1.1.1.2:1", "1.1.1.3:1"]),
            addresses(&["[::2]:1"]),
            addresses(&["[::2]:1", "1.1.1.1:1", "[::3]:1", "1.1.1.2:1"]),
        ] {
            let alive: SocketAddr = "1.1.1.9:1".parse().unwrap();
            let mut given = dead.clone();
            given.push(alive);
            let (begun, tried) = (now(), RefCell::new(Vec::new()));
            let opened = first(&given, |address| {
                tried.borrow_mut().push(now() - begun);
                async move { if address == alive { Ok(()) } else { pending().await } }
            });
            let before =
                u32::try_from(interleaved(&given).iter().position(|a| *a == alive).unwrap()).unwrap();
            assert_eq!(opened.await.unwrap().0, alive, "{given:?}");
            let expected: Vec<_> = (0..=before).map(|place| place * NEXT_ADDRESS_AFTER).collect();
            assert_eq!(*tried.borrow(), expected, "{given:?}");
        }
    }

    /// RFC 8305, 3: a family that is answered later joins the others.
    #[tokio::test(start_paused = true)]
    async fn what_is_found_later_is_tried_when_its_turn_comes() {
        let ms = Duration::from_millis;
        // When it was found, and when it is tried: not sooner than 250 ms after the one before, not later than it is known.
        for (found_at, tried_at) in [(0, 250), (100, 250), (249, 250), (1000, 1000)] {
            let begun = now();
            let later = async {
                tokio::time::sleep(ms(found_at)).await;
                vec![2]
            };
            let attempt = |number| async move { if number == 2 { Ok(()) } else { pending().await } };
            assert_eq!(in_turn(vec![1], later, attempt).await.unwrap().0, 2);
            assert_eq!(now() - begun, ms(tried_at), "{found_at}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_still_looked_up_is_waited_for_only_where_all_else_failed() {
        let later = |found: Vec<u8>| async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            found
        };
        let only = |alive: u8| {
            move |number: u8| async move { if number == alive { Ok(()) } else { Err(AnnounceError::Blocked) } }
        };
        let begun = now();
        assert_eq!(in_turn(vec![1], later(vec![2]), only(1)).await.unwrap().0, 1);
        assert_eq!(now(), begun, "not waited for");
        assert_eq!(in_turn(vec![1], later(vec![2]), only(2)).await.unwrap().0, 2);
        assert_eq!(now() - begun, Duration::from_secs(1));
        assert!(matches!(in_turn(vec![1], later(vec![]), only(2)).await, Err(AnnounceError::Blocked)));
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_failure_the_next_address_is_tried_at_once() {
        let given = addresses(&["1.1.1.1:1", "1.1.1.2:1", "1.1.1.3:1"]);
        let begun = now();
        let opened = first(&given, |address| async move {
            if address.ip() == IpAddr::from([1, 1, 1, 3]) {
                return Ok(());
            }
            Err(AnnounceError::connecting(io::Error::from(io::ErrorKind::ConnectionRefused)))
        });
        assert_eq!((opened.await.unwrap().0, now()), (given[2], begun));
    }

    /// R102: an address that this machine can't reach is only the result where it can reach none.
    #[tokio::test(start_paused = true)]
    async fn an_error_of_the_tracker_outweighs_one_of_this_machine() {
        let refused = || AnnounceError::connecting(io::Error::from(io::ErrorKind::ConnectionRefused));
        let no_route = || AnnounceError::connecting(io::Error::from(io::ErrorKind::NetworkUnreachable));
        let rejected = || AnnounceError::Rejected(Rejection::new("no"));
        let silent = || AnnounceError::TimedOut(TimeoutPhase::Open);
        let other_local = || AnnounceError::Local(Cause::new("no descriptors"));
        for (errors, expected) in [
            ([no_route(), refused()], refused()),
            ([refused(), no_route()], refused()),
            ([no_route(), silent()], silent()),
            ([silent(), refused()], silent()),
            ([silent(), rejected()], rejected()),
            ([no_route(), other_local()], no_route()),
        ] {
            let errors = RefCell::new(errors.into_iter());
            let given = addresses(&["[::2]:1", "1.1.1.1:1"]);
            let result: Result<(SocketAddr, ()), _> = first(&given, |_| {
                let error = errors.borrow_mut().next().unwrap();
                async move { Err(error) }
            })
            .await;
            assert_eq!(result.unwrap_err().to_string(), expected.to_string());
        }
    }

    #[test]
    fn a_local_address_reaches_its_own_family_only() {
        let [v4, v6]: [SocketAddr; 2] = ["1.1.1.1:1", "[::2]:1"].map(|text| text.parse().unwrap());
        let own = IpAddr::from([192, 0, 2, 7]);
        assert_eq!(local_address(Some(own), v4).unwrap(), own);
        assert!(local_address(None, v6).unwrap().is_ipv6());
        let error = AnnounceError::connecting(local_address(Some(own), v6).unwrap_err());
        assert!(matches!(error, AnnounceError::Local(_)), "{error}");
    }
}
