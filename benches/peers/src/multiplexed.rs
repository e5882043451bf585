//! The workloads over a transport with streams: each request, answer and message has a stream of
//! its own.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::task::{JoinSet, LocalSet, spawn_local};

use crate::cli::{Client, Mode, Role};
use crate::report::{Measurement, Report};
use crate::socket::allow_many;
use crate::stack::{Connection, Endpoint, Receiver, Sender};
use crate::{OPENING_AT_ONCE, REQUEST_SIZE, Result, WRITE_SIZE};

/// Either end of a measurement of `E`, on one thread.
///
/// # Errors
/// When the endpoint cannot be had or the measurement fails.
pub fn main<E: Endpoint>(role: Role) -> Result<()> {
    on_one_thread(async {
        match role {
            Role::Server { listen, setup } => serve(E::server(listen, &setup)?).await,
            Role::Client(arguments) => measure::<E>(&arguments).await,
        }
    })
}

/// Runs `work` and what it spawns on this thread.
///
/// # Errors
/// When the runtime cannot be had, or that of `work`.
pub fn on_one_thread(work: impl Future<Output = Result<()>>) -> Result<()> {
    allow_many()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, work)
}

async fn serve<E: Endpoint>(mut endpoint: E) -> Result<()> {
    println!("{}@{}", E::NAME, endpoint.local_addr()?);
    while let Some(handshake) = endpoint.accept().await {
        spawn_local(async move {
            let served = match handshake.await {
                Ok(connection) => serve_connection(connection).await,
                Err(error) => Err(error),
            };
            if let Err(error) = served {
                eprintln!("connection failed: {error}");
            }
        });
    }
    Ok(())
}

/// Serves until the client ends the connection, which is no failure.
async fn serve_connection<C: Connection>(connection: Rc<C>) -> Result<()> {
    match connection.mode().ok_or("the client names no mode")? {
        Mode::Bulk => {
            while let Ok((sender, receiver)) = connection.accept().await {
                spawn_local(count_bytes(sender, receiver));
            }
        }
        Mode::Messages => count_messages(&*connection).await?,
        Mode::Rr | Mode::Handshake | Mode::Idle => {
            let mut request = [0; REQUEST_SIZE];
            while let Ok((mut sender, mut receiver)) = connection.accept().await {
                receiver.read_exact(&mut request).await?;
                sender.write_all(&Bytes::copy_from_slice(&request)).await?;
                sender.finish()?;
            }
        }
    }
    Ok(())
}

async fn count_bytes(mut sender: impl Sender, mut receiver: impl Receiver) -> Result<()> {
    let total = receiver.drain().await?;
    sender.write_all(&number(total)).await?;
    sender.finish()
}

/// Counts messages; a bidirectional stream asks for the count, which is told once it is reached.
async fn count_messages<C: Connection>(connection: &C) -> Result<()> {
    let counted = Cell::new(0_u64);
    let expected = Cell::new(u64::MAX);
    let complete = Notify::new();
    let count = async {
        let mut message = [0; REQUEST_SIZE];
        while let Ok(mut receiver) = connection.accept_uni().await {
            receiver.read_exact(&mut message).await?;
            counted.set(counted.get() + 1);
            if counted.get() >= expected.get() {
                complete.notify_one();
            }
        }
        Ok(())
    };
    let answer = async {
        let (mut sender, mut receiver) = connection.accept().await?;
        expected.set(read_number(&mut receiver).await?);
        while counted.get() < expected.get() {
            complete.notified().await;
        }
        sender.write_all(&number(counted.get())).await?;
        sender.finish()?;
        // The client ends the connection.
        let _ = connection.accept().await;
        Ok(())
    };
    tokio::select! {
        counted = count => counted,
        answered = answer => answered,
    }
}

async fn measure<E: Endpoint>(arguments: &Client) -> Result<()> {
    let server = arguments.socket_addr()?;
    let endpoint = E::client(server, arguments.mode, &arguments.setup)?;
    let run = Run {
        endpoint: &endpoint,
        server,
        seconds: arguments.seconds,
        at_once: arguments.at_once,
    };
    match arguments.mode {
        Mode::Bulk => run.bulk().await?.print(arguments.json),
        Mode::Rr => run.requests().await?.print(arguments.json),
        Mode::Messages => run.messages().await?.print(arguments.json),
        Mode::Handshake => run.handshakes().await?.print(arguments.json),
        Mode::Idle => run.idle(arguments.json).await?,
    }
    endpoint.shutdown().await;
    Ok(())
}

struct Run<'a, E> {
    endpoint: &'a E,
    server: SocketAddr,
    seconds: f64,
    at_once: usize,
}

impl<E: Endpoint> Run<'_, E> {
    fn begin(&self, mode: Mode) -> Rc<Measurement> {
        Rc::new(Measurement::begin(E::NAME, mode, self.seconds))
    }

    async fn bulk(&self) -> Result<Report> {
        let connection = self.endpoint.connect(self.server).await?;
        let run = self.begin(Mode::Bulk);
        let mut streams = JoinSet::new();
        for _ in 0..self.at_once {
            streams.spawn_local(fill_stream(connection.clone(), run.clone()));
        }
        let mut bytes = 0;
        while let Some(stream) = streams.join_next().await {
            bytes += stream??;
        }
        let report = run.end_bulk(bytes);
        connection.close();
        Ok(report)
    }

    async fn requests(&self) -> Result<Report> {
        let connection = self.endpoint.connect(self.server).await?;
        request(&*connection).await?;
        let run = self.begin(Mode::Rr);
        let mut tasks = JoinSet::new();
        for _ in 0..self.at_once {
            let (connection, run) = (connection.clone(), run.clone());
            tasks.spawn_local(async move {
                let mut times = Vec::new();
                while !run.is_over() {
                    let began = Instant::now();
                    request(&*connection).await?;
                    times.push(began.elapsed());
                }
                Ok(times)
            });
        }
        let times = all_times(tasks).await?;
        let report = run.end_times(times);
        connection.close();
        Ok(report)
    }

    async fn messages(&self) -> Result<Report> {
        let connection = self.endpoint.connect(self.server).await?;
        let message = Bytes::from(vec![0x5a; REQUEST_SIZE]);
        let run = self.begin(Mode::Messages);
        let mut sent = 0;
        while !run.is_over() {
            let mut sender = connection.open_uni().await?;
            sender.write_all(&message).await?;
            sender.finish()?;
            sent += 1;
        }
        let (mut sender, mut receiver) = connection.open().await?;
        sender.write_all(&number(sent)).await?;
        sender.finish()?;
        confirmed(sent, read_number(&mut receiver).await?)?;
        let report = run.end_messages(sent);
        connection.close();
        Ok(report)
    }

    async fn handshakes(&self) -> Result<Report> {
        let run = self.begin(Mode::Handshake);
        let mut ends = Vec::new();
        for _ in 0..self.at_once {
            ends.push(async {
                let mut times = Vec::new();
                while !run.is_over() {
                    let began = Instant::now();
                    self.open().await?.close();
                    times.push(began.elapsed());
                }
                Ok(times)
            });
        }
        let times = all(ends).await?.concat();
        Ok(run.end_times(times))
    }

    /// Prints its report when all connections are open, and then keeps them.
    async fn idle(&self, json: bool) -> Result<()> {
        let run = self.begin(Mode::Idle);
        let connections = RefCell::new(Vec::new());
        let begun = Cell::new(0);
        let openers = (0..OPENING_AT_ONCE.min(self.at_once)).map(|_| async {
            while begun.get() < self.at_once {
                begun.set(begun.get() + 1);
                let connection = self.open().await?;
                connections.borrow_mut().push(connection);
            }
            Ok(())
        });
        all(openers.collect()).await?;
        run.end_idle(self.at_once).print(json);
        tokio::time::sleep(Duration::from_secs_f64(self.seconds)).await;
        Ok(())
    }

    /// A connection that the server has accepted, too: it has answered.
    async fn open(&self) -> Result<Rc<E::Connection>> {
        let connection = self.endpoint.connect(self.server).await?;
        request(&*connection).await?;
        Ok(connection)
    }
}

/// Writes on a stream of its own until the time is over; how many bytes the server confirmed.
async fn fill_stream<C: Connection>(connection: Rc<C>, run: Rc<Measurement>) -> Result<u64> {
    let block = Bytes::from(vec![0x5a; WRITE_SIZE]);
    let (mut sender, mut receiver) = connection.open().await?;
    let mut sent = 0;
    while !run.is_over() {
        sender.write_all(&block).await?;
        sent += block.len() as u64;
    }
    sender.finish()?;
    confirmed(sent, read_number(&mut receiver).await?)
}

/// A request on a stream of its own.
async fn request<C: Connection>(connection: &C) -> Result<()> {
    const REQUEST: Bytes = Bytes::from_static(&[0x5a; REQUEST_SIZE]);
    let mut answer = [0; REQUEST_SIZE];
    let (mut sender, mut receiver) = connection.open().await?;
    sender.write_all(&REQUEST).await?;
    sender.finish()?;
    receiver.read_exact(&mut answer).await
}

async fn all_times(mut tasks: JoinSet<Result<Vec<Duration>>>) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    while let Some(task) = tasks.join_next().await {
        times.append(&mut task??);
    }
    Ok(times)
}

/// Waits for all of `futures`, or for the first that fails.
async fn all<T: 'static>(futures: Vec<impl Future<Output = Result<T>>>) -> Result<Vec<T>> {
    futures_util::future::try_join_all(futures).await
}

/// `sent`, when the server counted as many.
///
/// # Errors
/// When it did not.
pub fn confirmed(sent: u64, counted: u64) -> Result<u64> {
    if counted == sent {
        Ok(sent)
    } else {
        Err(format!("the server counted {counted}, and {sent} were sent").into())
    }
}

fn number(value: u64) -> Bytes {
    Bytes::copy_from_slice(&value.to_be_bytes())
}

async fn read_number(receiver: &mut impl Receiver) -> Result<u64> {
    let mut number = [0; 8];
    receiver.read_exact(&mut number).await?;
    Ok(u64::from_be_bytes(number))
}
