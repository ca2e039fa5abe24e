//! Lists as they are published, and as they shouldn't be.

use proptest::prelude::*;

use super::*;

/// The tiers as text: `a.test b.test | c.test`.
fn layout(list: &TrackerList) -> String {
    let tier = |tier: &[TrackerUrl]| tier.iter().map(TrackerUrl::as_str).collect::<Vec<_>>().join(" ");
    list.tiers().map(tier).collect::<Vec<_>>().join(" | ")
}

fn url(text: &str) -> TrackerUrl {
    text.parse().unwrap()
}

#[test]
fn the_formats_of_published_lists_are_read() {
    for (text, expected) in [
        // One URL, a blank line: each its own tier (ngosang, XIU2).
        (
            "udp://a.test:1337/announce\n\nhttp://b.test/announce\n\n",
            "udp://a.test:1337/announce | http://b.test/announce",
        ),
        // One a line without blank lines between: one tier.
        ("udp://a.test:1\nudp://b.test:2", "udp://a.test:1 udp://b.test:2"),
        ("\u{feff}udp://a.test:1\r\n\r\n\r\n udp://b.test:2 \t\r\n", "udp://a.test:1 | udp://b.test:2"),
        ("# best\nudp://a.test:1 # near\n; old\nudp://b.test:2\n// end", "udp://a.test:1 udp://b.test:2"),
        // aria2's bt-tracker.
        (
            "udp://a.test:1,http://b.test/x, udp://c.test:3,\n",
            "udp://a.test:1 http://b.test/x udp://c.test:3",
        ),
        ("http://a.test/x?k=1,2\n", "http://a.test/x?k=1,2"),
        // By the normalised form the same.
        ("http://A.test/x\n\nHTTP://a.test:80/x\n\nhttp://b.test/x", "http://A.test/x | http://b.test/x"),
        ("", ""),
        ("\n\n# nothing\n", ""),
    ] {
        let list = TrackerList::parse(text);
        assert_eq!(layout(&list), expected, "{text:?}");
        assert_eq!(list.errors(), [], "{text:?}");
    }
}

#[test]
fn bad_lines_are_reported_without_secrets_and_good_ones_kept() {
    let text = b"udp://a.test:1\nhttp//5ec2e7\nwss://b.test/5ec2e7\nudp://c.test/5ec2e7\n\xff\xfe\nhttp://d.test/5ec2e7 twice\nhttp://e.test/\n";
    let list = TrackerList::parse(text);
    assert_eq!(layout(&list), "udp://a.test:1 http://e.test/");
    let errors: Vec<_> = list.errors().iter().map(ToString::to_string).collect();
    let expected = [
        "line 2: not a tracker address: expected scheme://host, found no \"://\"",
        "line 3: wss://b.test: expected http, https or udp",
        "line 4: not a tracker address: ",
        "line 5: expected UTF-8",
        "line 6: expected one URL, or several with commas between them",
    ];
    assert_eq!(errors.len(), expected.len(), "{errors:?}");
    for (error, expected) in errors.iter().zip(expected) {
        assert!(error.starts_with(expected) && !error.contains("5ec2e7"), "{error}");
    }
    assert!(!format!("{list:?}").contains("5ec2e7"));
}

#[test]
fn what_is_read_is_bounded() {
    let urls = |count: usize| {
        (0..count).fold(String::new(), |urls, number| format!("{urls}udp://h{number}.test:1\n"))
    };
    let list = TrackerList::parse(urls(1000));
    assert_eq!((list.len(), list.errors().len()), (1000, 0));
    let list = TrackerList::parse(urls(1001));
    assert_eq!((list.len(), list.errors()[0].line), (1000, 1001));
    let list = TrackerList::parse("x\n".repeat(20_000));
    assert_eq!((list.len(), list.errors().len(), list.further_errors()), (0, 100, 10_001 - 100));
    let list = TrackerList::parse([b"udp://a.test:1\n".as_slice(), &vec![b'x'; 2 << 20]].concat());
    assert_eq!((list.len(), &list.errors()[0].reason), (1, &ListErrorReason::TooMuch));
    let long = format!("{}\nudp://a.test:1", "x".repeat(MAX_LINE_LEN + 1));
    let list = TrackerList::parse(long);
    assert_eq!((list.len(), &list.errors()[0].reason), (1, &ListErrorReason::TooLong));
}

/// 10 s is more than ten times what it takes where nothing else runs.
#[expect(clippy::disallowed_methods, reason = "the time of a hostile list is bounded")]
#[test]
fn a_list_of_commas_is_soon_read() {
    let begun = std::time::Instant::now();
    let list = TrackerList::parse(format!("{}\n", ",".repeat(MAX_LINE_LEN)).repeat(15));
    assert!(list.is_empty() && list.errors().is_empty());
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
}

#[test]
fn comments_name_no_tracker_and_hide_none() {
    for (text, expected) in [
        ("udp://a.test:1 # was down, http://b.test/x", "udp://a.test:1"),
        ("udp://a.test:1, #udp://b.test:2,udp://c.test:3", "udp://a.test:1"),
        ("http://a.test/x#y //z", "http://a.test/x#y"),
    ] {
        let list = TrackerList::parse(text);
        assert_eq!(layout(&list), layout(&TrackerList::parse(expected)), "{text:?}");
        assert_eq!((list.len(), list.errors()), (1, [].as_slice()), "{text:?}");
    }
    for text in ["http://a.test/x // fakes peers", "b.test,http://a.test/x //a.test", "http://a.test/x#y #y"]
    {
        let denied = DenyList::parse(text);
        assert!(denied.denies(&url("http://a.test/x")) && denied.errors().is_empty(), "{text:?}: {denied:?}");
    }
}

#[test]
fn hosts_and_urls_are_denied() {
    let denied = DenyList::parse(
        "A.test # any port\n[2001:db8::1]:6969\n192.0.2.7, c.test:80\nhttp://d.test/one\nb d\n/x\n",
    );
    assert_eq!(denied.errors().iter().map(|error| error.line).collect::<Vec<_>>(), [5, 6]);
    for (tracker, is_denied) in [
        ("udp://a.test:1", true),
        ("https://a.test/x", true),
        ("http://sub.a.test/x", false),
        ("udp://[2001:db8::1]:6969", true),
        ("udp://[2001:db8::1]:6970", false),
        ("http://192.0.2.7/", true),
        ("http://c.test/", true),
        ("https://c.test/", false),
        ("http://D.test:80/one", true),
        ("http://d.test/two", false),
    ] {
        assert_eq!(denied.denies(&url(tracker)), is_denied, "{tracker}");
    }
    let list = TrackerList::parse("udp://a.test:1\n\nhttp://d.test/one\nhttp://d.test/two");
    assert_eq!(layout(&list.clone().without(&denied)), "http://d.test/two");
    assert!(list.clone().without(&DenyList::from(&list)).is_empty());
}

proptest! {
    #[test]
    fn what_was_read_is_read_again(
        tiers in proptest::collection::vec(proptest::collection::vec("(http|udp)://[a-z]{1,9}\\.test:[1-9][0-9]{0,3}/[a-z0-9?=]{0,9}", 1..4), 0..6),
        noise in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let list = TrackerList::parse(tiers.iter().map(|tier| tier.join("\n")).collect::<Vec<_>>().join("\n\n"));
        prop_assert_eq!(list.errors(), []);
        let again = list.tiers().map(|tier| tier.iter().map(TrackerUrl::as_str).collect::<Vec<_>>().join(",")).collect::<Vec<_>>().join("\r\n\r\n");
        prop_assert_eq!(TrackerList::parse(again), list);
        TrackerList::parse(&noise);
        DenyList::parse(&noise);
    }
}
