//! What requests are answered.

use serde_json::{Value, json};

use super::*;

fn ask(request: &Value) -> Value {
    serde_json::from_str(&answer(&request.to_string())).unwrap()
}

#[test]
fn every_scenario_is_played_by_every_client() {
    for scenario in ["cold", "dies", "down", "empty", "cluster", "thousand"] {
        for seed in 0..5 {
            let played = ask(&json!({ "scenario": scenario, "seed": seed }));
            assert_eq!(played["trackers"].as_array().unwrap().len(), 8, "{scenario}");
            let clients = played["clients"].as_array().unwrap();
            assert_eq!(clients.len(), 6, "{scenario}");
            for client in clients {
                assert!(!client["packets"].as_array().unwrap().is_empty(), "{scenario} {}", client["name"]);
            }
            assert!(clients[0]["firstPeers"].is_u64(), "{scenario} {seed}: ours found peers");
        }
    }
}

/// The map draws them up to the first that isn't sent yet.
#[test]
fn packets_are_in_the_order_in_which_they_are_sent() {
    for scenario in ["cold", "dies", "down", "empty", "cluster", "thousand"] {
        let played = ask(&json!({ "scenario": scenario, "seed": 1 }));
        for client in played["clients"].as_array().unwrap() {
            let packets = client["packets"].as_array().unwrap();
            assert!(packets.is_sorted_by_key(|packet| packet[0].as_u64()), "{scenario} {}", client["name"]);
        }
    }
}

#[test]
fn the_same_request_has_the_same_answer() {
    let request = json!({ "scenario": "cold", "seed": 7 }).to_string();
    assert_eq!(answer(&request), answer(&request));
    assert_ne!(answer(&request), answer(&request.replace('7', "8")));
}

/// The point of the crate, in the visitor's first scenario: a dead tracker costs no seconds.
#[test]
fn ours_has_peers_at_once_where_half_of_the_trackers_are_silent() {
    for seed in 0..20 {
        let played = ask(&json!({ "scenario": "cold", "seed": seed }));
        let first = played["clients"][0]["firstPeers"].as_u64().unwrap();
        assert!(first < 2000, "seed {seed}: {first} ms");
    }
}

#[test]
fn a_tracker_that_the_visitor_kills_is_left_and_a_revived_one_is_found() {
    let request =
        json!({ "scenario": "empty", "seed": 3, "edits": [{ "at": 1, "tracker": 0, "change": "kill" }] });
    let played = ask(&request);
    assert_eq!(played["trackers"][0]["states"], json!([[0, "up"], [1, "silent"]]));
    let edits: Vec<Value> = (0..8).map(|t| json!({ "at": 0, "tracker": t, "change": "kill" })).collect();
    let mut all = edits.clone();
    all.push(json!({ "at": 60_000, "tracker": 5, "change": "revive" }));
    let dead = ask(&json!({ "scenario": "cluster", "seed": 3, "edits": edits }));
    // The nearest one dies again after a minute in this scenario, and the edits are made after it.
    assert!(dead["clients"][0]["firstPeers"].is_null());
    let revived = ask(&json!({ "scenario": "cluster", "seed": 3, "edits": all }));
    assert!(revived["clients"][0]["firstPeers"].as_u64().unwrap() > 59_000);
}

#[test]
fn the_lines_are_those_of_the_client_and_the_reasons_those_of_the_engine() {
    let played = ask(&json!({ "scenario": "dies", "seed": 1 }));
    let lines = played["clients"][0]["lines"].as_array().unwrap();
    assert!(lines.iter().any(|line| line[1].as_str().unwrap().starts_with("[ANNOUNCE] ")), "{lines:?}");
    let reasons = ask(&json!({ "scenario": "dies", "seed": 1, "explain": { "at": 30_000, "tracker": 2 } }));
    assert!(reasons["torrent"].as_str().unwrap().contains("using"), "{reasons}");
    assert!(reasons["tracker"].as_str().unwrap().contains("://t2"), "{reasons}");
}

#[test]
fn a_thousand_torrents_of_ours_are_spaced_out() {
    let played = ask(&json!({ "scenario": "thousand", "seed": 1 }));
    let burst = |client: usize| {
        let heard: Vec<u64> = played["clients"][client]["heard"]
            .as_array()
            .unwrap()
            .iter()
            .map(|at| at.as_u64().unwrap())
            .collect();
        (0..60).map(|second| heard.iter().filter(|at| **at / 1000 == second).count()).max().unwrap()
    };
    assert!(burst(0) <= 8 * 25, "ours: {}", burst(0));
    assert!(burst(4) >= 1000, "rqbit: {}", burst(4));
}

#[test]
fn what_cannot_be_played_is_refused_with_a_reason() {
    for (request, reason) in [
        ("", "EOF while parsing"),
        ("{}", "missing field `scenario`"),
        (r#"{"scenario":"other","seed":1}"#, "unknown variant `other`"),
        (r#"{"scenario":"cold","seed":-1}"#, "invalid value"),
        (r#"{"scenario":"cold","seed":1,"until":3600001}"#, "until: expected at most"),
        (r#"{"scenario":"cold","seed":1,"x":1}"#, "unknown field `x`"),
        (
            r#"{"scenario":"cold","seed":1,"edits":[{"at":0,"tracker":8,"change":"kill"}]}"#,
            "tracker: expected a number below 8, found 8",
        ),
        (r#"{"scenario":"cold","seed":1,"explain":{"at":0,"tracker":99}}"#, "tracker: expected"),
    ] {
        let answer: Value = serde_json::from_str(&answer(request)).unwrap();
        assert!(answer["error"].as_str().unwrap().starts_with(reason), "{request}: {answer}");
    }
    let most = json!({ "scenario": "cold", "seed": u32::MAX, "until": 0,
        "edits": [{ "at": u64::MAX, "tracker": 7, "change": "slow" }], "explain": { "at": u64::MAX, "tracker": 0 } });
    assert!(ask(&most)["error"].is_null());
}
