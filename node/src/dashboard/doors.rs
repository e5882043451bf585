//! Who is let in: codes, each good for one browser, and the sessions that they become (ADR 0430).

use std::collections::VecDeque;

use dunlin_transport::Instant;
use dunlin_transport::protect::Random;
use subtle::ConstantTimeEq;

use super::limits::{CODE_LIFE, CODES_MAX, SESSION_LIFE, SESSIONS_MAX};
use crate::control::records::to_hex;

/// Bytes of randomness in a code or a session: neither can be guessed.
const RANDOM_LEN: usize = 32;

/// A random text, good until its end.
struct Secret {
    text: String,
    ends: Instant,
}

impl Secret {
    fn new(random: &mut dyn Random, ends: Instant) -> Self {
        let mut bytes = [0; RANDOM_LEN];
        random.fill(&mut bytes);
        Self {
            text: to_hex(&bytes),
            ends,
        }
    }

    /// Takes as long for a wrong text as for the right one.
    fn is(&self, text: &str) -> bool {
        bool::from(self.text.as_bytes().ct_eq(text.as_bytes()))
    }
}

/// Codes and sessions.
#[derive(Default)]
pub(super) struct Doors {
    codes: VecDeque<Secret>,
    sessions: VecDeque<Secret>,
}

impl std::fmt::Debug for Doors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { codes, sessions } = self;
        write!(
            f,
            "Doors({} codes, {} sessions)",
            codes.len(),
            sessions.len()
        )
    }
}

impl Doors {
    /// A code for one browser.
    pub(super) fn issue(&mut self, now: Instant, random: &mut dyn Random) -> String {
        let code = Secret::new(random, now + CODE_LIFE);
        let text = code.text.clone();
        push(&mut self.codes, code, CODES_MAX);
        text
    }

    /// Uses up a code; the session that it becomes. `None`: it never was one, or is used up, or has
    /// ended.
    pub(super) fn enter(
        &mut self,
        now: Instant,
        code: &str,
        random: &mut dyn Random,
    ) -> Option<String> {
        let place = self.codes.iter().position(|known| known.is(code))?;
        let known = self.codes.remove(place)?;
        if known.ends <= now {
            return None;
        }
        let session = Secret::new(random, now + SESSION_LIFE);
        let text = session.text.clone();
        push(&mut self.sessions, session, SESSIONS_MAX);
        Some(text)
    }

    /// Whether this is a session.
    pub(super) fn knows(&self, now: Instant, session: &str) -> bool {
        self.sessions
            .iter()
            .any(|known| known.is(session) && known.ends > now)
    }
}

fn push(secrets: &mut VecDeque<Secret>, secret: Secret, most: usize) {
    if secrets.len() >= most {
        secrets.pop_front();
    }
    secrets.push_back(secret);
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    /// A different text each time.
    struct Counting(u8);

    impl Random for Counting {
        fn fill(&mut self, bytes: &mut [u8]) {
            self.0 += 1;
            bytes.fill(self.0);
        }
    }

    #[test]
    fn a_code_lets_one_browser_in_once() {
        let (mut doors, mut random) = (Doors::default(), Counting(0));
        let now = Instant::ZERO;
        let code = doors.issue(now, &mut random);
        assert_eq!(doors.enter(now, "", &mut random), None);
        assert_eq!(doors.enter(now, &code[1..], &mut random), None);
        let session = doors.enter(now, &code, &mut random).unwrap();
        assert!(doors.knows(now, &session));
        assert_eq!(doors.enter(now, &code, &mut random), None, "used up");
        assert!(!doors.knows(now, &code), "a code is no session");
        assert!(!doors.knows(now, ""));
        assert!(!format!("{doors:?}").contains(&session));
    }

    #[test]
    fn codes_and_sessions_end() {
        let (mut doors, mut random) = (Doors::default(), Counting(0));
        let start = Instant::ZERO;
        let just_before = Duration::from_nanos(1);
        let code = doors.issue(start, &mut random);
        let late = doors.issue(start, &mut random);
        let entered = start + (CODE_LIFE - just_before);
        let session = doors.enter(entered, &code, &mut random).unwrap();
        assert_eq!(doors.enter(start + CODE_LIFE, &late, &mut random), None);
        assert!(doors.knows(entered + (SESSION_LIFE - just_before), &session));
        assert!(!doors.knows(entered + SESSION_LIFE, &session));
    }

    #[test]
    fn one_more_code_or_session_forgets_the_oldest() {
        let (mut doors, mut random) = (Doors::default(), Counting(0));
        let now = Instant::ZERO;
        let codes: Vec<_> = (0..=CODES_MAX)
            .map(|_| doors.issue(now, &mut random))
            .collect();
        assert_eq!(doors.enter(now, &codes[0], &mut random), None);
        assert!(doors.enter(now, &codes[1], &mut random).is_some());
        let mut sessions = Vec::new();
        for _ in 0..=SESSIONS_MAX {
            let code = doors.issue(now, &mut random);
            sessions.extend(doors.enter(now, &code, &mut random));
        }
        assert!(!doors.knows(now, &sessions[0]));
        assert!(sessions[1..].iter().all(|known| doors.knows(now, known)));
    }
}
