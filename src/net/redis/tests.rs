//! What is shown of a server, and which are taken.

use super::*;

#[test]
fn a_url_is_taken_and_no_password_is_shown() {
    let store = RedisStore::new("redis://user:5ec2e7@cache.test:6380/3").unwrap().prefix("boxes").unwrap();
    assert_eq!(format!("{store:?}"), r#"RedisStore { server: "cache.test:6380", prefix: "boxes", .. }"#);
    for bad in
        ["", "5ec2e7", "http://5ec2e7@a.test", "redis://", "redis://a.test/5ec2e7", "redis://a.test:5ec2e7/"]
    {
        let error = RedisStore::new(bad).unwrap_err();
        assert_eq!(error, RedisConfigError::Url, "{bad}");
        assert!(!format!("{error} {error:?}").contains("5ec2e7"));
    }
    for tls in ["rediss://a.test", "valkeys://a.test"] {
        assert_eq!(RedisStore::new(tls).unwrap_err(), RedisConfigError::Tls);
    }
    let long = "x".repeat(MAX_PREFIX_LEN + 1);
    for bad in ["", "a b", "a\n", "ä", &long] {
        let store = RedisStore::new("redis://a.test").unwrap();
        assert_eq!(store.prefix(bad).unwrap_err(), RedisConfigError::Prefix, "{bad}");
    }
}

#[test]
fn an_error_shows_its_kind_and_nothing_of_the_servers_text() {
    let error = ::redis::make_extension_error("5".repeat(1000), Some("5ec2e7".to_owned()));
    let text = failure(&error).to_string();
    assert!(text.starts_with("the store failed: ") && text.len() < 100 && !text.contains("5ec2e7"), "{text}");
}
