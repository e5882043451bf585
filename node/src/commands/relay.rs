//! `dunlin relay`.

use std::time::Duration;

use crate::cli::RelayArgs;
use crate::commands::{note, print_line};
use crate::failure::{Exit, Failure};
use crate::relay::{PathConfig, PathCounters, Relay, RelayConfig, RelayCounters, Shares};
use crate::signals::Shutdown;
use crate::stack::bind_failure;

const STATS_PERIOD: Duration = Duration::from_secs(1);

/// Relays until a signal comes, then prints the counters.
pub(super) async fn run(args: RelayArgs, shutdown: Shutdown) -> Result<(), Failure> {
    let to = args.to.resolve().await?.into_iter().next().ok_or_else(|| {
        Failure::new(
            Exit::Unreachable,
            format!("no address is known for {}", args.to),
        )
    })?;
    let config = RelayConfig {
        listen: args.listen,
        to,
        path: path(&args),
        rebind_every: args.rebind_every,
    };
    let relay = Relay::start(config)
        .await
        .map_err(|error| bind_failure(args.listen, &error))?;
    print_line(&format!(
        "relaying {} -> {to} (seed {})",
        relay.local_addr(),
        args.seed
    ))?;
    loop {
        tokio::select! {
            () = shutdown.requested() => break,
            () = tokio::time::sleep(STATS_PERIOD), if args.stats => {
                note(&summary(&relay.counters().await));
            }
        }
    }
    // Ctrl-C is how a relay is meant to end.
    print_line(&summary(&relay.stop().await))
}

fn path(args: &RelayArgs) -> PathConfig {
    PathConfig {
        shares: Shares {
            loss: args.loss,
            reorder: args.reorder,
            duplicate: args.duplicate,
            corrupt: args.corrupt,
        },
        delay: args.delay,
        jitter: args.jitter,
        reorder_by: args.reorder_by,
        rate: args.rate,
        queue_bytes: args.queue,
        mtu: args.mtu,
        seed: args.seed,
    }
}

fn summary(counters: &RelayCounters) -> String {
    format!(
        "forward:  {}\nbackward: {}\nclients {}, refused {}, rebinds {}",
        direction(&counters.forward),
        direction(&counters.backward),
        counters.clients,
        counters.clients_refused,
        counters.rebinds
    )
}

fn direction(counters: &PathCounters) -> String {
    format!(
        "received {} ({} B), delivered {} ({} B), lost {}, reordered {}, duplicated {}, corrupted {}, too large {}, queue full {}",
        counters.received,
        counters.received_bytes,
        counters.delivered,
        counters.delivered_bytes,
        counters.lost,
        counters.reordered,
        counters.duplicated,
        counters.corrupted,
        counters.too_large,
        counters.queue_full
    )
}
