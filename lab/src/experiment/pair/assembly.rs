//! The network of an experiment: hosts, links, what stands between them, what goes wrong and when.

use std::time::Duration;

use dunlin_transport::Instant;

use super::App;
use super::client::Client;
use super::cross::Source;
use super::plan::{Plan, SERVER};
use super::server::Server;
use crate::experiment::model::{Direction, End, Experiment, Fault, Path};
use crate::instruments::Instruments;
use crate::link::{Blackout, Element};
use crate::net::byzantine::Sink;
use crate::net::{Clock, Detour, Net};
use crate::rng::Rng;
use crate::units::Time;

/// The ways of the path: from client to server, and back.
const WAYS: [(usize, usize); 2] = [(0, SERVER), (SERVER, 0)];

/// Everything in its place before anything happens. Takes the hosts' works out of the plan, and
/// writes into it where cross traffic arrives.
pub(super) fn assemble(
    experiment: &Experiment,
    seed: u64,
    plan: &mut Plan,
    instruments: &mut Instruments,
) -> Net<App> {
    let mut rng = Rng::new(seed);
    let mut net = Net::new(rng.split(2));
    add_ends(experiment, &mut net, plan, (&mut rng, instruments));
    instruments.attach(&mut net);
    let default = Path::default();
    let path = experiment.path.as_ref().unwrap_or(&default);
    for ((from, to), elements) in WAYS.into_iter().zip(elements_of(path, &experiment.fault)) {
        net.link(from, to, &elements);
    }
    for (index, host) in plan.hosts.iter().enumerate().skip(1) {
        let node = Plan::node_of(index);
        let Path { forward, backward } = &host.access;
        let ways = [
            (node, SERVER, forward.as_slice(), [].as_slice()),
            (SERVER, node, [].as_slice(), backward.as_slice()),
        ];
        for ((from, to, before, after), shared) in ways.into_iter().zip(WAYS) {
            let way = Detour {
                before,
                shared,
                after,
            };
            net.link_over(from, to, &way);
        }
    }
    add_cross(experiment, &mut net, plan);
    apply_conditions(experiment, &mut net, plan);
    net
}

fn add_ends(
    experiment: &Experiment,
    net: &mut Net<App>,
    plan: &mut Plan,
    (rng, instruments): (&mut Rng, &mut Instruments),
) {
    let profile = experiment.profile.profile();
    let [client, server] = experiment.configs();
    let remote = Net::<App>::address_of(SERVER);
    let key_log = instruments.key_log();
    let flows = plan.info.len();
    for (index, host) in plan.hosts.iter_mut().enumerate() {
        let node = Plan::node_of(index);
        let carriers = std::mem::take(&mut host.carriers);
        let works = std::mem::take(&mut host.works);
        // The third is that of the first host, as long as there was one only.
        let own = rng.split(3);
        let app = Client::new(
            node,
            (profile, own, remote),
            key_log.clone(),
            (carriers, works),
        );
        let mut add = |node: usize, config, app| {
            let keys = (&mut rng.split(node as u64), key_log.clone());
            let mut endpoint = profile.endpoint_logged(node, config, node == SERVER, keys);
            instruments.listen(node, &mut endpoint);
            net.add(endpoint, app);
        };
        add(node, &client, App::Client(Box::new(app)));
        if index == 0 {
            let app = App::Server(Box::new(Server::new(SERVER, flows)));
            add(SERVER, &server, app);
        }
    }
}

fn add_cross(experiment: &Experiment, net: &mut Net<App>, plan: &mut Plan) {
    let end = Instant::ZERO + experiment.warm_up.0 + experiment.duration.0;
    for cross in &experiment.cross {
        let sink = net.add_host(Box::new(Sink::default()));
        let to = Net::<App>::address_of(sink);
        let source = net.add_host(Box::new(Source::new(cross, to, end)));
        let [forward, backward] = WAYS;
        let way = Detour {
            before: &[],
            shared: match cross.from {
                End::Client => forward,
                End::Server => backward,
            },
            after: &[],
        };
        net.link_over(source, sink, &way);
        plan.cross.push((cross.name.clone(), sink));
    }
}

fn apply_conditions(experiment: &Experiment, net: &mut Net<App>, plan: &Plan) {
    let clients = plan.nodes(None);
    let nodes = |end: End| match end {
        End::Client => clients.clone(),
        End::Server => vec![SERVER],
    };
    let clock = &experiment.clock;
    for (end, ppm) in [
        (End::Client, clock.client_ppm),
        (End::Server, clock.server_ppm),
    ] {
        for node in nodes(end) {
            net.set_clock(node, Clock::new(Duration::ZERO, ppm));
        }
    }
    for node in experiment.gather.iter().copied().flat_map(nodes) {
        net.gather(node);
    }
    let nat = experiment.nat.map(|config| {
        let nat = net.add_nat(config);
        for node in &clients {
            net.put_behind(*node, nat);
        }
        nat
    });
    // Addresses that nobody has; two of them for each change where there are two hosts.
    let mut free = net.len().next_multiple_of(2);
    for fault in &experiment.fault {
        let at = Instant::ZERO + fault.at.0;
        let until = at + fault.lasts.map_or(Duration::ZERO, |lasts| lasts.0);
        if let Some(path) = &fault.path {
            let both = elements_of(path, &experiment.fault);
            for ((from, to), elements) in WAYS.into_iter().zip(both) {
                net.replace_link_at(at, from, to, &elements);
            }
        }
        for node in fault.kill.into_iter().flat_map(nodes) {
            net.kill_at(at, node);
        }
        for node in fault.pause.into_iter().flat_map(nodes) {
            net.pause_at(at, until, node);
        }
        for node in fault.slow.into_iter().flat_map(nodes) {
            net.slow_at(at, node, fault.cost.map_or(Duration::ZERO, |cost| cost.0));
            if fault.lasts.is_some() {
                net.slow_at(until, node, Duration::ZERO);
            }
        }
        if let Some(end) = fault.rebind {
            for node in nodes(end) {
                net.rebind_at(at, node, Net::<App>::address_of(free + node));
            }
            free += net.len().next_multiple_of(2);
        }
        if let (true, Some(nat)) = (fault.forget_nat, nat) {
            net.forget_nat_at(at, nat, None);
        }
        if let Some(flow) = &fault.partition {
            net.partition(at, until, &plan.nodes(Some(flow)));
        }
    }
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
