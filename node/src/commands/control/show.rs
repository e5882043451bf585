//! Single values as people read them.

use super::table::Colour;
use crate::control::model::{EventRecord, LogLayer, LogLevel, LogLine, PeerStatus};
use crate::control::snapshot::shorten;

/// Characters of an ID that are shown, after `dunlin1`.
pub(super) const ID_LEN: usize = 8;

/// The name of a status, with the colour it has.
pub(super) const fn status(status: PeerStatus) -> &'static str {
    match status {
        PeerStatus::Discovered => "Discovered",
        PeerStatus::Connecting => "Connecting",
        PeerStatus::Handshaking => "Handshaking",
        PeerStatus::Connected => "Connected",
        PeerStatus::Disconnected => "Disconnected",
        PeerStatus::Failed => "Failed",
        PeerStatus::Banned => "Banned",
    }
}

/// What the colour of a status is.
pub(super) const fn colour(status: PeerStatus) -> Option<Colour> {
    match status {
        PeerStatus::Connected => Some(Colour::Good),
        PeerStatus::Connecting | PeerStatus::Handshaking => Some(Colour::Passing),
        PeerStatus::Failed | PeerStatus::Banned => Some(Colour::Bad),
        PeerStatus::Discovered | PeerStatus::Disconnected => None,
    }
}

/// `85/100`.
pub(super) fn score(score: Option<u8>) -> String {
    score.map_or_else(|| "-".to_owned(), |score| format!("{score}/100"))
}

/// `15ms`, with more digits for what is short.
pub(super) fn latency(millis: Option<f64>) -> String {
    match millis {
        None => "-".to_owned(),
        Some(millis) if millis < 10.0 => format!("{millis:.1}ms"),
        Some(millis) => format!("{millis:.0}ms"),
    }
}

/// `1,234`.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Seconds as `2 d 3 h`, `4 h 5 min`, `6 min 7 s` or `8 s`.
pub(super) fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    if days > 0 {
        format!("{days} d {} h", hours % 24)
    } else if hours > 0 {
        format!("{hours} h {} min", minutes % 60)
    } else if minutes > 0 {
        format!("{minutes} min {} s", seconds % 60)
    } else {
        format!("{seconds} s")
    }
}

/// A time of the API to the second.
pub(super) fn moment(time: &str) -> String {
    let to_the_second = time.split_once('.').map_or(time, |(start, _)| start);
    let mut text = to_the_second.replace('T', " ");
    text.push('Z');
    text
}

/// An event in one line; `with_peer` when it is not clear whom it concerns.
pub(super) fn event(event: &EventRecord, with_peer: bool) -> String {
    let time = to_millis(&event.time);
    let peer = event.peer.as_deref().filter(|_| with_peer);
    let peer = peer.map_or_else(String::new, |id| format!("{}  ", shorten(id, ID_LEN)));
    let words: String = event
        .words
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    format!("{time}  {peer}{words}")
}

/// A line of the log. Its text has no control characters: the node takes them out.
pub(super) fn log_line(line: &LogLine) -> String {
    let level = match line.level {
        LogLevel::Error => "ERROR",
        LogLevel::Warn => "WARN",
        LogLevel::Info => "INFO",
        LogLevel::Debug => "DEBUG",
        LogLevel::Trace => "TRACE",
    };
    let layer = match line.layer {
        LogLayer::Transport => "transport",
        LogLayer::Session => "session",
        LogLayer::Overlay => "overlay",
        LogLayer::Node => "node",
        LogLayer::Other => &line.target,
    };
    format!(
        "{}  {level:<5}  {layer:<9}  {}",
        to_millis(&line.time),
        line.text
    )
}

/// A time of the API to the millisecond.
fn to_millis(time: &str) -> String {
    format!("{}Z", time.get(..23).unwrap_or(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_easy_to_read() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(number),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            [8, 367, 14_700, 180_000].map(span),
            ["8 s", "6 min 7 s", "4 h 5 min", "2 d 2 h"]
        );
        assert_eq!(latency(Some(0.251)), "0.3ms");
        assert_eq!(latency(Some(15.2)), "15ms");
        let line = LogLine {
            sequence: 7,
            time: "2026-01-17T10:30:00.123456Z".into(),
            level: LogLevel::Warn,
            layer: LogLayer::Overlay,
            target: "dunlin_overlay".into(),
            text: "no room".into(),
        };
        assert_eq!(
            log_line(&line),
            "2026-01-17T10:30:00.123Z  WARN   overlay    no room"
        );
        assert_eq!(
            moment("2026-01-17T10:30:00.000000Z"),
            "2026-01-17 10:30:00Z"
        );
    }
}
