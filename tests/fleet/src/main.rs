//! Processes that share what they know of tracker hosts through a real redis-server, on loopback: one finds a tracker dead,
//! and the others skip it. One of them is killed, the server is stopped and started again, filled with nonsense and stalled.
//!
//! `tests/fleet/run` runs it. Not a test of `cargo test`, because it needs redis-server.

mod member;
mod server;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use fake_tracker::{Behaviour, FakeTracker};
use tokio::time::{Instant, sleep, timeout};

use member::Member;
use server::{Server, Stalling};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// The whole run; it takes a fifth of that.
const LIMIT: Duration = Duration::from_secs(300);

/// How long news may take: ten times what is promised, for a busy machine.
const NEWS_LIMIT: Duration = Duration::from_secs(10);

/// The largest text of a program that isn't ours.
const TEN_MEBIBYTES: usize = 10 << 20;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let result = match words.split_first() {
        Some((url, trackers)) => member::run(url, trackers).await,
        None => timeout(LIMIT, fleet()).await.unwrap_or_else(|_| Err("it took too long".into())),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fleet: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn fleet() -> Outcome {
    let mut server = Server::start().await?;
    let mut trackers = Vec::new();
    for _ in 0..4 {
        trackers.push(FakeTracker::start(Behaviour::ok()).await);
    }
    let urls: Vec<String> = trackers.iter().map(FakeTracker::announce_url).collect();
    let hosts: Vec<String> = trackers.iter().map(|tracker| tracker.address().to_string()).collect();
    let mut members = Vec::new();
    for _ in 0..3 {
        let mut member = Member::start(&server.url(), &urls)?;
        expect("the first announce goes to the first tracker", &member.add().await?, &[&hosts[0]])?;
        members.push(member);
    }
    // Each has subscribed and published by then.
    sleep(Duration::from_secs(1)).await;

    trackers[0].kill().await;
    expect("the one that finds it dead", &members[0].add().await?, &[&hosts[0], &hosts[1]])?;
    let began = members[0].until_dead(&hosts[0], NEWS_LIMIT).await?;
    for member in &mut members[1..] {
        let known = member.until_dead(&hosts[0], NEWS_LIMIT).await?;
        println!("dead tracker: skipped by another process after {} s", seconds(known - began));
        expect("another process skips it", &member.add().await?, &[&hosts[1]])?;
    }

    let killed = members.remove(1);
    killed.kill().await?;
    let mut late = Member::start(&server.url(), &urls)?;
    expect("a process that starts later skips it", &late.add().await?, &[&hosts[1]])?;
    members.insert(1, late);

    let stopped = server.stop().await?;
    trackers[1].kill().await;
    let tried = members[0].add().await?;
    let (last, before) = tried.split_last().ok_or("nothing was tried")?;
    check("without a server it announces", *last == hosts[2] && before.contains(&hosts[1]), &tried)?;
    sleep(Duration::from_secs(2)).await;
    server.start_again().await?;
    let began = now();
    for member in &mut members[1..] {
        let known = member.until_dead(&hosts[1], Duration::from_secs(100)).await?;
        println!(
            "server away for {} s: another process knows {} s after its return",
            seconds(began - stopped),
            seconds(known.saturating_duration_since(began))
        );
        let tried = member.add().await?;
        check("another process skips that one too", !tried.contains(&hosts[1]), &tried)?;
    }

    nonsense(&server, &trackers, &mut members, (&urls, &hosts)).await?;
    stalls(&urls).await?;
    for member in members {
        member.end().await?;
    }
    println!("all as expected");
    Ok(())
}

/// With a server full of nonsense, running processes and a new one announce as ever.
async fn nonsense(
    server: &Server,
    trackers: &[FakeTracker],
    members: &mut [Member],
    (urls, hosts): (&[String], &[String]),
) -> Outcome {
    trackers[0].revive().await;
    fill(server, hosts)?;
    for member in &mut *members {
        let began = now();
        let tried = member.add().await?;
        check("full of nonsense it announces", tried.last().is_some(), &tried)?;
        println!("server full of nonsense: announced after {} s", seconds(now() - began));
    }
    let mut fresh = Member::start(&server.url(), urls)?;
    let began = now();
    let tried = fresh.add().await?;
    check("a process that starts then announces", tried.last().is_some(), &tried)?;
    println!("server full of nonsense: first announce of a new process after {} s", seconds(now() - began));
    trackers[2].kill().await;
    let tried = fresh.add().await?;
    check("it fails over", tried.last() == Some(&hosts[3]) || tried.last() == Some(&hosts[0]), &tried)?;
    fresh.end().await
}

/// With a server that takes connections and says nothing, the first announce is hardly later.
async fn stalls(urls: &[String]) -> Outcome {
    let stalling = Stalling::start().await?;
    let mut slow = Member::start(&stalling.url(), urls)?;
    let began = now();
    let tried = slow.add().await?;
    check("with a server that stalls it announces", tried.last().is_some(), &tried)?;
    let took = now() - began;
    println!("server that stalls: first announce after {} s", seconds(took));
    check("and soon", took < Duration::from_secs(3), &tried)?;
    slow.end().await
}

/// Fills the server with what isn't ours, at our keys and elsewhere.
fn fill(server: &Server, hosts: &[String]) -> Outcome {
    let large = "x".repeat(TEN_MEBIBYTES);
    let host = |host: &str| format!("tracker-failover:host:http://{host}");
    let mut connection = server.connect()?;
    let mut pipeline = redis::pipe();
    pipeline.cmd("SET").arg(host(&hosts[2])).arg(&large).ignore();
    pipeline.cmd("SET").arg(host(&hosts[3])).arg("d3:app").ignore();
    pipeline.cmd("DEL").arg(host(&hosts[0])).ignore();
    pipeline.cmd("RPUSH").arg(host(&hosts[0])).arg("a list").ignore();
    pipeline.cmd("ZADD").arg("tracker-failover:hosts").arg("1e300").arg(&large).ignore();
    pipeline.cmd("PUBLISH").arg("tracker-failover:news").arg(&large).ignore();
    pipeline.query::<()>(&mut connection)?;
    for page in 0..100 {
        let mut pipeline = redis::pipe();
        for number in 0..1000 {
            let name = format!("http://h{page}-{number}.test:80");
            pipeline.cmd("SET").arg(host(&name)).arg("nonsense").ignore();
            pipeline
                .cmd("ZADD")
                .arg("tracker-failover:hosts")
                .arg(4_000_000_000_u64 + number)
                .arg(&name)
                .ignore();
            pipeline.cmd("PUBLISH").arg("tracker-failover:news").arg(&name).ignore();
        }
        pipeline.query::<()>(&mut connection)?;
    }
    Ok(())
}

fn expect(what: &str, tried: &[String], expected: &[&String]) -> Outcome {
    check(what, tried.iter().eq(expected.iter().copied()), tried)
}

fn check(what: &str, is_true: bool, tried: &[String]) -> Outcome {
    if is_true {
        println!("{what}");
        return Ok(());
    }
    Err(format!("not so: {what}; tried {tried:?}").into())
}

fn seconds(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64())
}

#[expect(clippy::disallowed_methods, reason = "a program that measures")]
fn now() -> Instant {
    Instant::now()
}
