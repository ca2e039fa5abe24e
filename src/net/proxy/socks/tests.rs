//! The messages of SOCKS 5, byte by byte.

use std::collections::BTreeSet;

use tokio::io::AsyncWriteExt as _;

use super::*;

/// Reads an answer that arrives in two parts, cut at every place, and then the end.
async fn in_parts<T, F>(answer: &[u8], read: impl Fn(tokio::io::DuplexStream) -> F) -> Vec<T>
where
    F: Future<Output = T>,
{
    let mut results = Vec::new();
    for cut in 0..=answer.len() {
        let (mut theirs, ours) = tokio::io::duplex(1);
        let (front, back) = answer.split_at(cut);
        let send = async {
            // The other side may have read enough.
            let _ = theirs.write_all(front).await;
            tokio::task::yield_now().await;
            let _ = theirs.write_all(back).await;
            drop(theirs);
        };
        results.push(tokio::join!(read(ours), send).0);
    }
    results
}

fn address(text: &str) -> Target {
    Target::Address(text.parse().unwrap())
}

#[test]
fn requests_are_written_as_the_rfc_has_them() {
    assert_eq!((greeting(false), greeting(true)), (&[5, 1, 0][..], &[5, 2, 0, 2][..]));
    assert_eq!(password(b"me", b"pass"), b"\x01\x02me\x04pass");
    assert_eq!(request(Command::Connect, &address("192.0.2.7:80")), [5, 1, 0, 1, 192, 0, 2, 7, 0, 80]);
    assert_eq!(request(Command::Connect, &address("[::ffff:1.2.3.4]:1")), [5, 1, 0, 1, 1, 2, 3, 4, 0, 1]);
    let v6 = request(Command::Connect, &address("[2001:db8::7]:443"));
    assert_eq!(
        (v6.len(), &v6[..8], &v6[19..]),
        (22, &[5, 1, 0, 4, 0x20, 1, 0xd, 0xb8][..], &[7, 1, 187][..])
    );
    let named = request(Command::Connect, &Target::name("t.test", 6969).unwrap());
    assert_eq!(named, b"\x05\x01\x00\x03\x06t.test\x1b\x39");
}

#[test]
fn a_name_takes_255_bytes_at_most() {
    let longest = Target::name(&"x".repeat(255), 1).unwrap();
    assert_eq!(request(Command::Connect, &longest).len(), 3 + 2 + 255 + 2);
    for name in [String::new(), "x".repeat(256), "x".repeat(70_000)] {
        let error = Target::name(&name, 1).unwrap_err();
        assert!(matches!(error, AnnounceError::Resolve(_)), "{error}");
    }
}

#[tokio::test]
async fn the_answer_to_the_greeting_decides_about_the_password() {
    let method = |answer: &'static [u8], has: bool| async move {
        let whole = in_parts(answer, |mut stream| async move { read_method(&mut stream, has).await }).await;
        let shown: BTreeSet<_> = whole.iter().map(|result| format!("{result:?}")).collect();
        assert_eq!(shown.len(), 1, "{shown:?}");
        shown.into_iter().next().unwrap()
    };
    assert_eq!(method(&[5, 0], false).await, "Ok(false)");
    assert_eq!(method(&[5, 0], true).await, "Ok(false)");
    assert_eq!(method(&[5, 2], true).await, "Ok(true)");
    assert_eq!(method(&[5, 2], false).await, "Err(OtherProtocol)");
    assert_eq!(method(&[5, 255], false).await, "Err(NoCredentials)");
    assert_eq!(method(&[5, 255], true).await, "Err(WrongCredentials)");
    assert_eq!(method(&[5, 1], true).await, "Err(OtherProtocol)");
    assert_eq!(method(&[4, 0], true).await, "Err(OtherProtocol)");
    assert_eq!(method(b"HT", true).await, "Err(OtherProtocol)");
    assert!(method(&[5], true).await.starts_with("Err(Closed("));
    assert!(method(&[], true).await.starts_with("Err(Closed("));
}

#[tokio::test]
async fn the_answer_to_the_password_is_yes_or_no() {
    for (answer, expected) in [
        ([1, 0], "Ok(())"),
        ([5, 0], "Ok(())"),
        ([1, 1], "Err(WrongCredentials)"),
        ([1, 255], "Err(WrongCredentials)"),
        ([0, 0], "Err(OtherProtocol)"),
    ] {
        let read = |mut stream| async move { format!("{:?}", read_welcome(&mut stream).await) };
        for result in in_parts(&answer, read).await {
            assert_eq!(result, expected, "{answer:?}");
        }
    }
}

/// Every code there is, each cut at every place. Behind a refusal nothing needs to follow.
#[tokio::test]
async fn each_code_of_refusal_is_the_hosts_or_the_proxys() {
    for code in 1..=255 {
        let read =
            |mut stream| async move { AnnounceError::from(read_reply(&mut stream).await.unwrap_err()) };
        for (answer, name) in [(vec![5, code], "short"), (vec![5, code, 0, 1, 0, 0, 0, 0, 0, 0], "whole")] {
            for error in in_parts(&answer, read).await {
                let is_the_hosts = matches!(error, AnnounceError::Connect(_));
                assert_eq!(is_the_hosts, [1, 4, 5, 6].contains(&code), "{name} {code}: {error}");
                assert!(is_the_hosts || matches!(error, AnnounceError::Local(_)), "{name} {code}: {error}");
            }
        }
    }
}

/// With an address of each type, and no byte further.
#[tokio::test]
async fn a_granted_request_gives_the_port_and_leaves_the_rest() {
    let mut named = vec![5, 0, 0, 3, 255];
    named.extend([b'x'; 255]);
    let mut v6 = vec![5, 0, 0, 4];
    v6.extend([0; 16]);
    for mut answer in
        [vec![5, 0, 0, 1, 9, 9, 9, 9], vec![5, 0, 7, 1, 0, 0, 0, 0], named, vec![5, 0, 0, 3, 0], v6]
    {
        answer.extend([0x1b, 0x39]);
        for cut in 0..answer.len() {
            let mut short = &answer[..cut];
            let error = read_reply(&mut short).await.unwrap_err();
            assert!(matches!(error, Refusal::Fault(ProxyFault::Closed(_))), "{cut}: {error:?}");
        }
        answer.extend(b"rest");
        let mut stream = &answer[..];
        assert_eq!(read_reply(&mut stream).await.unwrap(), 6969);
        assert_eq!(stream, b"rest");
    }
    for answer in [&[5, 0, 0, 2, 0, 0][..], &[4, 0, 0, 1], &[0, 90, 0, 0, 0, 0, 0, 0], b"HTTP/1.1 400"] {
        let mut stream = answer;
        let error = read_reply(&mut stream).await.unwrap_err();
        assert!(matches!(error, Refusal::Fault(ProxyFault::OtherProtocol)), "{answer:?}: {error:?}");
    }
}

#[test]
fn datagrams_are_wrapped_and_unwrapped() {
    assert_eq!(wrap(&address("192.0.2.7:80"), b"hi"), [0, 0, 0, 1, 192, 0, 2, 7, 0, 80, b'h', b'i']);
    let named = wrap(&Target::name("t.test", 6969).unwrap(), b"hi");
    assert_eq!(named, b"\0\0\0\x03\x06t.test\x1b\x39hi");
    for (source, payload) in
        [("192.0.2.7:80", &b"hi"[..]), ("[2001:db8::7]:1", b""), ("0.0.0.0:0", &[0; 4096])]
    {
        let source: SocketAddr = source.parse().unwrap();
        assert_eq!(unwrap(&wrap(&Target::Address(source), payload)), Some((source, payload)));
    }
    let mapped = [&[0, 0, 0, 4][..], &[0; 10], &[255, 255, 1, 2, 3, 4, 0, 9, b'x']].concat();
    assert_eq!(unwrap(&mapped), Some(("1.2.3.4:9".parse().unwrap(), &b"x"[..])));
}

/// Fragments too: trackers' datagrams have none, and a relay that makes some can't be relied on.
#[test]
fn what_is_no_datagram_of_a_relay_is_dropped() {
    let whole = wrap(&address("192.0.2.7:80"), b"");
    for cut in 0..whole.len() {
        assert_eq!(unwrap(&whole[..cut]), None, "{cut}");
    }
    for (place, value) in [(0, 1), (1, 1), (2, 1), (2, 0x81), (3, 0), (3, 2), (3, 3), (3, 4), (3, 255)] {
        let mut wrong = whole.clone();
        wrong[place] = value;
        assert_eq!(unwrap(&wrong), None, "{place}: {value}");
    }
}
