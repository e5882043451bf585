//! The conditions of a run, to be published with its numbers.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use dunlin_peers::{TCP_MORE_HEADER, UDP_PAYLOAD, WINDOW, WRITE_SIZE};

use crate::process::Cores;
use crate::rounds::Plan;

/// Packages whose versions decide the result.
const PACKAGES: [&str; 11] = [
    "quinn",
    "quinn-udp",
    "noq",
    "s2n-quic",
    "quiche",
    "rustls",
    "tokio_kcp",
    "rusty_enet",
    "tokio",
    "aws-lc-rs",
    "boring",
];

/// The conditions as a Markdown list.
pub fn conditions(plan: &Plan, cores: &Cores, dunlin: &Path) -> String {
    let mut out = String::from("# Dunlin and its peers\n\n");
    let date = humantime::format_rfc3339_seconds(SystemTime::now());
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(out, "- {key}: {value}");
    };
    line("date", &date.to_string());
    line("processor", &processor().unwrap_or_else(unknown));
    line("kernel", &file("/proc/sys/kernel/osrelease"));
    line("load before the run", &file("/proc/loadavg"));
    line("MTU of the loopback device", &file("/sys/class/net/lo/mtu"));
    line(
        "largest socket buffer",
        &file("/proc/sys/net/core/rmem_max"),
    );
    line(
        "compiler",
        &first_line(Command::new("rustc").arg("--version")),
    );
    line("dunlin", &first_line(Command::new(dunlin).arg("version")));
    line(
        "packages of the peers",
        &versions(include_str!("../../../Cargo.lock")),
    );
    line(
        "method",
        &format!(
            "{} interleaved rounds of {} s; server on core {}, client on core {}; median [min–max]",
            plan.rounds, plan.seconds, cores.server, cores.client
        ),
    );
    line(
        "equal for all that encrypt",
        "AES-128-GCM, Ed25519 at both ends, X25519 (dunlin and the rows called hybrid: with \
         ML-KEM-768), no resumption",
    );
    line(
        "equal for all",
        &format!(
            "CUBIC (TCP: {}; KCP: none; ENet: its own); windows of {} MiB, which are no limit \
             (ENet: its own); writes of {} KiB; each end on one thread and one core",
            file("/proc/sys/net/ipv4/tcp_congestion_control"),
            WINDOW >> 20,
            WRITE_SIZE >> 10
        ),
    );
    line(
        "packets",
        &format!(
            "UDP payload {UDP_PAYLOAD} bytes, fixed, GSO and GRO on, but for KCP and ENet, which \
             have neither; TCP segments at most {} bytes, kernel offload on",
            UDP_PAYLOAD - TCP_MORE_HEADER
        ),
    );
    let place = match cores.between[..] {
        [core] => format!("on core {core}"),
        _ => "on either core".to_owned(),
    };
    let priority = if plan.may_have_priority {
        "in the first of its tables at real-time priority, so that it forwards when packets come, as a network does"
    } else {
        "at normal priority (chrt is missing, or the right to use it)"
    };
    line("relay", &format!("{place}, {priority}"));
    out
}

/// `name version` of each of [`PACKAGES`] in a lock file.
fn versions(lock: &str) -> String {
    let mut found = Vec::new();
    for entry in lock.split("[[package]]") {
        let field = |key: &str| {
            let value = entry.lines().find_map(|line| line.strip_prefix(key))?;
            value
                .trim()
                .strip_prefix("= ")
                .map(|value| value.trim_matches('"'))
        };
        if let (Some(name), Some(version)) = (field("name"), field("version"))
            && PACKAGES.contains(&name)
        {
            found.push(format!("{name} {version}"));
        }
    }
    found.join(", ")
}

fn processor() -> Option<String> {
    let info = fs::read_to_string("/proc/cpuinfo").ok()?;
    let cores = info
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let model = info.lines().find(|line| line.starts_with("model name"))?;
    let (_, model) = model.split_once(':')?;
    Some(format!("{cores} × {}", model.trim()))
}

fn file(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| unknown(), |text| text.trim().to_owned())
}

fn first_line(command: &mut Command) -> String {
    let output = command
        .output()
        .ok()
        .filter(|output| output.status.success());
    let line = output.and_then(|output| {
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .next()
            .map(str::to_owned)
    });
    line.unwrap_or_else(unknown)
}

fn unknown() -> String {
    "unknown".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_versions_in_a_lock_file() {
        let lock = "[[package]]\nname = \"quinn\"\nversion = \"0.11.1\"\n\n\
                    [[package]]\nname = \"other\"\nversion = \"1.0.0\"\n";
        assert_eq!(versions(lock), "quinn 0.11.1");
    }
}
