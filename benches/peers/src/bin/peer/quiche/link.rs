//! A connection of quiche with streams that wait.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::task::{Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use dunlin_peers::cli::Mode;
use dunlin_peers::stack::{Connection, Receiver, Sender};
use dunlin_peers::{Failure, Result, WRITE_SIZE};

use super::driver::Driver;

/// A connection.
pub struct Link {
    me: Weak<Self>,
    driver: Rc<Driver>,
    /// Its ID among ours.
    pub id: [u8; 8],
    /// The ID that the client made up for its first packets.
    pub first_id: RefCell<Vec<u8>>,
    /// The protocol.
    pub quic: RefCell<quiche::Connection>,
    /// When it wants to be looked at.
    pub timer: Cell<Option<Instant>>,
    /// Whether it is in the line of those that may send.
    pub dirty: Cell<bool>,
    /// Whether packets came since streams were last looked at.
    pub heard: Cell<bool>,
    waiting: RefCell<Waiting>,
    next_both: Cell<u64>,
    next_one_way: Cell<u64>,
}

/// Who waits for what.
#[derive(Default)]
struct Waiting {
    readers: HashMap<u64, Waker>,
    writers: Vec<Waker>,
    /// For streams of the other end, credit, the handshake.
    others: Vec<Waker>,
    /// Streams of the other end: the first that we have not heard of, by kind, and those that
    /// nobody has accepted.
    unknown: [u64; 2],
    arrived: [VecDeque<u64>; 2],
}

/// The writing half of a stream.
pub struct Out(Rc<Link>, u64);

/// The reading half of a stream.
pub struct In(Rc<Link>, u64);

impl Link {
    /// A connection that `driver` will drive.
    pub fn new(quic: quiche::Connection, id: [u8; 8], driver: &Rc<Driver>) -> Rc<Self> {
        let client = u64::from(quic.is_server());
        Rc::new_cyclic(|me| Self {
            me: me.clone(),
            driver: driver.clone(),
            id,
            first_id: RefCell::default(),
            quic: quic.into(),
            timer: Cell::new(None),
            dirty: Cell::new(false),
            heard: Cell::new(false),
            waiting: Waiting {
                unknown: [1 - client, 3 - client],
                ..Waiting::default()
            }
            .into(),
            next_both: Cell::new(client),
            next_one_way: Cell::new(2 + client),
        })
    }

    /// Wakes those who may go on.
    pub fn wake(&self) {
        let mut waiting = self.waiting.borrow_mut();
        let quic = self.quic.borrow();
        if self.heard.take() {
            for id in quic.readable() {
                waiting.hear_of(id);
                if let Some(reader) = waiting.readers.remove(&id) {
                    reader.wake();
                }
            }
        }
        if quic.is_closed() || quic.is_draining() {
            waiting
                .readers
                .drain()
                .for_each(|(_, reader)| reader.wake());
        }
        let waiting = &mut *waiting;
        let rest = waiting.writers.drain(..).chain(waiting.others.drain(..));
        rest.for_each(Waker::wake);
    }

    /// Waits for the end of the handshake.
    pub async fn established(&self) -> Result<()> {
        self.until(|link| link.quic.borrow().is_established().then_some(()))
            .await
    }

    /// Waits until `ready` has something, or the connection is over.
    async fn until<T>(&self, ready: impl Fn(&Self) -> Option<T>) -> Result<T> {
        poll_fn(|context| {
            if let Some(value) = ready(self) {
                return Poll::Ready(Ok(value));
            }
            let quic = self.quic.borrow();
            if quic.is_closed() || quic.is_draining() {
                return Poll::Ready(Err(Failure::from("the connection is over")));
            }
            let others = &mut self.waiting.borrow_mut().others;
            others.push(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    fn me(&self) -> Rc<Self> {
        self.me.upgrade().expect("it is in use")
    }

    fn mark(&self) {
        self.driver.mark(&self.me());
    }

    async fn arrived(&self, kind: usize) -> Result<u64> {
        self.until(|link| link.waiting.borrow_mut().arrived[kind].pop_front())
            .await
    }
}

impl Waiting {
    /// Remembers streams up to `id` as arrived, if they are the other end's and new.
    fn hear_of(&mut self, id: u64) {
        let kind = usize::from(id & 2 != 0);
        let (unknown, arrived) = (&mut self.unknown[kind], &mut self.arrived[kind]);
        if *unknown % 4 == id % 4 {
            while *unknown <= id {
                arrived.push_back(*unknown);
                *unknown += 4;
            }
        }
    }
}

impl Connection for Link {
    type Sender = Out;
    type Receiver = In;

    fn mode(&self) -> Option<Mode> {
        Mode::from_name(self.quic.borrow().application_proto())
    }

    async fn open(&self) -> Result<(Out, In)> {
        let left = |link: &Self| link.quic.borrow().peer_streams_left_bidi() > 0;
        self.until(|link| left(link).then_some(())).await?;
        let id = self.next_both.replace(self.next_both.get() + 4);
        Ok((Out(self.me(), id), In(self.me(), id)))
    }

    async fn accept(&self) -> Result<(Out, In)> {
        let id = self.arrived(0).await?;
        Ok((Out(self.me(), id), In(self.me(), id)))
    }

    async fn open_uni(&self) -> Result<Out> {
        let left = |link: &Self| link.quic.borrow().peer_streams_left_uni() > 0;
        self.until(|link| left(link).then_some(())).await?;
        let id = self.next_one_way.replace(self.next_one_way.get() + 4);
        Ok(Out(self.me(), id))
    }

    async fn accept_uni(&self) -> Result<In> {
        Ok(In(self.me(), self.arrived(1).await?))
    }

    fn close(&self) {
        // It fails when it is closed already.
        let _ = self.quic.borrow_mut().close(true, 0, b"");
        self.mark();
    }
}

impl Sender for Out {
    async fn write_all(&mut self, data: &Bytes) -> Result<()> {
        let mut written = 0;
        poll_fn(|context| {
            let before = written;
            while let Some(rest) = data.get(written..).filter(|rest| !rest.is_empty()) {
                let sent = self.0.quic.borrow_mut().stream_send(self.1, rest, false);
                match sent {
                    Ok(length) if length > 0 => written += length,
                    Ok(_) | Err(quiche::Error::Done | quiche::Error::StreamLimit) => {
                        let writers = &mut self.0.waiting.borrow_mut().writers;
                        writers.push(context.waker().clone());
                        if written > before {
                            self.0.mark();
                        }
                        return Poll::Pending;
                    }
                    Err(error) => return Poll::Ready(Err(Failure::from(error))),
                }
            }
            self.0.mark();
            Poll::Ready(Ok(()))
        })
        .await
    }

    fn finish(&mut self) -> Result<()> {
        self.0.quic.borrow_mut().stream_send(self.1, b"", true)?;
        self.0.mark();
        Ok(())
    }
}

impl In {
    /// Fills a part of `out`; how many bytes, and whether they are the last.
    async fn read(&self, out: &mut [u8]) -> Result<(usize, bool)> {
        poll_fn(|context| {
            let read = self.0.quic.borrow_mut().stream_recv(self.1, out);
            match read {
                Ok(read) => {
                    // There may be credit to tell.
                    self.0.mark();
                    Poll::Ready(Ok(read))
                }
                Err(quiche::Error::Done | quiche::Error::InvalidStreamState(_))
                    if !self.0.quic.borrow().is_closed() =>
                {
                    let readers = &mut self.0.waiting.borrow_mut().readers;
                    readers.insert(self.1, context.waker().clone());
                    Poll::Pending
                }
                Err(error) => Poll::Ready(Err(Failure::from(error))),
            }
        })
        .await
    }
}

impl Receiver for In {
    async fn read_exact(&mut self, mut out: &mut [u8]) -> Result<()> {
        while !out.is_empty() {
            let (length, last) = self.read(out).await?;
            out = out.get_mut(length..).unwrap_or_default();
            if last && !out.is_empty() {
                return Err("the stream is too short".into());
            }
        }
        Ok(())
    }

    async fn drain(&mut self) -> Result<u64> {
        let mut buffer = vec![0; WRITE_SIZE];
        let mut total = 0;
        loop {
            let (length, last) = self.read(&mut buffer).await?;
            total += length as u64;
            if last {
                return Ok(total);
            }
        }
    }
}
