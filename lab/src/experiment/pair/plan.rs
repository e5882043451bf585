//! Who does what: the flows of an experiment, copies made, and the hosts that they run on.

use std::collections::BTreeMap;

use dunlin_transport::Instant;

use super::client::Carrier;
use super::work::Work;
use crate::experiment::model::{End, Experiment, Flow, FlowKind, Path};

/// The node that answers. Node 0 and those behind this one open connections.
pub(super) const SERVER: usize = 1;

/// Name of a flow, whether its data comes from the server, whether it is a bulk stream.
pub(super) type FlowInfo = (String, bool, bool);

/// The flows and hosts of an experiment.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) info: Vec<FlowInfo>,
    pub(super) kinds: Vec<FlowKind>,
    /// The name without the number of the copy.
    pub(super) groups: Vec<String>,
    pub(super) hosts: Vec<Host>,
    /// Streams of datagrams beside the flows: name, the node where they arrive, their rate.
    pub(super) cross: Vec<(String, usize)>,
}

/// A host that opens connections.
#[derive(Debug, Default)]
pub(super) struct Host {
    /// The flow that it is there for; none: for all that have no access line of their own.
    pub(super) flow: Option<String>,
    /// Between it and the path that all share.
    pub(super) access: Path,
    pub(super) carriers: Vec<Carrier>,
    pub(super) works: BTreeMap<usize, Work>,
}

impl Plan {
    pub(super) fn of(experiment: &Experiment) -> Self {
        let mut plan = Self {
            info: Vec::new(),
            kinds: Vec::new(),
            groups: Vec::new(),
            hosts: vec![Host::default()],
            cross: Vec::new(),
        };
        // The host and the connection of each flow, for those that share it.
        let mut carrier_of = BTreeMap::new();
        for flow in &experiment.flow {
            for copy in 0..flow.count {
                let over = flow.over.as_ref();
                let shared = over.and_then(|over| carrier_of.get(&(over.clone(), copy)).copied());
                let place = plan.add(experiment, flow, copy, shared);
                carrier_of.insert((flow.name.clone(), copy), place);
            }
        }
        plan
    }

    /// The node of a host.
    pub(super) const fn node_of(host: usize) -> usize {
        if host == 0 { 0 } else { host + SERVER }
    }

    /// The nodes that open connections; of one flow, those with its access line.
    pub(super) fn nodes(&self, flow: Option<&str>) -> Vec<usize> {
        let hosts = self.hosts.iter().enumerate();
        hosts
            .filter(|(_, host)| flow.is_none() || host.flow.as_deref() == flow)
            .map(|(host, _)| Self::node_of(host))
            .collect()
    }

    /// Adds the `copy`-th of a flow, on the connection of another if that is given; its host and
    /// connection.
    fn add(
        &mut self,
        experiment: &Experiment,
        flow: &Flow,
        copy: u64,
        shared: Option<(usize, usize)>,
    ) -> (usize, usize) {
        let end = experiment.warm_up.0 + experiment.duration.0;
        let stagger = flow.stagger.0 * u32::try_from(copy).unwrap_or(u32::MAX);
        let start = Instant::ZERO + flow.start.0 + stagger;
        let stop = Instant::ZERO + flow.stop.map_or(end, |stop| stop.0.min(end));
        let index = self.info.len();
        let is_bulk = flow.kind == FlowKind::Bulk;
        let down = is_bulk && flow.from == End::Server;
        self.info.push((flow.name_of(copy), down, is_bulk));
        self.kinds.push(flow.kind);
        self.groups.push(flow.name.clone());
        let host = match (shared, &flow.access) {
            (Some((host, _)), _) => host,
            (None, None) => 0,
            (None, Some(access)) => {
                self.hosts.push(Host {
                    flow: Some(flow.name.clone()),
                    access: access.clone(),
                    ..Host::default()
                });
                self.hosts.len() - 1
            }
        };
        let place = self.hosts.get_mut(host).map(|host| {
            let id = u32::try_from(index).unwrap_or(u32::MAX);
            host.works.insert(index, Work::new(flow, id, (start, stop)));
            let carrier = shared.map_or(host.carriers.len(), |(_, carrier)| carrier);
            match host.carriers.get_mut(carrier) {
                Some(carrier) => carrier.flows.push(index),
                None => host.carriers.push(Carrier::new(start, vec![index])),
            }
            carrier
        });
        (host, place.unwrap_or(0))
    }
}
