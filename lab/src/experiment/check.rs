//! What the types of a scenario cannot say: keys that belong together, names that have to exist.

use super::document::Document;
use super::error::{Mistake, ScenarioError};
use super::model::{Experiment, Fault, Flow, FlowKind, Kind, Path};

/// Flows of one scenario, copies counted. Guess: more are no experiment on one path.
const FLOWS_MAX: u64 = 1_000;
/// Bytes in front of the pattern of a request or message.
pub(super) const HEAD: u64 = 24;

type Checked = Result<(), (String, Mistake)>;

/// Checks what serde does not.
///
/// # Errors
/// The first mistake, with its line in `document`.
pub fn check(experiment: &Experiment, document: &Document) -> Result<(), ScenarioError> {
    let checks = [check_head, check_flows, check_faults];
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
        return Ok(());
    };
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

fn check_faults(experiment: &Experiment) -> Checked {
    if experiment.kind != Kind::Pair && !experiment.fault.is_empty() {
        return foreign("fault", kind_text(experiment.kind));
    }
    for (index, fault) in experiment.fault.iter().enumerate() {
        let at = |(key, mistake): (String, Mistake)| {
            let dot = if key.is_empty() { "" } else { "." };
            (format!("fault[{index}]{dot}{key}"), mistake)
        };
        check_fault(fault).map_err(at)?;
    }
    Ok(())
}

fn check_fault(fault: &Fault) -> Checked {
    let given = [
        fault.rebind.is_some(),
        fault.kill.is_some(),
        fault.pause.is_some(),
        fault.blackout.is_some(),
        fault.path.is_some(),
    ];
    if given.into_iter().filter(|given| *given).count() != 1 {
        return refuse(
            "",
            "has to have exactly one of rebind, kill, pause, blackout, path",
        );
    }
    match (
        fault.blackout.is_some() || fault.pause.is_some(),
        fault.lasts,
    ) {
        (true, None) => {
            let example = "lasts = \"2s\"";
            return Err(("lasts".into(), Mistake::Missing { example }));
        }
        (false, Some(_)) => return foreign("lasts", "anything but a blackout or a pause"),
        _ => {}
    }
    fault
        .path
        .as_ref()
        .map_or(Ok(()), |path| check_path("path", path))
}
