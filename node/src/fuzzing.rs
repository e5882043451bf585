//! Bodies of the fuzz targets of this crate: what people type and what is kept in files. They also
//! run on stable, over generated inputs. The body for messages of the file transfer is
//! [`crate::transfer::fuzzing`].
//!
//! Each panics when a property breaks.

use std::path::{Component, Path};
use std::time::Duration;

use clap::Parser;

use crate::cli::Cli;
use crate::cli::address::{HostPort, PeerAddress};
use crate::cli::values::{Percent, Rate, duration, period, seconds};
use crate::known_peers::{self, Line};
use crate::transfer::path::TransferPath;

/// Arguments of a command line; no line is longer than this many.
const ARGUMENTS_MAX: usize = 12;

/// Lines as arguments of the program: accepted or refused with a sentence, never a panic.
///
/// # Panics
/// When parsing does.
pub fn command_line(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let arguments = text.split('\n').take(ARGUMENTS_MAX);
    match Cli::try_parse_from(std::iter::once("dunlin").chain(arguments)) {
        Ok(_) => {}
        Err(refused) => assert!(!refused.render().to_string().is_empty()),
    }
}

/// Text as a share, rate, duration, period and number of seconds: what is accepted is in its range,
/// and what is printed is read as the same.
///
/// # Panics
/// When a property breaks.
pub fn command_values(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    if let Ok(percent) = text.parse::<Percent>() {
        assert!(percent.millionths() <= 1_000_000);
        assert_eq!(percent.to_string().parse(), Ok(percent));
        if let Some(exact) = exact_millionths(text) {
            assert!(percent.millionths().abs_diff(exact) <= 1, "{text}");
        }
    }
    if let Ok(rate) = text.parse::<Rate>() {
        assert!((1..=1_000_000_000_000_000).contains(&rate.bits_per_second()));
        assert_eq!(rate.to_string().parse(), Ok(rate));
        assert!(rate.time_for(1) <= Duration::from_secs(8));
        assert!(rate.time_for(usize::MAX) >= rate.time_for(1));
    }
    let day = Duration::from_secs(86_400);
    if let Ok(read) = duration(text) {
        assert!(read <= day);
        assert_eq!(period(text).is_ok(), !read.is_zero());
    }
    if let Ok(read) = seconds(text) {
        assert!((Duration::from_millis(100)..=Duration::from_secs(3_600)).contains(&read));
    }
}

/// A share read digit by digit, cut to millionths; None when it has more digits than that.
fn exact_millionths(text: &str) -> Option<u32> {
    let number = text.strip_suffix('%').unwrap_or(text).trim_end();
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if whole.len() > 3 || part.len() > 4 {
        return None;
    }
    let digits = format!("0{whole}{part:0<4}");
    digits.parse().ok()
}

/// Text as `host:port` and as `ID@host:port`: what is accepted prints as what is read as the same.
///
/// # Panics
/// When a property breaks.
pub fn addresses(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    if let Ok(place) = text.parse::<HostPort>() {
        assert_ne!(place.port(), 0);
        assert!(!place.host().is_empty());
        assert!(place.host().bytes().all(|byte| byte.is_ascii_graphic()));
        assert_eq!(place.to_string().parse(), Ok(place));
    }
    if let Ok(address) = text.parse::<PeerAddress>() {
        assert_eq!(address.to_string().parse(), Ok(address));
    }
}

/// Bytes as a file of known peers: what is understood is written as what is understood the same.
///
/// # Panics
/// When a property breaks.
pub fn known_peers_file(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let path = Path::new("known_peers");
    if let Ok(lines) = known_peers::read_lines(path, text) {
        let written = known_peers::write_lines(&lines);
        let again = known_peers::read_lines(path, &written);
        assert!(again.is_ok_and(|again| {
            again.len() == lines.len() && again.iter().zip(&lines).all(|(a, b)| is_same(a, b))
        }));
    }
}

/// Equal but for white space at the end of a comment, such as a carriage return.
fn is_same(one: &Line, two: &Line) -> bool {
    match (one, two) {
        (Line::Comment(one), Line::Comment(two)) => one.trim_end() == two.trim_end(),
        _ => one == two,
    }
}

/// Text as a path from the network: what is accepted stays below the folder it is joined to, with
/// its unfinished file beside it.
///
/// # Panics
/// When a property breaks.
pub fn transfer_paths(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let Ok(path) = TransferPath::parse(text) else {
        return;
    };
    let folder = Path::new("folder");
    let (place, part) = (path.below(folder), path.part_below(folder));
    for place in [&place, &part] {
        let below = place.strip_prefix(folder).expect("below the folder");
        assert!(below.components().count() > 0);
        assert!(
            below
                .components()
                .all(|component| matches!(component, Component::Normal(_)))
        );
    }
    assert_eq!(place.parent(), part.parent());
    assert_ne!(place, part);
    assert!(!path.to_string().contains(char::is_control));
    assert_eq!(TransferPath::parse(path.as_str()), Ok(path));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(text: &[u8]) {
        command_line(text);
        command_values(text);
        addresses(text);
        known_peers_file(text);
        transfer_paths(text);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn bodies_hold_on_any_text(text in ".{0,60}") {
            all(text.as_bytes());
        }

        #[test]
        fn bodies_hold_on_near_misses(text in "[0-9.]{0,9}( ?)(%|ms|s|m|h|us|mbit|kbit|bit|gbps)?") {
            all(text.as_bytes());
        }

        #[test]
        fn bodies_hold_on_addresses(text in "(#|\\[|dunlin1q|a@)?[0-9a-f.:-]{0,20}(\\])?(:[0-9]{1,6})?( [a-z]{1,9})?(\n|/|\\.\\./)?[a-z:]{0,5}") {
            all(text.as_bytes());
        }

        #[test]
        fn bodies_hold_on_arguments(text in "(relay|send|recv|start|bench|id|help)(\n(--?[a-z-]{1,12}(=[0-9a-z%.]{1,6})?|[0-9a-z.:]{1,9})){0,6}") {
            all(text.as_bytes());
        }
    }

    #[test]
    fn the_exact_reading_of_shares_is_right() {
        assert_eq!(exact_millionths("5%"), Some(50_000));
        assert_eq!(exact_millionths("0.0001"), Some(1));
        assert_eq!(exact_millionths(".5 %"), Some(5_000));
        assert_eq!(exact_millionths("0.00001"), None);
    }
}
