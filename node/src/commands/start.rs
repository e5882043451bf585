//! `dunlin start`.

use dunlin_overlay::Event;
use dunlin_transport::driver::CarrierChoice;

use crate::cli::StartArgs;
use crate::commands::{note, print_line};
use crate::control::{Control, ControlOptions};
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::network::{Node, NodeOptions};
use crate::signals::Shutdown;
use crate::stack::Keys;
use crate::trace::Traces;

/// Runs a node until a signal comes.
pub(super) async fn run(
    args: StartArgs,
    traces: Traces,
    shutdown: Shutdown,
) -> Result<(), Failure> {
    let keys = Keys::load(&args.keys)?.with_traces(traces);
    let mut bootstrap = Vec::new();
    for peer in &args.bootstrap {
        let addresses = tokio::select! {
            addresses = peer.place().resolve() => addresses?,
            () = shutdown.requested() => return Ok(()),
        };
        bootstrap.extend(addresses.first().map(|address| (*address, peer.id())));
    }
    let options = NodeOptions {
        listen: (args.host, args.port).into(),
        bootstrap,
        inbox: None,
        carriers: CarrierChoice::Race,
        controller: args.controller,
    };
    let (node, mut events) = Node::start(&keys, options)?;
    let control = ControlOptions {
        data_dir: DataDir::open(args.keys.file.data_dir.as_deref())?,
        http: args.api,
        network: args.keys.network.unwrap_or_else(|| "dunlin".to_owned()),
    };
    let control = Control::start(node.handle(), &control, shutdown.clone())?;
    print_line(&format!("{}@{}", node.id(), node.address()))?;
    if let Some(address) = control.http() {
        note(&format!("the API is at http://{address}/api/v1"));
    }
    match control.dashboard_link() {
        Some(link) => note(&format!("the dashboard, for one browser: {}", link.url)),
        None => note("`dunlin dashboard` shows this node in a browser"),
    }
    note("the node runs; stop with Ctrl-C");
    loop {
        tokio::select! {
            // Ctrl-C is how a node is meant to end.
            () = shutdown.requested() => break,
            event = events.recv() => match event {
                Some(event) => {
                    control.on_event(&event);
                    tell(&event);
                }
                None => break,
            },
        }
    }
    let stats = node.stats().await;
    node.shutdown().await;
    note(&format!(
        "stopped; {} peers were linked, {} known",
        stats.connected, stats.known
    ));
    Ok(())
}

fn tell(event: &Event) {
    match event {
        Event::PeerUp { peer } => note(&format!("peer up: {peer}")),
        Event::PeerDown { peer, reason } => note(&format!("peer down: {peer} ({reason:?})")),
        Event::Broadcast {
            origin,
            topic,
            payload,
            hops,
            ..
        } => note(&format!(
            "broadcast from {origin} on {}: {} bytes, {hops} hops",
            topic.escape_debug(),
            payload.len()
        )),
        Event::PeerViolation { peer, violation } => {
            note(&format!("{peer} broke a rule: {violation}"));
        }
        other => tracing::info!(?other, "event"),
    }
}
