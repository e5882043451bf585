//! What the types of a scenario cannot say: keys that belong together, names that have to exist.

use super::document::Document;
use super::error::{Mistake, ScenarioError};
use super::model::{Clocks, Experiment, Fault, Flow, FlowKind, Kind, Path};
use crate::net::clock::SKEW_MAX_PPM;

/// Flows of one scenario, copies counted. Guess: more are no experiment on one path.
const FLOWS_MAX: u64 = 1_000;
/// Hosts with access lines of their own in one scenario. Guess: as many as a picture shows.
const HOSTS_MAX: u64 = 64;
/// UDP payload that fits into a packet of IPv4 (RFC 768, RFC 791).
const CROSS_SIZE_MAX: u64 = 65_507;
/// Bytes in front of the pattern of a request or message.
pub(super) const HEAD: u64 = 24;

type Checked = Result<(), (String, Mistake)>;

/// Checks what serde does not.
///
/// # Errors
/// The first mistake, with its line in `document`.
pub fn check(experiment: &Experiment, document: &Document) -> Result<(), ScenarioError> {
    let checks = [check_head, check_flows, check_surroundings, check_faults];
    for check in checks {
        check(experiment).map_err(|(key, mistake)| document.error(&key, mistake))?;
    }
    Ok(())
}

fn refuse<T>(key: impl Into<String>, why: impl Into<String>) -> Result<T, (String, Mistake)> {
    Err((key.into(), Mistake::Value(why.into())))
}

fn check_head(experiment: &Experiment) -> Checked {
    let Experiment { name, seeds, .. } = experiment;
    let fits =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    if name.is_empty() || !name.chars().all(fits) {
        return refuse("name", "has to be of the letters a-z, digits and -");
    }
    if *seeds == 0 {
        return refuse("seeds", "is 0: nothing would be run");
    }
    if experiment.sample.0.is_zero() {
        return refuse("sample", "is 0: write for example \"100ms\"");
    }
    if experiment.duration.0.is_zero() {
        return refuse("duration", "is 0: nothing would be measured");
    }
    let swarm = (experiment.kind == Kind::Swarm, experiment.swarm.is_some());
    if swarm == (false, true) {
        return foreign("swarm", kind_text(experiment.kind));
    }
    let stack = (experiment.kind == Kind::Stack, experiment.stack.is_some());
    if stack == (false, true) {
        return foreign("stack", kind_text(experiment.kind));
    }
    if let Some(torture) = &experiment.torture {
        if experiment.kind != Kind::Torture {
            return foreign("torture", kind_text(experiment.kind));
        }
        let path = torture
            .path
            .as_ref()
            .map(|path| path.parse::<crate::shrink::Path>());
        if let Some(Err(error)) = path {
            return refuse("torture.path", error.to_string());
        }
    }
    match (experiment.kind, &experiment.path) {
        (Kind::Pair, None) => {
            let example = "[path] forward = [{ delay = \"10ms\" }]";
            Err(("path".into(), Mistake::Missing { example }))
        }
        (Kind::Pair, Some(path)) => check_path("path", path),
        (kind, Some(_)) => foreign("path", kind_text(kind)),
        (_, None) => Ok(()),
    }
}

const fn kind_text(kind: Kind) -> &'static str {
    match kind {
        Kind::Pair => "kind = \"pair\"",
        Kind::Torture => "kind = \"torture\", which draws everything from the seed",
        Kind::Swarm => "kind = \"swarm\", which has a section of its own",
        Kind::Stack => "kind = \"stack\", which has a section of its own",
    }
}

fn foreign(key: &str, of: &str) -> Checked {
    Err((key.into(), Mistake::Foreign { of: of.into() }))
}

fn check_path(key: &str, path: &Path) -> Checked {
    for (name, elements) in [("forward", &path.forward), ("backward", &path.backward)] {
        for (index, element) in elements.iter().enumerate() {
            if let Err(error) = element.validate() {
                return refuse(format!("{key}.{name}[{index}]"), error.to_string());
            }
        }
    }
    Ok(())
}

fn check_flows(experiment: &Experiment) -> Checked {
    if experiment.kind != Kind::Pair {
        return match experiment.flow.first() {
            Some(_) => foreign("flow", kind_text(experiment.kind)),
            None => Ok(()),
        };
    }
    if experiment.flow.is_empty() {
        let example = "[[flow]] name = \"bulk\" kind = \"bulk\"";
        return Err(("flow".into(), Mistake::Missing { example }));
    }
    let total = experiment
        .flow
        .iter()
        .fold(0_u64, |sum, flow| sum.saturating_add(flow.count));
    if total > FLOWS_MAX {
        return refuse("flow", format!("{total} flows are more than {FLOWS_MAX}"));
    }
    let own = experiment.flow.iter().filter(|flow| flow.access.is_some());
    let hosts = own.fold(0_u64, |sum, flow| sum.saturating_add(flow.count));
    if hosts > HOSTS_MAX {
        let why = format!("{hosts} hosts with access lines are more than {HOSTS_MAX}");
        return refuse("flow", why);
    }
    for (index, flow) in experiment.flow.iter().enumerate() {
        let at = |(key, mistake): (String, Mistake)| (format!("flow[{index}].{key}"), mistake);
        check_flow(flow).map_err(at)?;
        check_names(experiment, index, flow).map_err(at)?;
    }
    Ok(())
}

fn check_names(experiment: &Experiment, index: usize, flow: &Flow) -> Checked {
    let earlier = experiment.flow.get(..index).unwrap_or_default();
    if earlier.iter().any(|other| other.name == flow.name) {
        return refuse("name", format!("\"{}\" is there twice", flow.name));
    }
    let Some(over) = &flow.over else {
        let access = flow.access.as_ref();
        return access.map_or(Ok(()), |path| check_path("access", path));
    };
    if flow.access.is_some() {
        return foreign("access", "a flow over the connection of another");
    }
    let Some(carrier) = earlier.iter().find(|other| other.name == *over) else {
        let known = earlier.iter().map(|flow| flow.name.clone()).collect();
        let mistake = Mistake::unknown_name("flow above it called", over, known);
        return Err(("over".into(), mistake));
    };
    if carrier.count != flow.count || carrier.over.is_some() {
        return refuse(
            "over",
            "has to name a flow with a connection of its own and the same count",
        );
    }
    Ok(())
}

fn check_flow(flow: &Flow) -> Checked {
    let kind = match flow.kind {
        FlowKind::Bulk => "kind = \"bulk\"",
        FlowKind::Requests => "kind = \"requests\"",
        FlowKind::Messages => "kind = \"messages\"",
        FlowKind::Datagrams => "kind = \"datagrams\"",
    };
    let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    if flow.name.is_empty() || !flow.name.chars().all(fits) {
        return refuse("name", "has to be of letters, digits, - and _");
    }
    if flow.count == 0 {
        return refuse("count", "is 0: write at least 1, or leave the flow out");
    }
    let is = |wanted: &[FlowKind]| wanted.contains(&flow.kind);
    let sized = is(&[FlowKind::Messages, FlowKind::Datagrams]);
    for (key, given, fitting) in [
        ("bytes", flow.bytes.is_some(), is(&[FlowKind::Bulk])),
        ("request", flow.request.is_some(), is(&[FlowKind::Requests])),
        (
            "response",
            flow.response.is_some(),
            is(&[FlowKind::Requests]),
        ),
        ("size", flow.size.is_some(), sized),
        ("every", flow.every.is_some(), !is(&[FlowKind::Bulk])),
        ("total", flow.total.is_some(), !is(&[FlowKind::Bulk])),
        (
            "from",
            flow.from != super::model::End::Client,
            is(&[FlowKind::Bulk]),
        ),
    ] {
        if given && !fitting {
            return foreign(key, kind);
        }
    }
    for (key, size) in [("request", flow.request), ("size", flow.size)] {
        if size.is_some_and(|size| size.0 < HEAD) {
            return refuse(
                key,
                format!("has to be at least {HEAD} bytes: so much is its head"),
            );
        }
    }
    if flow.every.is_some_and(|time| time.0.is_zero()) {
        return refuse("every", "is 0: write for example \"20ms\"");
    }
    if sized && flow.size.is_none() {
        let example = "size = \"1kB\"";
        return Err(("size".into(), Mistake::Missing { example }));
    }
    if sized && flow.every.is_none() {
        let example = "every = \"20ms\"";
        return Err(("every".into(), Mistake::Missing { example }));
    }
    Ok(())
}

/// What only endpoints over a path can have.
fn check_surroundings(experiment: &Experiment) -> Checked {
    let given = [
        ("fault", !experiment.fault.is_empty()),
        ("cross", !experiment.cross.is_empty()),
        ("nat", experiment.nat.is_some()),
        ("clock", experiment.clock != Clocks::default()),
        ("gather", !experiment.gather.is_empty()),
    ];
    let foreign_key = given.into_iter().find(|(_, given)| *given);
    if let (true, Some((key, _))) = (experiment.kind != Kind::Pair, foreign_key) {
        return foreign(key, kind_text(experiment.kind));
    }
    for (index, cross) in experiment.cross.iter().enumerate() {
        let key = |name: &str| format!("cross[{index}].{name}");
        let flows = experiment.flow.iter().map(|flow| &flow.name);
        let earlier = experiment.cross.iter().take(index);
        if flows
            .chain(earlier.map(|cross| &cross.name))
            .any(|name| *name == cross.name)
        {
            return refuse(key("name"), format!("\"{}\" is there twice", cross.name));
        }
        if cross.rate.0 == 0 {
            return refuse(key("rate"), "is 0: write for example \"5mbit\"");
        }
        if !(1..=CROSS_SIZE_MAX).contains(&cross.size.0) {
            let why = format!("has to be from 1 to {CROSS_SIZE_MAX} bytes");
            return refuse(key("size"), why);
        }
    }
    let skews = [
        ("clock.client_ppm", experiment.clock.client_ppm),
        ("clock.server_ppm", experiment.clock.server_ppm),
    ];
    for (key, ppm) in skews {
        if ppm.abs() > SKEW_MAX_PPM {
            let why = format!("has to be from -{SKEW_MAX_PPM} to {SKEW_MAX_PPM}");
            return refuse(key, why);
        }
    }
    Ok(())
}

fn check_faults(experiment: &Experiment) -> Checked {
    for (index, fault) in experiment.fault.iter().enumerate() {
        let at = |(key, mistake): (String, Mistake)| {
            let dot = if key.is_empty() { "" } else { "." };
            (format!("fault[{index}]{dot}{key}"), mistake)
        };
        check_fault(fault).map_err(at)?;
        check_meaning(experiment, fault).map_err(at)?;
    }
    Ok(())
}

/// Whether what a fault is about is there.
fn check_meaning(experiment: &Experiment, fault: &Fault) -> Checked {
    if fault.forget_nat && experiment.nat.is_none() {
        return foreign("forget_nat", "a scenario without [nat]");
    }
    let Some(name) = &fault.partition else {
        return Ok(());
    };
    let own = experiment.flow.iter().filter(|flow| flow.access.is_some());
    let known: Vec<String> = own.map(|flow| flow.name.clone()).collect();
    if known.contains(name) {
        return Ok(());
    }
    let mistake = Mistake::unknown_name("flow with access called", name, known);
    Err(("partition".into(), mistake))
}

fn check_fault(fault: &Fault) -> Checked {
    let given = [
        ("rebind", fault.rebind.is_some()),
        ("kill", fault.kill.is_some()),
        ("pause", fault.pause.is_some()),
        ("slow", fault.slow.is_some()),
        ("forget_nat", fault.forget_nat),
        ("partition", fault.partition.is_some()),
        ("blackout", fault.blackout.is_some()),
        ("path", fault.path.is_some()),
    ];
    let mut found = given.iter().filter(|(_, given)| *given);
    let (Some((what, _)), None) = (found.next(), found.next()) else {
        let all = given.map(|(key, _)| key).join(", ");
        return refuse("", format!("has to have exactly one of {all}"));
    };
    let ends = matches!(*what, "pause" | "partition" | "blackout");
    match fault.lasts {
        None if ends => {
            let example = "lasts = \"2s\"";
            return Err(("lasts".into(), Mistake::Missing { example }));
        }
        Some(_) if !ends && *what != "slow" => {
            return foreign("lasts", "anything but pause, slow, partition and blackout");
        }
        _ => {}
    }
    match (*what, fault.cost) {
        ("slow", None) => {
            let example = "cost = \"100us\"";
            return Err(("cost".into(), Mistake::Missing { example }));
        }
        ("slow", Some(_)) | (_, None) => {}
        (_, Some(_)) => return foreign("cost", "anything but slow"),
    }
    fault
        .path
        .as_ref()
        .map_or(Ok(()), |path| check_path("path", path))
}
