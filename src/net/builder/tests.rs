//! What settings of a builder apply to.

use std::net::SocketAddr;

use super::*;
use crate::announce::AnnounceResponse;
use crate::transport::from_fn;

/// POL-18.
#[test]
fn a_common_setting_reaches_each_transport() {
    let local: IpAddr = "192.0.2.7".parse().unwrap();
    let builder = Announcer::builder().tracker_addresses(AddressPolicy::PUBLIC_ONLY).local_address(local);
    let Settings { http, udp, sockets, .. } = &builder.settings;
    assert_eq!([&http.addresses, &udp.addresses], [&AddressPolicy::PUBLIC_ONLY; 2]);
    assert!(format!("{sockets:?}").contains("Some(192.0.2.7)"), "{sockets:?}");
    assert!(!Announcer::builder().without_redirect_guard().settings.http.guard_redirects);
    let defaults = Announcer::builder().settings;
    assert!(defaults.http.addresses.allows(SocketAddr::from(([127, 0, 0, 1], 80))), "the user's choice");
    assert!(defaults.http.guard_redirects);
}

/// S-08.
#[test]
fn a_builder_refuses_a_text_that_could_add_lines_to_a_request() {
    assert!(Announcer::builder().user_agent("a\r\nb: c").is_err());
    assert!(Announcer::builder().header("Host", "o.test").is_err());
}

/// S-09: probes that go another way than announces would reveal where the client is.
#[test]
fn a_custom_transport_is_not_measured_by_the_probers_of_the_build() {
    let own = || from_fn(|_, _| async { Ok(AnnounceResponse::default()) });
    for mut builder in [Announcer::builder().transport(own()), AnnouncerBuilder::new(own())] {
        let (transport, prober) = builder.parts().unwrap();
        assert!(prober.is_none() && transport.supports(Scheme::Https) && !transport.supports(Scheme::Udp));
    }
    let all = SchemeRouter::all();
    let (_, prober) = Announcer::builder().prober(all).transport(own()).parts().unwrap();
    assert!(prober.is_some(), "unless a prober is given, before or after the transport");
    let (transport, prober) = Announcer::builder().parts().unwrap();
    assert!(prober.is_some() && transport.supports(Scheme::Udp));
    assert!(Announcer::builder().without_prober().parts().unwrap().1.is_none());
}

#[test]
fn outside_a_runtime_the_panic_names_the_line_of_the_caller() {
    let here = std::thread::current().id();
    let (sender, panics) = std::sync::mpsc::channel();
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| match panic.location() {
        Some(place) if std::thread::current().id() == here => {
            let _ = sender.send(place.file().to_owned());
        }
        _ => before(panic),
    }));
    let calls: [fn() -> Announcer; 3] =
        [|| Announcer::builder().spawn(), || Announcer::new(), || Announcer::default()];
    let panicked = calls.map(|call| std::panic::catch_unwind(call).is_err());
    drop(std::panic::take_hook());
    assert_eq!(panicked, [true; 3]);
    let files: Vec<String> = panics.try_iter().collect();
    assert!(files.len() == 3 && files.iter().all(|file| file.ends_with("builder/tests.rs")), "{files:?}");
}
