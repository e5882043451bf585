//! Compares secrets, to be watched by valgrind: see `session/constant-time/run.sh`.
//!
//! KIND is `same_secret`, or `early_exit` for a comparison that gives itself away.

use std::error::Error;
use std::fs::File;
use std::hint::black_box;
use std::io::Write;

use dunlin_transport::secret::same_secret;

const LEN: usize = 32;

/// Stops at the first difference.
fn early_exit(a: &[u8], b: &[u8]) -> bool {
    a.iter().zip(b).all(|(a, b)| black_box(a) == black_box(b))
}

fn main() -> Result<(), Box<dyn Error>> {
    let kind = std::env::args().nth(1).ok_or("KIND is missing")?;
    let compare = match kind.as_str() {
        "same_secret" => same_secret,
        "early_exit" => early_exit,
        _ => return Err("KIND is same_secret or early_exit".into()),
    };
    // The watcher takes what is written to one as secret, to the other as known.
    let (mut poison, mut unpoison) = (File::create("poison")?, File::create("unpoison")?);
    let mut found = 0;
    for at in 0..=LEN {
        let secret = black_box([7_u8; LEN]);
        let mut guess = black_box([7_u8; LEN]);
        if let Some(byte) = guess.get_mut(at) {
            *byte ^= 1;
        }
        poison.write_all(&secret)?;
        let result = black_box([u8::from(compare(black_box(&secret), &guess))]);
        unpoison.write_all(&result)?;
        unpoison.write_all(&secret)?;
        found += u32::from(black_box(&result)[0]);
    }
    if found == 1 {
        Ok(())
    } else {
        Err("one guess of all is right".into())
    }
}
