//! How soon a flood would reach every node: the lower bound of any broadcast on the same links.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::links::EndState;
use super::world::Swarm;

impl Swarm {
    /// When a broadcast that `origin` sends now, and everybody passes on to all at once, would reach
    /// each node: the shortest way over the links that are open at both ends, in delays without
    /// jitter. `None`: there is no way.
    #[must_use]
    pub fn flood_times(&self, origin: usize) -> Vec<Option<Duration>> {
        let mut ways = vec![Vec::new(); self.nodes.len()];
        for link in &self.links {
            let [a, b] = [link.end(0), link.end(1)];
            let is_open = a.state == EndState::Open && b.state == EndState::Open;
            if is_open && !link.is_blocked() {
                ways[a.node].push((b.node, link.latency()));
                ways[b.node].push((a.node, link.latency()));
            }
        }
        let mut times = vec![None; self.nodes.len()];
        let mut next = BinaryHeap::from([Reverse((Duration::ZERO, origin))]);
        while let Some(Reverse((at, node))) = next.pop() {
            if times[node].is_some() {
                continue;
            }
            times[node] = Some(at);
            let onward = ways[node].iter();
            next.extend(onward.map(|&(to, delay)| Reverse((at + delay, to))));
        }
        times
    }
}
