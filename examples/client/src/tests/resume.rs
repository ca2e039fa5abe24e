//! Fast resume and `--check`, with the whole program. What may be relied on is played in `files::tests`.

use std::fs::File;

use super::*;

/// The `checked` event that a start of the seed gives.
fn start_of_seed(shared: &Shared, more: &[&str]) -> String {
    let (code, said) = shared.start("seed", &[&["--no-trackers", "--seed-time", "0s"], more].concat()).end();
    assert_eq!(code, Some(0), "{said}");
    said.lines().find(|line| line.starts_with("{\"event\":\"checked\"")).unwrap().to_owned()
}

fn checked(have: u32, hashed: u32) -> String {
    format!("{{\"event\":\"checked\",\"have\":{have},\"hashed\":{hashed},\"pieces\":7}}")
}

#[test]
fn the_second_start_of_a_seed_hashes_nothing() {
    let shared = Shared::new(100_000, &[]);
    assert_eq!(start_of_seed(&shared, &[]), checked(7, 7));
    assert_eq!(start_of_seed(&shared, &[]), checked(7, 0));
    assert!(shared.path("seed").join(format!(".{}.resume", shared.torrent.info_hash)).exists());
}

/// It is for a next start, and nothing follows a download that ends complete.
#[test]
fn a_download_that_ends_complete_leaves_nothing_but_its_data() {
    let shared = Shared::new(100_000, &[]);
    let resume = shared.path("seed").join(format!(".{}.resume", shared.torrent.info_hash));
    start_of_seed(&shared, &[]);
    assert!(resume.exists());
    let (code, said) = shared.start("seed", &["--no-trackers", "--exit-when-done"]).end();
    assert_eq!((code, resume.exists()), (Some(0), false), "{said}");
    assert!(said.contains(&checked(7, 0)), "the resume file of an earlier run is used: {said}");
    assert_eq!(fs::read_dir(shared.path("seed")).unwrap().count(), 1, "the data");
}

#[test]
fn a_check_finds_what_a_start_can_not_see() {
    let shared = Shared::new(100_000, &[]);
    start_of_seed(&shared, &[]);
    let path = shared.path("seed/x.bin");
    let file = File::options().write(true).open(&path).unwrap();
    let time = file.metadata().unwrap().modified().unwrap();
    let mut spoilt = shared.data.clone();
    spoilt[50_000] ^= 1;
    fs::write(&path, &spoilt).unwrap();
    file.set_modified(time).unwrap();
    assert_eq!(start_of_seed(&shared, &[]), checked(7, 0));
    let check = || {
        let (code, said) = shared.start("seed", &["--check"]).end();
        assert!(said.contains(&checked(6, 7)) && !said.contains("listening"), "{said}");
        (code, said.contains("1 piece of 7 damaged or missing"))
    };
    assert_eq!(check(), (Some(6), true));
    assert!(is_content(&path, &spoilt), "a check changes nothing");
    // What it found is known from then on.
    let (code, said) = shared.start("seed", &["--no-trackers", "--deadline-s", "1"]).end();
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains(&checked(6, 0)), "{said}");
    fs::write(&path, &shared.data).unwrap();
    let (code, said) = shared.start("seed", &["--check"]).end();
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_check_of_nothing_makes_nothing() {
    let shared = Shared::new(100_000, &[]);
    let (code, said) = shared.start("leech", &["--check"]).end();
    assert_eq!(code, Some(6), "{said}");
    assert_eq!(fs::read_dir(shared.path("leech")).unwrap().count(), 0);
}

/// SIGKILL in the middle of a download, again and again: what is claimed by then is on the disk.
#[test]
fn a_download_that_is_killed_goes_on() {
    let shared = Shared::new(640_000, &[]);
    let mut seed = shared.start("seed", &["--no-trackers"]);
    let peer = format!("127.0.0.1:{}", seed.port());
    let options = ["--no-trackers", "--peer", &peer];
    for _ in 0..3 {
        let mut leech = shared.start("leech", &[&options[..], &["--down", "100"]].concat());
        for _ in 0..2 {
            leech.wait_for("piece_ok");
        }
        leech.kill();
    }
    // One that ends in order writes down what it has.
    let (_, said) =
        shared.start("leech", &[&options[..], &["--down", "100", "--deadline-s", "1"]].concat()).end();
    assert!(said.contains("\"piece_ok\""), "{said}");
    let (code, said) = shared.start("leech", &[&options[..], &["--exit-when-done"]].concat()).end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("\"hashed\":0,"), "{said}");
    assert!(shared.is_whole("leech"));
}
