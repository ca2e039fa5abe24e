//! Redirects: which are followed, and which are refused.

use super::*;
use crate::net::http::HttpProber;
use crate::prober::Prober;
use crate::tracker::{AddressFamily, TrackerUrl};

const SECRET: &str = "http://user:pass@a.test/x/announce?passkey=own";

fn config(max_redirects: usize) -> HttpConfig {
    let mut config = HttpConfig::new();
    config.max_redirects = max_redirects;
    config
}

/// C22, R3-09, Q-20.
#[tokio::test]
async fn a_redirect_is_followed_as_it_stands() {
    for status in [301, 302, 303, 307, 308] {
        let hop = answer(&format!("{status} Moved"), "Location: http://b.test:81/x/announce?a=1|\r\n", b"");
        let internet = Internet::default().with("a.test", "8.1.1.1:80", &[&[hop]]).with(
            "b.test",
            "8.1.1.2:81",
            &[&[ok(REPLY)]],
        );
        let response = announce(&internet.transport(config(5)), SECRET).await.unwrap();
        assert_eq!(response.tracker_address, Some("8.1.1.2:81".parse().unwrap()), "{status}");
        assert_eq!(internet.targets(), ["GET /x/announce?passkey=own&", "GET /x/announce?a=1|"], "{status}");
    }
}

/// Over IPv6 the tracker would list another peer.
#[tokio::test]
async fn a_tracker_that_is_announced_to_over_one_family_is_redirected_within_it() {
    for (family, address) in [(AddressFamily::Ipv4, "8.1.1.2:80"), (AddressFamily::Ipv6, "[2600::2]:80")] {
        let moved: &[&[Step]] = &[&[redirect("http://b.test/")]];
        let internet = Internet::default()
            .with("a.test", "8.1.1.1:80", moved)
            .with("a.test", "[2600::1]:80", moved)
            .with("b.test", "8.1.1.2:80", &[&[ok(REPLY)]])
            .with("b.test", "[2600::2]:80", &[&[ok(REPLY)]]);
        let tracker = "http://a.test/".parse::<TrackerUrl>().unwrap().over(family);
        let mut channel = internet.transport(config(5)).open(&tracker).await.unwrap();
        let response = channel.announce(&request()).await.unwrap();
        assert_eq!(response.tracker_address, Some(address.parse().unwrap()));
    }
}

/// POL-17, S-23.
#[tokio::test]
async fn credentials_and_tracker_id_stay_behind_on_another_origin() {
    let internet = Internet::default()
        .with("a.test", "8.1.1.1:80", &[&[redirect("http://evil:evil@b.test/")], &[ok(REPLY)]])
        .with("b.test", "8.1.1.2:80", &[&[redirect("//a.test/back")]]);
    let transport = internet.transport(config(5));
    let mut asked = request();
    asked.tracker_id = Some(b"hidden".to_vec());
    transport.open(&SECRET.parse().unwrap()).await.unwrap().announce(&asked).await.unwrap();
    let asked = internet.asked();
    let credentials: Vec<_> = asked.iter().map(|head| head.contains("Authorization")).collect();
    assert_eq!(credentials, [true, false, true]);
    for leaked in ["own", "hidden", "info_hash", "evil", "user", "Referer", "Cookie"] {
        assert!(!asked[1].contains(leaked), "{leaked} in {}", asked[1]);
    }
    assert_eq!(internet.targets()[2], "GET /back");
}

/// R94.
#[tokio::test]
async fn added_headers_go_to_the_own_origin_only() {
    let hops = |to: &str| vec![redirect(to), ok(REPLY)];
    for (to, other) in [
        ("http://b.test/", "8.1.1.2:80"),
        ("//b.test/", "8.1.1.2:80"),
        ("http://a.test:81/", "8.1.1.1:81"),
        ("http://a.test./", "8.1.1.3:80"),
        ("http://8.1.1.1/", "8.1.1.1:80"),
    ] {
        let host = to.trim_start_matches("http:").trim_matches('/').split(':').next().unwrap();
        let mut internet = Internet::default().with("a.test", "8.1.1.1:80", &[&hops(to), &[ok(REPLY)]]);
        if other != "8.1.1.1:80" {
            internet = internet.with(host, other, &[&[redirect("http://A.test:80/back")]]);
        }
        let config = config(5).header("Cookie", "session=1").unwrap().header("X-Api-Key", "2").unwrap();
        let transport = internet.transport(config.header("Referer", "3").unwrap());
        announce(&transport, SECRET).await.unwrap();
        let asked = internet.asked();
        for (hop, head) in asked.iter().enumerate() {
            for header in ["Cookie: session=1\r\n", "X-Api-Key: 2\r\n", "Referer: 3\r\n", "Authorization: "] {
                assert_eq!(head.contains(header), hop != 1, "{to}: hop {hop}: {header} {head}");
            }
            assert!(head.contains("User-Agent: tracker-failover/"), "{head}");
        }
        assert!(asked.len() >= 2, "{to}");
    }
}

/// R94: the second request over a new connection is for the same origin as the first.
#[tokio::test]
async fn added_headers_stay_behind_when_a_kept_connection_is_replaced() {
    let internet = Internet::default().with("a.test", "8.1.1.1:80", &[&[redirect("http://b.test/x")]]).with(
        "b.test",
        "8.1.1.2:80",
        &[&[ok(REPLY), Step::ReadAndClose], &[ok(REPLY)]],
    );
    let transport = internet.transport(config(5).header("Cookie", "session=1").unwrap());
    announce(&transport, "http://b.test/own").await.unwrap();
    announce(&transport, SECRET).await.unwrap();
    let cookies: Vec<_> = internet.asked().iter().map(|head| head.contains("Cookie")).collect();
    assert_eq!(internet.targets()[1..].iter().map(|t| &t[..6]).collect::<Vec<_>>(), ["GET /x"; 3]);
    assert_eq!(cookies, [true, true, false, false]);
}

/// R114: up to the bound of the head.
#[tokio::test]
async fn an_oddly_long_or_spaced_location_is_asked_for() {
    let token = format!("/a?t={}", "x".repeat(60_000));
    for (location, target) in [
        (token.as_bytes(), token.as_str()),
        (b"/my announce?x=1", "/my%20announce?x=1"),
        (b"http://a.test/stra\xdfe", "/stra%DFe"),
    ] {
        let hop = raw(&[b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: ", location, b"\r\n\r\n"]);
        let internet = Internet::default().with("a.test", "8.1.1.1:80", &[&[hop, ok(REPLY)]]);
        announce(&internet.transport(config(5)), SECRET).await.unwrap();
        assert_eq!(internet.targets()[1], format!("GET {target}"));
    }
}

/// C23, S-12.
#[tokio::test]
async fn a_loop_of_redirects_ends() {
    for most in [0, 1, 5] {
        let hops = vec![redirect("/announce?x"); 20];
        let internet = Internet::default().with("a.test", "8.1.1.1:80", &[&hops]);
        let error = announce(&internet.transport(config(most)), SECRET).await.unwrap_err();
        assert_eq!(error.to_string(), format!("redirected more than {most} times"));
        assert_eq!((internet.asked().len(), internet.dialled()), (most + 1, 1));
    }
}

#[tokio::test]
async fn five_redirects_are_followed() {
    let mut hops = vec![redirect("next"); 5];
    hops.push(ok(REPLY));
    let internet = Internet::default().with("a.test", "8.1.1.1:80", &[&hops]);
    announce(&internet.transport(config(5)), SECRET).await.unwrap();
    assert_eq!(internet.targets()[1..], vec!["GET /x/next"; 5]);
}

#[tokio::test]
async fn a_redirect_to_nowhere_is_an_error() {
    for hop in [
        answer("302 Found", "", b"<html>"),
        redirect("ftp://b.test/"),
        redirect("http://"),
        redirect("gopher:x"),
        redirect("https://b.test:x/"),
    ] {
        let internet = Internet::default().with("a.test", "8.1.1.1:80", &[&[hop]]);
        let error = announce(&internet.transport(config(5)), SECRET).await.unwrap_err();
        assert_eq!(error.to_string(), "redirected to no usable address");
    }
}

/// R74, S-11.
#[tokio::test]
async fn no_redirect_leads_out_of_the_internet() {
    for inside in [
        "127.0.0.1",
        "169.254.169.254",
        "10.0.0.1",
        "[::1]",
        "[fd00::1]",
        "[::ffff:10.0.0.1]",
        "[2002:a00:1::]",
    ] {
        let internet = Internet::default()
            .with(
                "a.test",
                "8.1.1.1:80",
                &[&[redirect(&format!("http://{inside}/"))], &[redirect("http://b.test/")]],
            )
            .with("b.test", &format!("{inside}:80"), &[&[ok(REPLY)]]);
        let transport = internet.transport(config(5));
        for _ in ["by address", "by name"] {
            let error = announce(&transport, SECRET).await.unwrap_err();
            assert_eq!(error.to_string(), "redirected from a public host to a private address", "{inside}");
        }
        assert_eq!(internet.dialled(), 2, "{inside} is never dialled");
        // The address policy allows such an address where it is the user's choice.
        announce(&transport, "http://b.test/").await.unwrap();
    }
}

#[tokio::test]
async fn no_redirect_leads_out_of_the_internet_over_a_kept_connection() {
    let internet = Internet::default().with("a.test", "8.1.1.1:80", &[&[redirect("http://b.test/")]]).with(
        "b.test",
        "10.0.0.1:80",
        &[&[ok(REPLY), ok(REPLY), Step::Keep]],
    );
    let transport = internet.transport(config(5));
    announce(&transport, "http://b.test/").await.unwrap();
    announce(&transport, SECRET).await.unwrap_err();
    assert_eq!(internet.asked().len(), 2, "b.test is not asked again");
}

/// An address is checked again when it is dialled in place of a stale connection.
#[tokio::test]
async fn no_redirect_leads_out_of_the_internet_when_a_kept_connection_is_replaced() {
    let internet = Internet::default()
        .with("a.test", "8.1.1.1:80", &[&[redirect("http://b.test/")]])
        .with("b.test", "8.1.1.2:80", &[&[ok(REPLY), Step::ReadAndClose]])
        .with("b.test", "10.0.0.1:80", &[&[ok(REPLY)]]);
    let transport = internet.transport(config(5));
    announce(&transport, "http://b.test/").await.unwrap();
    let error = announce(&transport, SECRET).await.unwrap_err();
    assert!(matches!(error, AnnounceError::Connect(_)), "{error}");
    assert_eq!(internet.dialled(), 2, "the address inside is not dialled");
    announce(&transport, "http://b.test/").await.unwrap();
    assert_eq!(internet.dialled(), 3, "it is where the user asks for it");
}

/// R96: in an announce address, behind a name, and in a redirect.
#[tokio::test]
async fn no_request_goes_to_an_unspecified_address() {
    for (nowhere, address) in [
        ("0.0.0.0", "0.0.0.0:80"),
        ("0", "0.0.0.0:80"),
        ("[::]", "[::]:80"),
        ("[::ffff:0.0.0.0]", "[::ffff:0.0.0.0]:80"),
    ] {
        let internet = Internet::default()
            .with("in.test", "127.0.0.1:80", &[&[redirect(&format!("http://{nowhere}/x"))]])
            .with("named.test", "127.0.0.2:80", &[&[redirect("http://sink.test/x")]])
            .with("sink.test", address, &[&[ok(REPLY)], &[ok(REPLY)]]);
        let mut config = config(5);
        config.guard_redirects = false;
        config.addresses = config.addresses.except([address.parse().unwrap()]);
        let transport = internet.transport(config);
        let literal = format!("http://{nowhere}/?passkey=own");
        for url in
            [literal.as_str(), "http://sink.test/?passkey=own", "http://in.test/", "http://named.test/"]
        {
            let error = announce(&transport, url).await.unwrap_err();
            assert!(matches!(error, AnnounceError::Blocked), "{url}: {error}");
            let probed = HttpProber::new(&transport).probe(&literal.parse().unwrap()).await.unwrap_err();
            assert!(matches!(probed, AnnounceError::Blocked), "{url}: {probed}");
        }
        assert_eq!(internet.dialled(), 2, "the two that redirect");
    }
}

#[tokio::test]
async fn redirects_inside_a_network_and_unguarded_ones_are_followed() {
    let private = ("b.test", "10.0.0.2:80");
    for (from, guard, to) in [
        ("10.0.0.1:80", true, private),
        ("8.1.1.1:80", false, private),
        ("10.0.0.1:80", true, ("b.test", "8.1.1.2:80")),
    ] {
        let internet = Internet::default().with("a.test", from, &[&[redirect("http://b.test/")]]).with(
            to.0,
            to.1,
            &[&[ok(REPLY)]],
        );
        let mut config = config(5);
        config.guard_redirects = guard;
        announce(&internet.transport(config), SECRET).await.unwrap();
    }
}

/// POL-17.
#[tokio::test]
async fn the_address_policy_holds_at_every_hop() {
    let internet = Internet::default().with("a.test", "127.0.0.1:80", &[&[redirect("http://b.test/")]]).with(
        "b.test",
        "10.0.0.1:80",
        &[&[ok(REPLY)]],
    );
    let mut config = config(5);
    config.addresses = crate::AddressPolicy::ALLOW_LOOPBACK;
    let error = announce(&internet.transport(config), SECRET).await.unwrap_err();
    assert_eq!(error.to_string(), "its address is not allowed here");
}

#[tokio::test]
async fn the_body_of_a_redirect_is_not_waited_for() {
    for hop in [
        raw(&[b"HTTP/1.1 302 Found\r\nLocation: /b\r\n\r\n"]),
        raw(&[b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 100\r\n\r\n<html>"]),
        Step::Endless("HTTP/1.1 302 Found\r\nLocation: /b\r\n\r\n", "<html>"),
    ] {
        let internet = Internet::default().with("a.test", "8.1.1.1:80", &[&[hop, Step::Keep], &[ok(REPLY)]]);
        announce(&internet.transport(config(5)), SECRET).await.unwrap();
    }
}

#[tokio::test]
async fn a_body_that_is_there_leaves_the_connection_usable() {
    let hop = answer("302 Found", "Location: /b\r\n", b"<html>moved</html>");
    let internet = Internet::default().with("a.test", "8.1.1.1:80", &[&[hop, ok(REPLY)]]);
    announce(&internet.transport(config(5)), SECRET).await.unwrap();
    assert_eq!(internet.dialled(), 1);
}

#[tokio::test]
async fn an_oddly_written_location_is_read() {
    for head in ["Location : /b\r\n", "Location:\r\n  /b\r\n", "location:\t/b \r\n"] {
        let internet =
            Internet::default().with("a.test", "8.1.1.1:80", &[&[answer("302 x", head, b""), ok(REPLY)]]);
        announce(&internet.transport(config(5)), SECRET).await.unwrap();
    }
}

/// POL-17.
#[tokio::test]
async fn the_redirected_address_is_not_remembered() {
    let internet = Internet::default()
        .with(
            "a.test",
            "8.1.1.1:80",
            &[&[answer("301 Moved", "Location: http://b.test/\r\n", b""), ok(REPLY)]],
        )
        .with("b.test", "8.1.1.2:80", &[&[ok(REPLY)]]);
    let transport = internet.transport(config(5));
    announce(&transport, SECRET).await.unwrap();
    let response = announce(&transport, SECRET).await.unwrap();
    assert_eq!(response.tracker_address, Some("8.1.1.1:80".parse().unwrap()));
}
