//! Announces a torrent to its trackers: HTTP and HTTPS over a client of its own, UDP over that of the crate.
//!
//! ```text
//! own-http [--proxy URL] TRACKER...
//! ```
//!
//! Prints what happens and the state of each tracker, and announces `stopped` after the first announce. Exit code 0 if that
//! was answered.

mod announce;

use std::error::Error;
use std::process::ExitCode;

use reqwest::redirect::Policy;
use reqwest::{Client, Proxy};
use tracker_failover::net::scheme_router::SchemeRouter;
use tracker_failover::{
    Alert, AnnouncerBuilder, InfoHash, PeerId, Torrent, TrackerSet, TrackerUrl, transport,
};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("own-http: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run() -> Result<bool, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).peekable();
    let proxy = match arguments.next_if(|argument| argument == "--proxy") {
        Some(_) => Some(arguments.next().ok_or("--proxy: expected a URL")?),
        None => None,
    };
    let tiers = arguments.map(|tracker| Ok([tracker.parse()?]));
    let tiers: Vec<[TrackerUrl; 1]> = tiers.collect::<Result<_, Box<dyn Error>>>()?;

    let client = client(proxy.as_deref())?;
    let own =
        transport::from_fn(move |tracker, request| announce::announce(client.clone(), tracker, request));
    let mut transports = SchemeRouter::new().with(own);
    if proxy.is_none() {
        // The proxy carries no UDP, and nothing is to leave beside it.
        let udp = SchemeRouter::all();
        transports = transports.with_prober(udp.clone(), udp);
    }
    let announcer = AnnouncerBuilder::new(transports.clone()).prober(transports).spawn();

    let torrent = Torrent::new(InfoHash::from([7; 20]), PeerId::random(*b"-OH0001-"), 6881);
    let (handle, mut alerts) = announcer.add(TrackerSet::new(tiers), torrent);
    let mut announced = false;
    while let Some(alert) = alerts.next().await {
        println!("[{}] {alert}", alert.tag());
        announced = matches!(alert, Alert::Announced(_));
        if announced || matches!(alert, Alert::RoundFailed { .. }) {
            break;
        }
    }
    for tracker in handle.status().into_iter().flat_map(|status| status.tiers).flatten() {
        println!("{} is {:?}", tracker.tracker, tracker.state);
    }
    for stopped in handle.stop().await?.results {
        println!("{stopped:?}");
    }
    Ok(announced)
}

/// The client. By default reqwest follows redirects from https to http, and sends the address that it comes from to where
/// they lead: either would show the passkey.
fn client(proxy: Option<&str>) -> Result<Client, Box<dyn Error>> {
    let redirects = Policy::custom(|attempt| {
        let from_https = attempt.previous().last().is_some_and(|from| from.scheme() == "https");
        if from_https && attempt.url().scheme() != "https" {
            attempt.error("from https to http")
        } else if attempt.previous().len() > 5 {
            attempt.error("more than 5 times")
        } else {
            attempt.follow()
        }
    });
    let client = Client::builder().user_agent("own-http/1.0").referer(false).redirect(redirects);
    let client = match proxy {
        Some(proxy) => client.proxy(Proxy::all(proxy)?),
        None => client.no_proxy(),
    };
    Ok(client.build()?)
}
