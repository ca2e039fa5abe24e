//! Which features the tests were built with.

use crate::page;

/// The step `pure` builds without features. Where a dev-dependency asks for one of ours, Cargo switches it on for that
/// build as well, and the step would test something else than it says.
#[test]
fn the_pure_step_tests_without_features() {
    let run = page(".ci/run");
    let [expected, tests] = ["EXPECT_FEATURES=none", "cargo test --no-default-features\n"];
    assert!(run.contains(&format!("    {expected} {tests}")), "the step has to say what it expects");
    assert_eq!(run.matches(tests).count(), 1, "and no other step tests that build");
    if std::env::var("EXPECT_FEATURES").is_ok_and(|features| features == "none") {
        assert_eq!(built_with(), Vec::<&str>::new());
    }
}

/// The features that are on in this build.
fn built_with() -> Vec<&'static str> {
    let features = [
        ("tokio", cfg!(feature = "tokio")),
        ("http", cfg!(feature = "http")),
        ("udp", cfg!(feature = "udp")),
        ("tls", cfg!(feature = "tls")),
        ("tls-ring", cfg!(feature = "tls-ring")),
        ("tls-aws-lc-rs", cfg!(feature = "tls-aws-lc-rs")),
        ("webpki-roots", cfg!(feature = "webpki-roots")),
        ("tls-native-roots", cfg!(feature = "tls-native-roots")),
        ("cache", cfg!(feature = "cache")),
        ("gzip", cfg!(feature = "gzip")),
        ("hickory", cfg!(feature = "hickory")),
        ("proxy", cfg!(feature = "proxy")),
        ("metainfo", cfg!(feature = "metainfo")),
        ("tracing", cfg!(feature = "tracing")),
        ("metrics", cfg!(feature = "metrics")),
        ("serde", cfg!(feature = "serde")),
        ("redis", cfg!(feature = "redis")),
    ];
    features.iter().filter(|(_, is_on)| *is_on).map(|(name, _)| *name).collect()
}
