//! Endpoints and what an experiment makes them do: flows over connections over one path, which hosts
//! with access lines of their own may share, with faults at given times, looked at every so often.
//!
//! Unlike [`crate::pair`], which asks whether the protocol keeps its promises, this asks how well it
//! does. Every byte is checked here too: a wrong one ends the run.

mod assembly;
mod client;
mod cross;
mod figures;
mod limit;
mod payload;
mod plan;
mod sampler;
mod server;
mod work;

use dunlin_transport::{Endpoint, Instant};

use super::model::Experiment;
use super::result::RunResult;
use super::run::{Interrupted, Stop};
use crate::instruments::Instruments;
use crate::net::{Application, Net};
use crate::violation::{Failure, Violation};
use assembly::assemble;
use client::Client;
use figures::Measured;
pub(super) use figures::percentile;
use limit::Limit;
use plan::Plan;
use sampler::Sampler;
use server::Server;
use work::Work;

/// Either end's application.
#[derive(Debug)]
enum App {
    Client(Box<Client>),
    Server(Box<Server>),
}

impl App {
    fn client(&self) -> Option<&Client> {
        match self {
            Self::Client(client) => Some(client),
            Self::Server(_) => None,
        }
    }

    fn server(&self) -> Option<&Server> {
        match self {
            Self::Server(server) => Some(server),
            Self::Client(_) => None,
        }
    }
}

impl Application for App {
    fn on_progress(&mut self, now: Instant, endpoint: &mut Endpoint) -> Result<(), Violation> {
        match self {
            Self::Client(client) => client.on_progress(now, endpoint),
            Self::Server(server) => server.on_progress(now, endpoint),
        }
    }

    fn wake_time(&self) -> Option<Instant> {
        self.client().and_then(Client::wake_time)
    }
}

/// The hosts that open connections.
fn clients(net: &Net<App>) -> impl Iterator<Item = (usize, &Client)> {
    (0..net.len()).filter_map(|node| Some((node, net.app(node)?.client()?)))
}

/// The host that a flow runs on.
fn client_of(net: &Net<App>, flow: usize) -> Option<(usize, &Client)> {
    clients(net).find(|(_, client)| client.flows.contains_key(&flow))
}

/// What a flow has done so far.
fn work(net: &Net<App>, flow: usize) -> Option<&Work> {
    client_of(net, flow)?.1.flows.get(&flow)
}

/// Runs an experiment of the kind `pair`. `keep`: series too.
///
/// # Errors
/// It was told to stop.
pub(super) fn run(
    experiment: &Experiment,
    (case, seed): (usize, u64),
    keep: bool,
    (instruments, stop): (&mut Instruments, Stop<'_>),
) -> Result<RunResult, Interrupted> {
    let mut plan = Plan::of(experiment);
    let mut net = assemble(experiment, seed, &mut plan, instruments);
    let measured_from = Instant::ZERO + experiment.warm_up.0;
    let mut sampler = Sampler::new(&plan, measured_from, keep);
    let limit = Limit::of(experiment);
    let outcome = drive(experiment, &mut net, &mut sampler, &limit, stop)?;
    let mut result = RunResult {
        trace_hash: net.trace().hash(),
        virtual_ns: net.now().as_nanos(),
        datagrams: net.datagrams(),
        ..RunResult::empty(case, seed)
    };
    match outcome {
        Err(failure) => result.violation = Some(failure.to_string()),
        Ok(arrived) => {
            let measured = Measured {
                plan: &plan,
                sampler: &sampler,
                limit: &limit,
                arrived,
                window: (measured_from, measured_from + experiment.duration.0),
            };
            result.figures = measured.figures(&net);
        }
    }
    for (flow, kind) in plan.kinds.iter().enumerate() {
        for (at, nanos) in figures::ages_of(&net, flow, *kind) {
            sampler.latency(flow, at, nanos);
        }
    }
    result.recording = sampler.recording();
    Ok(result)
}

/// Runs to the end; bytes of each flow that had arrived at the end of the warm-up and of the
/// measured time.
fn drive(
    experiment: &Experiment,
    net: &mut Net<App>,
    sampler: &mut Sampler,
    limit: &Limit,
    stop: Stop<'_>,
) -> Result<Result<[Vec<u64>; 2], Failure>, Interrupted> {
    for node in 0..net.len() {
        if let Err(failure) = net.start(node) {
            return Ok(Err(failure));
        }
    }
    let from = Instant::ZERO + experiment.warm_up.0;
    let until = from + experiment.duration.0;
    let last = until + experiment.drain.0;
    let mut arrived = [None, None];
    let mut next = Instant::ZERO;
    loop {
        let next_mark = [from, until].into_iter().find(|mark| *mark > next);
        next = next + experiment.sample.0;
        next = next_mark.map_or(next, |mark| next.min(mark)).min(last);
        if let Err(failure) = run_until(net, next, stop)? {
            return Ok(Err(failure));
        }
        sampler.sample(net, limit, next);
        for (mark, at) in arrived.iter_mut().zip([from, until]) {
            if mark.is_none() && next >= at {
                *mark = Some(sampler.arrived(net));
            }
        }
        let done = clients(net).all(|(_, client)| client.is_done(next));
        if next >= last || (next >= until && done) {
            return Ok(Ok(arrived.map(Option::unwrap_or_default)));
        }
    }
}

/// Between two looks at whether to stop.
const STEPS_BETWEEN_LOOKS: u32 = 20_000;

fn run_until(
    net: &mut Net<App>,
    at: Instant,
    stop: Stop<'_>,
) -> Result<Result<(), Failure>, Interrupted> {
    loop {
        for _ in 0..STEPS_BETWEEN_LOOKS {
            if net.next_time().is_none_or(|next| next > at) {
                return Ok(Ok(()));
            }
            if let Err(failure) = net.step() {
                return Ok(Err(failure));
            }
        }
        if stop() {
            return Err(Interrupted);
        }
    }
}

#[cfg(test)]
mod tests;
