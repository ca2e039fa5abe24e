//! When which packet goes out, and which answers count.

use std::time::Duration;

use super::super::{Answer, Endpoint, EndpointOutput, ExchangeError, Family, Question, Times};
use super::{Conversation, announce, bytes, info_hash, milliseconds};

const NO_PEERS: [u8; 12] = [0, 0, 7, 8, 0, 0, 0, 3, 0, 0, 0, 7];
const STALE: &[u8] = b"Connection ID missmatch.\0";

/// The times of BEP 15 itself: 15 · 2^n seconds, n from 0 to 8.
fn bep15() -> Times {
    let sends = std::iter::once(0).chain((0..8).map(|n| 15 * ((2 << n) - 1))).map(Duration::from_secs);
    Times { sends: sends.collect(), limit: Duration::from_secs(7665), ..Times::default() }
}

fn announced(conversation: &Conversation) -> bool {
    matches!(conversation.end(), Ok(Answer::Announced(response)) if response.complete == Some(7))
}

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

#[test]
fn silence_costs_three_packets_and_ten_seconds() {
    let mut conversation = Conversation::new(Times::default());
    conversation.begin(announce());
    conversation.until(seconds(9));
    assert_eq!(conversation.shown(), ["connect 0", "connect 1", "connect 3"]);
    assert!(conversation.ended.is_empty());
    conversation.until(seconds(10));
    assert_eq!(*conversation.end(), Err(ExchangeError::Silent));
    assert_eq!(conversation.endpoint.exchanges(), 0);
    let numbers: std::collections::BTreeSet<_> =
        conversation.sent.iter().map(|(_, packet)| &packet[12..]).collect();
    assert_eq!(numbers.len(), 3, "R15-02: a fresh number for each packet");
}

/// TV-3.20.
#[test]
fn the_times_of_bep_15_where_they_are_asked_for() {
    let mut conversation = Conversation::new(bep15());
    conversation.begin(announce());
    conversation.until(seconds(7664));
    let expected = [0, 15, 45, 105, 225, 465, 945, 1905, 3825].map(|at| format!("connect {at}"));
    assert_eq!(conversation.shown(), expected);
    assert!(conversation.ended.is_empty());
    conversation.until(seconds(7665));
    assert_eq!(*conversation.end(), Err(ExchangeError::Silent));
}

/// TV-3.21.
#[test]
fn a_connection_id_that_ages_meanwhile_is_renewed_and_the_times_go_on() {
    let mut conversation = Conversation::new(bep15());
    conversation.begin(announce());
    conversation.connect(5);
    conversation.until(seconds(224));
    assert_eq!(
        conversation.shown(),
        ["connect 0", "announce 0", "announce 15", "announce 45", "connect 105"]
    );
    conversation.until(seconds(226));
    assert_eq!(conversation.shown()[5..], ["connect 225"]);
    conversation.connect(6);
    assert_eq!(conversation.shown()[6..], ["announce 226"]);
    assert_eq!(conversation.sent[6].1[..8], 6_u64.to_be_bytes());
}

/// TV-3.22, R71.
#[test]
fn a_connection_id_is_shared_for_a_minute() {
    let mut conversation = Conversation::new(Times::default());
    conversation.begin(announce());
    conversation.connect(5);
    conversation.answer(0, 1, &NO_PEERS);
    assert!(announced(&conversation));
    conversation.until(seconds(59));
    conversation.begin(announce());
    conversation.answer(0, 1, &NO_PEERS);
    conversation.until(seconds(61));
    conversation.begin(announce());
    assert_eq!(conversation.shown(), ["connect 0", "announce 0", "announce 59", "connect 61"]);
}

/// TV-3.23.
#[test]
fn a_repetition_obeys_the_minute_too() {
    let mut conversation = Conversation::new(bep15());
    conversation.begin(Question::Connect);
    conversation.connect(5);
    conversation.until(seconds(59));
    conversation.begin(announce());
    conversation.until(seconds(74));
    assert_eq!(conversation.shown(), ["connect 0", "announce 59", "connect 74"]);
}

/// TV-3.24.
#[test]
fn a_late_answer_to_an_earlier_packet_is_good() {
    let mut conversation = Conversation::new(Times::default());
    conversation.begin(announce());
    conversation.until(milliseconds(1100));
    conversation.answer(1, 0, &[0; 8]);
    assert_eq!(conversation.shown(), ["connect 0", "connect 1", "announce 1.1"], "an id of 0 is one, Q-53");
    conversation.until(seconds(3));
    conversation.answer(1, 1, &NO_PEERS);
    assert!(announced(&conversation));
    // The answers that come now are to nothing.
    conversation.answer(0, 1, &NO_PEERS);
    conversation.answer(1, 3, b"no");
    assert!(announced(&conversation));
}

/// TV-3.25, Q-52.
#[test]
fn an_error_about_the_connection_id_has_it_renewed_once() {
    let mut conversation = Conversation::new(Times::default());
    conversation.begin(announce());
    conversation.connect(5);
    conversation.until(milliseconds(100));
    conversation.answer(0, 3, STALE);
    conversation.connect(6);
    assert_eq!(conversation.shown(), ["connect 0", "announce 0", "connect 0.1", "announce 0.1"]);
    assert_eq!(conversation.sent[3].1[..8], 6_u64.to_be_bytes());
    conversation.answer(0, 3, STALE);
    let text = "Connection ID missmatch.".to_owned();
    assert_eq!(*conversation.end(), Err(ExchangeError::Rejected(text)), "once, then it is the answer");
    assert!(!conversation.endpoint.is_connected(conversation.now));
}

///
#[test]
fn the_same_error_for_an_earlier_packet_is_not_a_second_one() {
    let mut conversation = Conversation::new(Times::default());
    conversation.begin(announce());
    conversation.connect(5);
    conversation.until(milliseconds(1050));
    assert_eq!(conversation.shown()[1..], ["announce 0", "announce 1"]);
    conversation.answer(0, 3, STALE);
    // The error that the first of the two packets got.
    let first = conversation.sent[1].1[12..16].to_vec();
    conversation.receive(&[&[0, 0, 0, 3], first.as_slice(), STALE].concat());
    assert!(conversation.ended.is_empty());
    conversation.connect(6);
    conversation.answer(0, 1, &NO_PEERS);
    assert!(announced(&conversation));
}

/// R112: trackers that were restarted, and those that see us at another address, drop what comes by an old id.
#[test]
fn silence_for_a_kept_connection_id_has_a_new_one_asked_for_at_the_second_repetition() {
    let mut conversation = Conversation::new(Times::default());
    conversation.begin(announce());
    conversation.connect(5);
    conversation.answer(0, 1, &NO_PEERS);
    conversation.ended.clear();
    conversation.begin(announce());
    conversation.until(milliseconds(3100));
    assert_eq!(conversation.shown()[2..], ["announce 0", "announce 1", "announce 3", "connect 3"]);
    conversation.connect(6);
    assert_eq!(conversation.shown()[6..], ["announce 3.1"]);
    assert_eq!(conversation.sent[6].1[..8], 6_u64.to_be_bytes());
    // An answer to any of its packets is one.
    conversation.answer(4, 1, &NO_PEERS);
    assert!(announced(&conversation));
    assert!(conversation.endpoint.is_connected(conversation.now));
}

/// R112: also where the id was never used, scrapes as announces, and once for all that wait.
#[test]
fn an_old_connection_id_that_gets_no_answer_is_renewed_for_all_who_wait() {
    let mut conversation = Conversation::new(Times::default());
    conversation.begin(Question::Connect);
    conversation.connect(5);
    conversation.until(seconds(20));
    for question in [announce(), announce(), Question::Scrape(vec![info_hash()])] {
        conversation.begin(question);
    }
    conversation.until(seconds(29));
    let connects = conversation.shown().iter().filter(|shown| shown.starts_with("connect")).count();
    assert_eq!(connects, 2, "{:?}", conversation.shown());
    let sent = conversation.sent.len();
    let connect = conversation.sent.iter().rposition(|(_, packet)| packet[11] == 0).unwrap();
    conversation.answer(sent - 1 - connect, 0, &[6; 8]);
    assert_eq!(conversation.shown()[sent..], ["announce 29", "announce 29", "scrape 29"]);
    conversation.until(seconds(31));
    assert_eq!(conversation.ended.iter().filter(|(_, result)| result.is_err()).count(), 3);
    assert_eq!(conversation.sent.len(), sent + 3, "and not again");
}

/// R15-13, R71.
#[test]
fn any_other_error_ends_the_exchange_and_drops_the_connection_id() {
    let mut conversation = Conversation::new(Times::default());
    conversation.begin(announce());
    conversation.connect(5);
    conversation.answer(0, 3, b"no such torrent");
    assert_eq!(*conversation.end(), Err(ExchangeError::Rejected("no such torrent".into())));
    conversation.begin(announce());
    assert_eq!(conversation.shown(), ["connect 0", "announce 0", "connect 0"]);
}

#[test]
fn an_error_to_a_connect_ends_the_exchanges_that_wait_for_it() {
    let mut conversation = Conversation::new(Times::default());
    conversation.begin(Question::Connect);
    conversation.begin(announce());
    assert_eq!(conversation.shown(), ["connect 0"]);
    conversation.answer(0, 3, b"go away");
    assert_eq!(conversation.ended.len(), 2);
    let refused = Err(ExchangeError::Rejected("go away".into()));
    assert!(conversation.ended.iter().all(|(_, result)| *result == refused));
}

/// TV-3.9 to 11, TV-3.13, TV-3.17, TV-3.19, R68, S-15.
#[test]
fn datagrams_that_answer_no_packet_of_ours_are_ignored() {
    let mut conversation = Conversation::new(Times::default());
    conversation.begin(announce());
    let connect = conversation.sent[0].1[12..16].to_vec();
    let mut wrong = connect.clone();
    wrong[3] ^= 1;
    for datagram in [
        vec![],
        bytes("00000003dead"),
        // Too short, an answer to something else, an unknown action, another's number.
        [&[0, 0, 0, 0], connect.as_slice(), &[0; 7]].concat(),
        [&[0, 0, 0, 1], connect.as_slice(), &NO_PEERS].concat(),
        [&[0, 0, 0, 9], connect.as_slice(), &[0; 8]].concat(),
        [&[0, 0, 0, 0], wrong.as_slice(), &[0; 8]].concat(),
        [&[0, 0, 0, 3], wrong.as_slice(), b"early"].concat(),
        [&[0, 0, 0, 3], [0; 4].as_slice(), b"Q-58: with the number 0"].concat(),
    ] {
        conversation.receive(&datagram);
    }
    assert_eq!((conversation.sent.len(), conversation.ended.len()), (1, 0));
    conversation.connect(5);
    conversation.answer(0, 2, &[0; 24]);
    conversation.answer(0, 0, &[0; 8]);
    conversation.answer(0, 1, &NO_PEERS[..11]);
    assert_eq!((conversation.sent.len(), conversation.ended.len()), (2, 0));
    conversation.answer(0, 1, &NO_PEERS);
    assert!(announced(&conversation));
}

#[test]
fn many_torrents_share_one_connecting() {
    let mut conversation = Conversation::new(Times::default());
    for _ in 0..16 {
        conversation.begin(announce());
        conversation.until(conversation.now + milliseconds(50));
    }
    assert_eq!(conversation.shown(), ["connect 0"]);
    conversation.connect(5);
    assert_eq!(conversation.sent.len(), 1 + 16);
    for _ in 0..16 {
        let back = conversation.sent.len() - 2 - conversation.ended.len();
        conversation.answer(back, 1, &NO_PEERS);
    }
    assert_eq!((conversation.ended.len(), conversation.sent.len()), (16, 17));
}

#[test]
fn however_many_wait_a_silent_host_hears_a_packet_a_second() {
    let mut conversation = Conversation::new(Times::default());
    for _ in 0..100 {
        conversation.begin(announce());
        conversation.until(conversation.now + milliseconds(37));
    }
    conversation.until(seconds(30));
    assert_eq!(conversation.ended.len(), 100);
    let moments: Vec<_> = conversation.sent.iter().map(|(at, _)| *at).collect();
    assert!(moments.windows(2).all(|pair| pair[1] >= pair[0] + seconds(1)), "{moments:?}");
}

#[test]
fn a_lost_connect_is_repeated_for_the_remaining_exchanges() {
    let mut conversation = Conversation::new(Times::default());
    let first = conversation.begin(announce());
    conversation.until(milliseconds(500));
    conversation.begin(announce());
    conversation.until(milliseconds(900));
    conversation.endpoint.cancel(first);
    conversation.until(seconds(4));
    assert_eq!(conversation.shown(), ["connect 0", "connect 1.5", "connect 3.5"]);
}

#[test]
fn a_given_up_exchange_is_forgotten() {
    let mut conversation = Conversation::new(Times::default());
    let exchange = conversation.begin(announce());
    conversation.connect(5);
    conversation.endpoint.cancel(exchange);
    conversation.answer(0, 1, &NO_PEERS);
    conversation.until(seconds(20));
    assert_eq!(
        (conversation.ended.len(), conversation.sent.len(), conversation.endpoint.exchanges()),
        (0, 2, 0)
    );
}

#[test]
fn an_unreachable_host_fails_at_once_what_was_sent() {
    let mut conversation = Conversation::new(Times::default());
    conversation.begin(announce());
    // Not sent yet.
    let now = conversation.now;
    conversation.endpoint.begin(Question::Scrape(vec![info_hash()]), now);
    conversation.endpoint.unreachable();
    conversation.act();
    assert_eq!(*conversation.end(), Err(ExchangeError::Unreachable));
    assert_eq!(conversation.shown(), ["connect 0", "connect 0"], "the other one tries for itself");
}

#[test]
fn a_probe_measures_the_packet_that_was_answered() {
    let mut conversation = Conversation::new(Times::default());
    conversation.begin(Question::Probe);
    conversation.until(milliseconds(1080));
    conversation.connect(5);
    assert_eq!(*conversation.end(), Ok(Answer::Connected { round_trip: Some(milliseconds(80)) }));
    conversation.ended.clear();
    // A connection id is there, so nothing is sent to have one, except to measure.
    conversation.begin(Question::Connect);
    assert_eq!(*conversation.end(), Ok(Answer::Connected { round_trip: None }));
    conversation.ended.clear();
    conversation.begin(Question::Probe);
    assert_eq!((conversation.ended.len(), conversation.sent.len()), (0, 3));
}

#[test]
fn silence_drops_the_connection_id() {
    let mut conversation = Conversation::new(Times::default());
    conversation.begin(announce());
    conversation.connect(5);
    conversation.until(seconds(10));
    assert_eq!(*conversation.end(), Err(ExchangeError::Silent));
    assert_eq!(conversation.shown()[1..], ["announce 0", "announce 1", "announce 3"]);
    assert!(!conversation.endpoint.is_connected(conversation.now));
}

/// S-29.
#[test]
fn after_a_long_sleep_one_packet_goes_out_and_not_a_burst() {
    let mut conversation = Conversation::new(bep15());
    conversation.begin(announce());
    conversation.now = seconds(1000);
    conversation.act();
    assert_eq!(conversation.shown(), ["connect 0", "connect 1000"]);
}

/// S-24.
#[test]
fn no_answer_causes_more_than_one_packet_of_an_exchange() {
    let mut conversation = Conversation::new(Times::default());
    conversation.begin(announce());
    conversation.connect(5);
    conversation.begin(Question::Probe);
    conversation.connect(6);
    assert_eq!(conversation.shown(), ["connect 0", "announce 0", "connect 0"], "its announce is under way");
    conversation.answer(1, 1, &NO_PEERS);
    assert_eq!(conversation.ended.len(), 2);
}

#[test]
fn an_error_about_an_old_connection_id_leaves_the_new_one_alone() {
    let mut conversation = Conversation::new(Times::default());
    conversation.begin(announce());
    conversation.connect(5);
    conversation.begin(announce());
    conversation.begin(Question::Probe);
    conversation.connect(6);
    // The second announce was sent with the first connection id.
    conversation.answer(1, 3, b"no such torrent");
    assert!(conversation.endpoint.is_connected(conversation.now));
}

#[test]
fn an_unreachable_host_loses_its_connection_id() {
    let mut conversation = Conversation::new(Times::default());
    conversation.begin(announce());
    conversation.connect(5);
    conversation.endpoint.unreachable();
    assert!(!conversation.endpoint.is_connected(conversation.now));
}

#[test]
fn numbers_in_use_are_not_used_again() {
    let mut endpoint = Endpoint::new(Family::V4, Times::default());
    endpoint.begin(Question::Connect, Duration::ZERO);
    let mut numbers = std::collections::BTreeSet::new();
    for at in [0, 1, 3].map(seconds) {
        let EndpointOutput::Send(packet) = endpoint.poll(at, u32::MAX) else { panic!("at {at:?}") };
        numbers.insert(packet[12..].to_vec());
    }
    assert_eq!(numbers.len(), 3, "though the caller's entropy is none");
}
