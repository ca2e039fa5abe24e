//! A redis-server of this run on a free port, and a server that takes connections and says nothing.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::{Outcome, now};

/// A redis-server that keeps nothing.
pub(crate) struct Server {
    port: u16,
    folder: TempDir,
    child: Child,
}

/// A server that takes connections, reads nothing and says nothing.
pub(crate) struct Stalling {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start() -> Outcome<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        drop(listener);
        let folder = TempDir::new()?;
        let child = spawn(port, &folder)?;
        let server = Self { port, folder, child };
        server.wait().await?;
        Ok(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Kills it, and gives when.
    pub(crate) async fn stop(&mut self) -> Outcome<Instant> {
        self.child.kill().await?;
        Ok(now())
    }

    pub(crate) async fn start_again(&mut self) -> Outcome {
        self.child = spawn(self.port, &self.folder)?;
        self.wait().await
    }

    pub(crate) fn connect(&self) -> Outcome<redis::Connection> {
        Ok(redis::Client::open(self.url())?.get_connection()?)
    }

    async fn wait(&self) -> Outcome {
        for _ in 0..500 {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.is_ok() {
                return Ok(());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Err("redis-server doesn't listen".into())
    }
}

fn spawn(port: u16, folder: &TempDir) -> Outcome<Child> {
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    command.args(["--port", &port.to_string()]).arg("--dir").arg(folder.path());
    let child = command.stdout(Stdio::null()).kill_on_drop(true).spawn();
    child.map_err(|error| format!("redis-server ({error}): apt-get install redis-server").into())
}

impl Stalling {
    pub(crate) async fn start() -> Outcome<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                held.push(stream);
            }
        });
        Ok(Self { address, task })
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }
}

impl Drop for Stalling {
    fn drop(&mut self) {
        self.task.abort();
    }
}
