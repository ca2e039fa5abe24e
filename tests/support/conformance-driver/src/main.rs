//! The conformance driver: speaks the JSON lines of the conformance cases over the public API of
//! `tracker-failover`.
//!
//! One request per line on standard input, `{"id": 1, "op": "parse_announce", ...}`, one answer per line on
//! standard output, in order: `{"id": 1, "ok": {...}}`, `{"id": 1, "err": {...}}`, or
//! `{"id": 1, "unsupported": true}` for what the crate doesn't do. The log of the sessions, which is their alerts,
//! goes to standard error; nothing secret may be in it. The driver ends when its input does.
//!
//! It is an adapter and decides nothing: whatever a case finds is the crate's doing. Where the cases have other
//! defaults than the crate, [`options`] says which.
//!
//! `cases.md` and `downloader.md` beside this crate hold cases of the project's own, in the format of the shared
//! ones; `.ci/conformance` runs them all.

mod answer;
mod options;
mod parse;
mod session;

use std::io::Write as _;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use answer::Failure;
use session::Sessions;

/// What every request has; the rest depends on the operation.
#[derive(Deserialize)]
struct Request {
    id: Value,
    op: String,
    #[serde(flatten)]
    fields: serde_json::Map<String, Value>,
}

fn main() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let served = runtime.block_on(serve());
    // Connections that are still open are left to the end of the process: the input has ended, and so do we.
    runtime.shutdown_background();
    served
}

async fn serve() -> std::io::Result<()> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut sessions = Sessions::default();
    while let Some(line) = lines.next_line().await? {
        if line.trim().is_empty() {
            continue;
        }
        let answer = match serde_json::from_str::<Request>(&line) {
            Ok(request) => {
                let (id, outcome) = (request.id, perform(&mut sessions, &request.op, request.fields).await);
                match outcome {
                    Ok(ok) => json!({ "id": id, "ok": ok }),
                    Err(Failure::Unsupported) => json!({ "id": id, "unsupported": true }),
                    Err(Failure::Error(error)) => json!({ "id": id, "err": error }),
                }
            }
            Err(error) => json!({ "id": null, "err": { "kind": "malformed", "reason": error.to_string() } }),
        };
        let mut out = std::io::stdout().lock();
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

async fn perform(
    sessions: &mut Sessions,
    op: &str,
    fields: serde_json::Map<String, Value>,
) -> Result<Value, Failure> {
    let fields = Value::Object(fields);
    match op {
        "parse_announce" => parse::announce(&read(fields)?),
        "parse_scrape" => parse::scrape(&read(fields)?),
        "parse_metainfo" => parse::metainfo(&read(fields)?),
        "scrape_url" => parse::scrape_url(&read(fields)?),
        "url_display" => parse::url_display(&read(fields)?),
        "open" => sessions.open(read(fields)?),
        "announce" => sessions.announce(&read(fields)?).await,
        "add_tracker" => sessions.add_tracker(&read(fields)?),
        "peers" => sessions.peers(&read(fields)?),
        "scrape" => sessions.scrape(&read(fields)?).await,
        "order" => sessions.order(&read(fields)?),
        "dump" => sessions.dump(&read(fields)?),
        _ => Err(Failure::Unsupported),
    }
}

fn read<T: serde::de::DeserializeOwned>(fields: Value) -> Result<T, Failure> {
    serde_json::from_value(fields).map_err(|error| Failure::new("malformed", &error.to_string()))
}
