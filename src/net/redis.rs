//! A store in Redis, by which the processes of one machine or many share what they know of tracker hosts.

mod connection;
mod scripts;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use ::redis::{ConnectionAddr, ConnectionInfo, FromRedisValue, IntoConnectionInfo};
use async_trait::async_trait;
use tokio::sync::Mutex;

use self::connection::{Commands, Subscription, failure};
use self::scripts::{LOAD, PUBLISH};
use super::clock;
use crate::error::CacheError;
use crate::host_snapshot::HostSnapshot;
use crate::host_store::HostStore;
use crate::policy::HealthBook;
use crate::wire::host_record;

/// How many hosts are kept and loaded, the last heard of first.
const MAX_HOSTS: usize = 4096;

/// How many hosts are loaded or published by one command: 256 KiB at most.
const PAGE: usize = 256;

/// The longest name of a host that is read, `scheme://host:port`, in bytes.
const MAX_NAME_LEN: usize = 300;

/// How far ahead a moment may be, in seconds: clocks of several machines differ.
const CLOCK_ERROR: u64 = 5 * 60;

/// The longest prefix of keys, in bytes.
const MAX_PREFIX_LEN: usize = 64;

/// How long connecting or one command may take.
const LIMIT: Duration = Duration::from_secs(5);

/// A [`HostStore`] in Redis 6 or later, or Valkey. It needs the feature `redis`.
///
/// Each host is one key, `PREFIX:host:SCHEME://HOST:PORT`, that expires a week after its last news; the sorted set
/// `PREFIX:hosts` lists the 4096 hosts that were heard of last, and the channel `PREFIX:news` carries changes. A host is replaced only by a
/// newer word of it, in one step on the server. Keys and values hold no path and no passkey. Keys that aren't ours are never
/// looked at; values that aren't are skipped, and none longer than 1 KiB is read.
///
/// It connects when it is first used, and again after a pause when the connection is lost; then it loads everything, because
/// news may have been missed. Its connection is plain TCP or a Unix socket, made by this machine's own routes: neither a
/// proxy nor an interface that is set for trackers applies to it. To reach a server over TLS, put a tunnel before it.
///
/// ```no_run
/// use tracker_failover::Announcer;
/// use tracker_failover::net::redis::RedisStore;
///
/// # fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let store = RedisStore::new("redis://:password@10.0.0.7:6379/0")?.prefix("seedboxes")?;
/// # #[cfg(feature = "http")]
/// let announcer = Announcer::builder().host_store(store).spawn();
/// # Ok(())
/// # }
/// ```
pub struct RedisStore {
    server: ConnectionInfo,
    prefix: String,
    /// The connection for commands, while none uses it.
    commands: Mutex<Option<Commands>>,
    /// The connection on which news come.
    news: Mutex<Option<Subscription>>,
}

/// Why a [`RedisStore`] can't be made. No variant shows the URL, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedisConfigError {
    /// The text isn't a URL of a Redis server.
    #[error("expected redis://[user:password@]host[:port][/database] or unix:///path")]
    Url,
    /// The URL asks for TLS, which isn't supported.
    #[error("expected a server without TLS")]
    Tls,
    /// The prefix isn't one.
    #[error("expected a prefix of 1 to {MAX_PREFIX_LEN} printable ASCII characters")]
    Prefix,
}

impl RedisStore {
    /// A store at this server: `redis://[user:password@]host[:port][/database]` or `unix:///path`. Nothing is connected yet.
    ///
    /// # Errors
    /// If the URL isn't understood, or asks for TLS.
    pub fn new(url: &str) -> Result<Self, RedisConfigError> {
        if ["rediss:", "valkeys:"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(RedisConfigError::Tls);
        }
        let server = url.into_connection_info().map_err(|_| RedisConfigError::Url)?;
        let is_supported = matches!(server.addr(), ConnectionAddr::Tcp(..))
            || cfg!(unix) && matches!(server.addr(), ConnectionAddr::Unix(_));
        if !is_supported {
            return Err(RedisConfigError::Url);
        }
        let (commands, news) = (Mutex::new(None), Mutex::new(None));
        Ok(Self { server, prefix: "tracker-failover".to_owned(), commands, news })
    }

    /// Sets what all keys and the channel begin with, in place of `tracker-failover`: processes with the same one share what
    /// they know.
    ///
    /// # Errors
    /// If it isn't 1 to 64 printable ASCII characters.
    pub fn prefix(mut self, prefix: &str) -> Result<Self, RedisConfigError> {
        let is_printable = prefix.bytes().all(|byte| byte.is_ascii_graphic());
        if prefix.is_empty() || prefix.len() > MAX_PREFIX_LEN || !is_printable {
            return Err(RedisConfigError::Prefix);
        }
        prefix.clone_into(&mut self.prefix);
        Ok(self)
    }

    fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.prefix)
    }

    /// The earliest and the latest moment that is believed, in seconds since 1970.
    fn bounds() -> (u64, u64) {
        let now = clock::seconds();
        (now.saturating_sub(HealthBook::MEMORY.as_secs()), now.saturating_add(CLOCK_ERROR))
    }

    /// Runs a script with the index of hosts as its key. A connection on which it fails isn't used again.
    async fn run<T: FromRedisValue>(&self, script: &str, arguments: &[Vec<u8>]) -> Result<T, CacheError> {
        let mut place = self.commands.lock().await;
        let mut commands = match place.take() {
            Some(commands) => commands,
            None => within_limit(Commands::connect(&self.server)).await?,
        };
        let mut command = ::redis::cmd("EVAL");
        command.arg(script).arg(1).arg(self.key("hosts"));
        for argument in arguments {
            command.arg(argument.as_slice());
        }
        let value = within_limit(commands.run(&command)).await?;
        *place = Some(commands);
        FromRedisValue::from_redis_value(value).map_err(|error| failure(&error.into()))
    }

    async fn subscribe(&self) -> Result<Subscription, CacheError> {
        within_limit(Subscription::connect(&self.server, &self.key("news"))).await
    }
}

#[async_trait]
impl HostStore for RedisStore {
    async fn load(&self) -> Result<Vec<HostSnapshot>, CacheError> {
        let (earliest, latest) = Self::bounds();
        let mut hosts = Vec::new();
        for first in (0..MAX_HOSTS).step_by(PAGE) {
            let numbers = [earliest, latest, first as u64, PAGE as u64];
            let sizes = [MAX_NAME_LEN as u64, host_record::LIMIT as u64];
            let mut arguments = vec![self.key("host:").into_bytes()];
            arguments.extend(numbers.into_iter().chain(sizes).map(|number| number.to_string().into_bytes()));
            let (listed, records): (usize, Vec<Vec<u8>>) = self.run(LOAD, &arguments).await?;
            // What is no record is skipped: a foreign value costs one host.
            hosts.extend(records.iter().take(PAGE).filter_map(|record| host_record::decode(record).ok()));
            if listed < PAGE {
                break;
            }
        }
        Ok(hosts)
    }

    async fn publish(&self, hosts: Vec<HostSnapshot>) -> Result<(), CacheError> {
        let (earliest, latest) = Self::bounds();
        let encode =
            |host: &HostSnapshot| Some((host.host.to_string(), host.heard_at()?, host_record::encode(host)?));
        let records: Vec<_> = hosts.iter().filter_map(encode).collect();
        for page in records.chunks(PAGE) {
            let limits = [earliest, latest, HealthBook::MEMORY.as_secs(), MAX_HOSTS as u64];
            let sizes = [host_record::RANK as u64];
            let mut arguments = vec![self.key("host:").into_bytes(), self.key("news").into_bytes()];
            arguments.extend(limits.into_iter().chain(sizes).map(|number| number.to_string().into_bytes()));
            for (name, heard_at, record) in page {
                arguments.extend([
                    name.clone().into_bytes(),
                    heard_at.to_string().into_bytes(),
                    record.clone(),
                ]);
            }
            let _: usize = self.run(PUBLISH, &arguments).await?;
        }
        Ok(())
    }

    async fn changes(&self) -> Result<Vec<HostSnapshot>, CacheError> {
        let mut place = self.news.lock().await;
        if place.is_none() {
            // First subscribed, then loaded: nothing is missed between.
            let subscription = self.subscribe().await?;
            let hosts = self.load().await?;
            *place = Some(subscription);
            return Ok(hosts);
        }
        let news = match place.as_mut() {
            Some(subscription) => subscription.next(MAX_HOSTS).await,
            None => Ok(Vec::new()),
        };
        if news.is_err() {
            *place = None;
        }
        let records = news?;
        Ok(records.iter().filter_map(|record| host_record::decode(record).ok()).collect())
    }
}

/// Shows no password.
impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = match self.server.addr() {
            ConnectionAddr::Tcp(host, port) => format!("{host}:{port}"),
            _ => "a Unix socket".to_owned(),
        };
        f.debug_struct("RedisStore")
            .field("server", &server)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

async fn within_limit<T>(future: impl Future<Output = Result<T, CacheError>>) -> Result<T, CacheError> {
    clock::timeout(LIMIT, future).await.unwrap_or(Err(CacheError::TimedOut(LIMIT)))
}
