//! Random bytes, composed of pieces of HTTP: nothing panics, hangs, or shows a secret (S-32).

use proptest::prelude::*;

use super::*;
use crate::net::http::HttpProber;
use crate::net::http::redirect;
use crate::net::http::request::TrackerRequest;
use crate::prober::Prober;

fn answers() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.0 404 \r\n",
        "HTTP/1.1 302 Found\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 ",
        "Location: /announce\r\n",
        "Location: http://t.test/\r\n",
        "Content-Length: 33\r\n",
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Connection: keep-alive\r\n",
        "Retry-After: 99999999999999999999\r\n",
        "\r\n",
        "\n",
        "5\r\nd8:in\r\n",
        "ffffffffffffffff\r\n",
        "0\r\n\r\n",
        "d8:intervali1800ee",
        "d14:failure reason2:noe",
        "\u{1f}\u{8b}",
        ":",
        " ",
    ]);
    let piece = prop_oneof![
        8 => pieces.prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_answer_ends_an_announce_and_a_probe(answers in prop::collection::vec(answers(), 1..4)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let scripts: Vec<Vec<Step>> = answers
                .iter()
                .map(|answer| vec![Step::Reply(answer.clone()), Step::Reply(answer.clone())])
                .collect();
            let scripts: Vec<&[Step]> = scripts.iter().map(Vec::as_slice).collect();
            let internet = Internet::default().with("t.test", "8.1.1.1:80", &scripts);
            let transport = internet.transport(HttpConfig::new());
            let patience = Duration::from_secs(60);
            let prober = HttpProber::new(&transport);
            drop(prober.probe(&"http://t.test/s3cret".parse().unwrap()).await);
            let outcome = tokio::time::timeout(patience, announce(&transport, "http://t.test/s3cret")).await;
            if let Ok(Err(error)) = outcome {
                prop_assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
            }
            drop((transport, prober));
            internet.all_closed().await;
            Ok(())
        })?;
    }

    #[test]
    fn any_address_is_asked_for_or_refused(text in "http://([a-z:@%0-9\\[\\]]{0,9})t.test[ -~äß?#/]{0,20}", target in "\\PC{0,20}") {
        if let Ok(url) = text.parse::<TrackerUrl>()
            && let Ok(asked) = TrackerRequest::new(url.clone(), &target, &url)
        {
            let request = asked.to_http(hyper::Method::GET, &HttpConfig::new());
            let target = request.uri().to_string();
            prop_assert!(target.starts_with('/') && !target.contains(|c: char| c.is_control() || c == ' '));
        }
    }

    #[test]
    fn any_location_is_followed_or_refused(location in prop::collection::vec(any::<u8>(), 0..40)) {
        let from: TrackerUrl = "http://t.test/announce?passkey=own".parse().unwrap();
        if let Ok(value) = hyper::header::HeaderValue::from_bytes(&location)
            && let Ok(to) = redirect::next(&from, Some(&value))
        {
            prop_assert!(HttpConfig::supports(to.scheme()));
        }
    }
}
