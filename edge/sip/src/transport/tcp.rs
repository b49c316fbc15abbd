//! Connections.
//!
//! # Invariants
//! * A connection that reads too slowly, or sends half a message and stops, is closed; nobody else waits for it.
//! * What came whole is taken or ends the connection: on a stream nobody says it again.
//! * Connections belong to the table, not to the task that accepted them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use dashmap::DashMap;
use parking_lot::Mutex;
use tandem_core::location::{Flow, Transport};
use tandem_core::metric::{Counter, Fill, Gauge, Metrics};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::config::Limits;
use crate::framing::{Frame, Framer, PONG};
use crate::message::{Malformed, Message};

/// How much is read at once.
const READ: usize = 8 * 1024;

/// How long one write may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection that must end waits for answers on their way.
const LINGER: Duration = Duration::from_millis(100);

/// Pause after an error of accept: no descriptors left, most likely.
const PAUSE: Duration = Duration::from_millis(50);

/// How soon a message that found no room is offered again. Meanwhile nothing is read: that slows its sender down.
const OFFER: Duration = Duration::from_millis(20);

/// What a connection does with what it reads.
pub(crate) trait Receiver: Send + Sync + 'static {
    /// Whether a message from there may be read.
    fn admits(&self, source: IpAddr) -> bool;

    /// A message. It is given back when there is no room for it.
    fn receive(&self, flow: Flow, message: Box<Message>) -> Result<(), Box<Message>>;

    /// What is no proper message, and its answer.
    fn refuse(&self, flow: Flow, malformed: &Malformed) -> Option<Bytes>;
}

/// All open connections.
pub(crate) struct Connections {
    limits: Limits,
    metrics: Arc<Metrics>,
    next: AtomicU64,
    open: DashMap<u64, mpsc::Sender<Bytes>>,
    per_address: DashMap<IpAddr, usize>,
    tasks: Mutex<JoinSet<()>>,
}

impl Connections {
    /// `first` numbers the first connection: not that of an earlier process.
    pub(crate) fn new(limits: Limits, metrics: Arc<Metrics>, first: u64) -> Self {
        let (open, per_address, tasks) = (DashMap::new(), DashMap::new(), Mutex::default());
        Self { limits, metrics, next: AtomicU64::new(first), open, per_address, tasks }
    }

    /// Accepts for ever. May be dropped and begun again: what was accepted stays.
    pub(crate) async fn accept(self: &Arc<Self>, listener: &TcpListener, receiver: &Arc<impl Receiver>) {
        loop {
            match listener.accept().await {
                Ok((stream, remote)) => self.open(stream, remote, receiver),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    fn open(self: &Arc<Self>, stream: TcpStream, remote: SocketAddr, receiver: &Arc<impl Receiver>) {
        let Ok(local) = stream.local_addr() else { return };
        if !self.has_room(remote.ip()) {
            return self.metrics.count(Counter::SipConnectionsRefused);
        }
        // Only delay is at stake.
        let _ = stream.set_nodelay(true);
        let connection = self.next.fetch_add(1, Relaxed);
        let flow = Flow { transport: Transport::Tcp, local, remote, connection };
        let (sender, queue) = mpsc::channel(self.limits.write_queue.max(1));
        self.open.insert(connection, sender);
        *self.per_address.entry(remote.ip()).or_default() += 1;
        self.metrics.shift(Gauge::SipConnections, 1);
        let here = Seat { table: self.clone(), flow };
        let receiver = receiver.clone();
        let mut tasks = self.tasks.lock();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move { serve(here, stream, queue, &*receiver).await });
    }

    /// Connections, and what waits to be written to them.
    pub(crate) fn fills(&self) -> [Fill; 2] {
        let waiting = |sender: &mpsc::Sender<Bytes>| Fill {
            depth: sender.max_capacity() - sender.capacity(),
            capacity: sender.max_capacity(),
        };
        let writes = self.open.iter().map(|entry| waiting(entry.value())).sum();
        [Fill { depth: self.open.len(), capacity: self.limits.connections }, writes]
    }

    fn has_room(&self, source: IpAddr) -> bool {
        let own = self.per_address.get(&source).map_or(0, |it| *it);
        self.open.len() < self.limits.connections && own < self.limits.connections_per_address
    }

    /// Queues bytes. `false`: the connection is gone, or reads too slowly and is closed for it.
    pub(crate) fn send(&self, flow: &Flow, bytes: &Bytes) -> bool {
        let Some(sender) = self.open.get(&flow.connection).map(|it| it.clone()) else { return false };
        let is_sent = sender.try_send(bytes.clone()).is_ok();
        if !is_sent {
            self.open.remove(&flow.connection);
        }
        is_sent
    }
}

/// A connection's place in the table, given up however its task ends.
struct Seat {
    table: Arc<Connections>,
    flow: Flow,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let source = self.flow.remote.ip();
        self.table.open.remove(&self.flow.connection);
        if let Some(mut count) = self.table.per_address.get_mut(&source) {
            *count = count.saturating_sub(1);
        }
        self.table.per_address.remove_if(&source, |_, count| *count == 0);
        self.table.metrics.shift(Gauge::SipConnections, -1);
    }
}

async fn serve(seat: Seat, stream: TcpStream, queue: mpsc::Receiver<Bytes>, receiver: &impl Receiver) {
    let (read_half, write_half) = stream.into_split();
    let (last, last_words) = mpsc::channel(1);
    let reading = async {
        let farewell = read(&seat, read_half, receiver).await;
        // What came before may still be being answered.
        tokio::time::sleep(LINGER).await;
        // Written behind what is queued already; there is room for one.
        let _ = last.try_send(farewell.unwrap_or_default());
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = reading => {}
        // Ends with the last words, with an error, or when the table has dropped the connection.
        _ = write(write_half, queue, last_words) => {}
    }
}

/// Reads until the connection must end, and gives what is to be said before.
async fn read(seat: &Seat, mut stream: OwnedReadHalf, receiver: &impl Receiver) -> Option<Bytes> {
    let limits = &seat.table.limits;
    let mut framer = Framer::default();
    let mut buffer = BytesMut::with_capacity(READ);
    let mut partial_since: Option<tokio::time::Instant> = None;
    loop {
        let patience =
            partial_since.map_or(limits.idle_timeout, |since| limits.message_timeout.saturating_sub(since.elapsed()));
        buffer.clear();
        buffer.reserve(READ);
        let Ok(Ok(1..)) = timeout(patience, stream.read_buf(&mut buffer)).await else { return None };
        framer.feed(&buffer);
        let mut is_progress = false;
        while let Some(frame) = framer.next_frame() {
            is_progress = true;
            if let Some(farewell) = take(seat, frame, receiver).await {
                return farewell;
            }
        }
        if !framer.is_waiting() {
            partial_since = None;
        } else if is_progress || partial_since.is_none() {
            partial_since = Some(tokio::time::Instant::now());
        }
    }
}

/// Deals with one frame. `Some`: it was the last one, and this is to be said.
async fn take(seat: &Seat, frame: Frame, receiver: &impl Receiver) -> Option<Option<Bytes>> {
    let Seat { table, flow } = seat;
    match frame {
        Frame::Ping => _ = table.send(flow, &Bytes::from_static(PONG)),
        Frame::Message(message) => {
            let offer = timeout(table.limits.message_timeout, offer(flow, Box::new(message), receiver));
            return offer.await.is_err().then_some(None);
        }
        Frame::Malformed(malformed) => {
            receiver.refuse(*flow, &malformed).iter().for_each(|answer| _ = table.send(flow, answer));
        }
        Frame::Fatal(malformed) => return Some(receiver.refuse(*flow, &malformed)),
    }
    None
}

/// Ends when the message was taken.
async fn offer(flow: &Flow, mut message: Box<Message>, receiver: &impl Receiver) {
    while !receiver.admits(flow.remote.ip()) {
        tokio::time::sleep(OFFER).await;
    }
    while let Err(back) = receiver.receive(*flow, message) {
        message = back;
        tokio::time::sleep(OFFER).await;
    }
}

async fn write(
    mut stream: OwnedWriteHalf,
    mut queue: mpsc::Receiver<Bytes>,
    mut last_words: mpsc::Receiver<Bytes>,
) -> io::Result<()> {
    loop {
        let (bytes, is_last) = tokio::select! {
            biased;
            bytes = queue.recv() => (bytes.unwrap_or_default(), queue.is_closed()),
            bytes = last_words.recv() => (bytes.unwrap_or_default(), true),
        };
        timeout(WRITE_TIMEOUT, stream.write_all(&bytes)).await??;
        if is_last {
            return timeout(WRITE_TIMEOUT, stream.shutdown()).await?;
        }
    }
}
