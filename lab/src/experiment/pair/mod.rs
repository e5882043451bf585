//! Two endpoints and what an experiment makes them do: flows over connections over one path, with
//! faults at given times, looked at every so often.
//!
//! Unlike [`crate::pair`], which asks whether the protocol keeps its promises, this asks how well it
//! does. Every byte is checked here too: a wrong one ends the run.

mod client;
mod figures;
mod limit;
mod payload;
mod sampler;
mod server;
mod work;

use dunlin_transport::{Endpoint, Instant};

use super::model::{Direction, End, Experiment, Fault, Flow, FlowKind, Path};
use super::result::RunResult;
use super::run::{Interrupted, Stop};
use crate::instruments::Instruments;
use crate::link::{Blackout, Element};
use crate::net::{Application, Net};
use crate::rng::Rng;
use crate::units::Time;
use crate::violation::{Failure, Violation};
use client::{Carrier, Client};
use figures::Measured;
pub(super) use figures::percentile;
use limit::Limit;
use sampler::{FlowInfo, Sampler};
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

/// The flows of an experiment, copies made.
struct Plan {
    info: Vec<FlowInfo>,
    kinds: Vec<FlowKind>,
    works: Vec<Work>,
    carriers: Vec<Carrier>,
}

impl Plan {
    fn of(experiment: &Experiment) -> Self {
        let end = experiment.warm_up.0 + experiment.duration.0;
        let mut plan = Self {
            info: Vec::new(),
            kinds: Vec::new(),
            works: Vec::new(),
            carriers: Vec::new(),
        };
        let mut carrier_of = std::collections::BTreeMap::new();
        for flow in &experiment.flow {
            for copy in 0..flow.count {
                let index = plan.works.len();
                let stagger = flow.stagger.0 * u32::try_from(copy).unwrap_or(u32::MAX);
                let start = Instant::ZERO + flow.start.0 + stagger;
                let stop = Instant::ZERO + flow.stop.map_or(end, |stop| stop.0.min(end));
                plan.push(flow, copy, (start, stop));
                let carrier = flow.over.as_ref().map_or_else(
                    || {
                        plan.carriers.push(Carrier::new(start, Vec::new()));
                        plan.carriers.len() - 1
                    },
                    |over| carrier_of.get(&(over.clone(), copy)).copied().unwrap_or(0),
                );
                carrier_of.insert((flow.name.clone(), copy), carrier);
                if let Some(carrier) = plan.carriers.get_mut(carrier) {
                    carrier.flows.push(index);
                }
            }
        }
        plan
    }

    fn push(&mut self, flow: &Flow, copy: u64, times: (Instant, Instant)) {
        let id = u32::try_from(self.works.len()).unwrap_or(u32::MAX);
        let down = flow.kind == FlowKind::Bulk && flow.from == End::Server;
        let is_bulk = flow.kind == FlowKind::Bulk;
        self.info.push((flow.name_of(copy), down, is_bulk));
        self.kinds.push(flow.kind);
        self.works.push(Work::new(flow, id, times));
    }
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
    let works = std::mem::take(&mut plan.works);
    let carriers = std::mem::take(&mut plan.carriers);
    let mut net = build(experiment, seed, (carriers, works), instruments);
    let measured_from = Instant::ZERO + experiment.warm_up.0;
    let mut sampler = Sampler::new(&plan.info, measured_from, keep);
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

fn build(
    experiment: &Experiment,
    seed: u64,
    (carriers, works): (Vec<Carrier>, Vec<Work>),
    instruments: &mut Instruments,
) -> Net<App> {
    let mut rng = Rng::new(seed);
    let mut net = Net::new(rng.split(2));
    let profile = experiment.profile.profile();
    let [client, server] = experiment.configs();
    let flows = works.len();
    let remote = Net::<App>::address_of(1);
    let key_log = instruments.key_log();
    let opening = Client::new(
        (profile, rng.split(3), remote),
        key_log.clone(),
        carriers,
        works,
    );
    let apps = [
        App::Client(Box::new(opening)),
        App::Server(Box::new(Server::new(1, flows))),
    ];
    for ((node, app), config) in apps.into_iter().enumerate().zip([client, server]) {
        let keys = (&mut rng.split(node as u64), key_log.clone());
        let mut endpoint = profile.endpoint_logged(node, &config, node == 1, keys);
        instruments.listen(node, &mut endpoint);
        net.add(endpoint, app);
    }
    instruments.attach(&mut net);
    let default = Path::default();
    let path = experiment.path.as_ref().unwrap_or(&default);
    let ways = [(0, 1), (1, 0)];
    for ((from, to), elements) in ways.into_iter().zip(elements_of(path, &experiment.fault)) {
        net.link(from, to, &elements);
    }
    let mut rebinds = 0;
    for fault in &experiment.fault {
        let at = Instant::ZERO + fault.at.0;
        let node = |end: End| usize::from(end == End::Server);
        if let Some(path) = &fault.path {
            let both = elements_of(path, &experiment.fault);
            for ((from, to), elements) in ways.into_iter().zip(both) {
                net.replace_link_at(at, from, to, &elements);
            }
        }
        if let Some(end) = fault.kill {
            net.kill_at(at, node(end));
        }
        if let (Some(end), Some(lasts)) = (fault.pause, fault.lasts) {
            net.pause_at(at, at + lasts.0, node(end));
        }
        if let Some(end) = fault.rebind {
            rebinds += 2;
            let address = Net::<App>::address_of(rebinds + node(end));
            net.rebind_at(at, node(end), address);
        }
    }
    net
}

/// The elements of both directions, blackouts in front.
fn elements_of(path: &Path, faults: &[Fault]) -> [Vec<Element>; 2] {
    let ways = [
        (&path.forward, Direction::Forward),
        (&path.backward, Direction::Backward),
    ];
    ways.map(|(elements, way)| {
        let mut windows: Vec<_> = faults
            .iter()
            .filter(|fault| {
                fault
                    .blackout
                    .is_some_and(|black| black == way || black == Direction::Both)
            })
            .filter_map(|fault| {
                let until = fault.at.0 + fault.lasts?.0;
                Some([fault.at, Time(until)])
            })
            .collect();
        windows.sort_unstable();
        let mut all = Vec::new();
        if !windows.is_empty() {
            all.push(Element::Blackout(Blackout::Windows(windows)));
        }
        all.extend(elements.iter().cloned());
        all
    })
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
    if let Err(failure) = net.with(0, |_, _, _| ()) {
        return Ok(Err(failure));
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
        let done = net
            .app(0)
            .and_then(App::client)
            .is_none_or(|client| client.is_done(next));
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
