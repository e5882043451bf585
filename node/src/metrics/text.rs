//! The older text format of Prometheus (0.0.4), made from OpenMetrics 1.0.
//!
//! They differ in the name that describes a counter: OpenMetrics describes `x` and samples
//! `x_total`, the older format describes and samples `x_total`. It has no units and no end mark.

use std::collections::BTreeSet;

/// The content type of OpenMetrics.
pub const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The content type of the older format.
pub const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";

/// OpenMetrics text in the older format.
#[must_use]
pub fn classic(openmetrics: &str) -> String {
    let counters: BTreeSet<&str> = openmetrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut text = String::with_capacity(openmetrics.len());
    for line in openmetrics.lines() {
        if line == "# EOF" || line.starts_with("# UNIT ") {
            continue;
        }
        match described(line).filter(|(_, name, _)| counters.contains(name)) {
            Some((what, name, rest)) => {
                text.extend([what, name, "_total ", rest]);
            }
            None => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

/// `# HELP name text` and `# TYPE name kind` in three parts.
fn described(line: &str) -> Option<(&str, &str, &str)> {
    let after = line
        .strip_prefix("# HELP ")
        .or_else(|| line.strip_prefix("# TYPE "))?;
    let (what, _) = line.split_at(line.len() - after.len());
    let (name, rest) = after.split_once(' ')?;
    Some((what, name, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_described_by_the_name_they_are_sampled_by() {
        let openmetrics = "# HELP a_bytes What.\n# TYPE a_bytes counter\n# UNIT a_bytes bytes\n\
                           a_bytes_total 1\n# HELP b Now.\n# TYPE b gauge\nb 2\n# EOF\n";
        let expected = "# HELP a_bytes_total What.\n# TYPE a_bytes_total counter\n\
                        a_bytes_total 1\n# HELP b Now.\n# TYPE b gauge\nb 2\n";
        assert_eq!(classic(openmetrics), expected);
    }
}
