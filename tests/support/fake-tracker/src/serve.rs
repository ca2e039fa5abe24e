//! One connection: reads requests from any stream and answers them by the script.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::sleep;

use crate::behaviour::Step;
use crate::http::{self, Exchange};
use crate::request::{self, HEAD_LIMIT, Heard, Origin};
use crate::shared::Shared;

/// How many bytes a client may send before it has been answered; what comes beyond is left unread.
const READ_AHEAD: usize = 2 * HEAD_LIMIT;

/// Ends a connection by a reset, where the stream can.
pub(crate) type Reset<S> = fn(&S);

/// A connection is over, which is nothing out of the ordinary here.
enum Over {
    /// What was sent is to arrive before the end.
    Closed,
    /// The end is a reset.
    Reset,
}

struct Connection<S> {
    stream: S,
    reset: Reset<S>,
    /// What was read and not yet understood.
    unread: Vec<u8>,
}

/// Serves a connection until one side ends it.
pub(crate) async fn serve<S>(shared: Arc<Shared>, stream: S, origin: Origin, reset: Reset<S>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut connection = Connection { stream, reset, unread: Vec::with_capacity(2048) };
    if let Over::Closed = connection.converse(&shared, origin).await {
        // Fails where the client has gone first.
        let _ = connection.stream.shutdown().await;
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Answers one request after the other, until the end.
    async fn converse(&mut self, shared: &Shared, origin: Origin) -> Over {
        loop {
            let request = match self.request(shared, origin).await {
                Ok(request) => request,
                Err(over) => return over,
            };
            let answered = self.answer(shared, &request).await;
            // A script may have come to the point where the tracker dies: the answer goes out first.
            shared.settle();
            match answered {
                Ok(()) if request.keeps_alive() => (),
                Ok(()) => return Over::Closed,
                Err(over) => return over,
            }
        }
    }

    /// Reads one request, and notes it.
    async fn request(&mut self, shared: &Shared, origin: Origin) -> Result<Heard, Over> {
        let length = loop {
            match request::head_length(&self.unread) {
                Some(length) if length <= HEAD_LIMIT => break length,
                None if self.unread.len() < HEAD_LIMIT => self.read().await?,
                _ => {
                    self.send(&http::too_long()).await?;
                    return Err(Over::Closed);
                }
            }
        };
        let head: Vec<u8> = self.unread.drain(..length).collect();
        Ok(shared.hear(&head, origin))
    }

    async fn answer(&mut self, shared: &Shared, request: &Heard) -> Result<(), Over> {
        let (delay, behaviour) = shared.next(request);
        let exchange = Exchange::new(behaviour, request, &shared.swarm, shared.member);
        self.wait(delay).await?;
        for step in exchange.steps(&shared.swarm, shared.member) {
            self.act(step).await?;
        }
        Ok(())
    }

    async fn act(&mut self, step: Step) -> Result<(), Over> {
        match step {
            Step::Send(bytes) => self.send(&bytes).await,
            Step::Drip(bytes, every) => {
                for (number, byte) in bytes.iter().enumerate() {
                    if number > 0 {
                        self.wait(every).await?;
                    }
                    self.send(&[*byte]).await?;
                }
                Ok(())
            }
            Step::SendForever(bytes) if !bytes.is_empty() => loop {
                self.send(&bytes).await?;
            },
            Step::Wait(time) => self.wait(time).await,
            Step::Silence | Step::SendForever(_) => loop {
                self.read().await?;
                self.unread.clear();
            },
            Step::Close => Err(Over::Closed),
            Step::Reset => {
                (self.reset)(&self.stream);
                Err(Over::Reset)
            }
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Over> {
        self.stream.write_all(bytes).await.map_err(|_| Over::Closed)?;
        self.stream.flush().await.map_err(|_| Over::Closed)
    }

    /// Lets time pass, but not beyond the client's end.
    async fn wait(&mut self, time: Duration) -> Result<(), Over> {
        if time.is_zero() {
            return Ok(());
        }
        let mut time_is_up = std::pin::pin!(sleep(time));
        loop {
            tokio::select! {
                biased;
                () = &mut time_is_up => return Ok(()),
                read = self.read(), if self.unread.len() < READ_AHEAD => read?,
            }
        }
    }

    /// Reads what has come. A client that has closed its side, even only that one, is gone.
    async fn read(&mut self) -> Result<(), Over> {
        match self.stream.read_buf(&mut self.unread).await {
            Ok(1..) => Ok(()),
            Ok(0) | Err(_) => Err(Over::Closed),
        }
    }
}
