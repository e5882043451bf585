//! `dunlin id`: keys made, sealed, replaced and refused, by the real program.

use std::fs;
use std::path::{Path, PathBuf};

use crate::process::{Finished, Lab, dunlin, run};

/// Runs `dunlin id` with these words in a data folder of its own.
fn id(lab: &Lab, words: &[&str]) -> Finished {
    id_with(lab, words, None)
}

fn id_with(lab: &Lab, words: &[&str], passphrase: Option<&Path>) -> Finished {
    let mut command = dunlin();
    command
        .arg("id")
        .args(words)
        .arg("--data-dir")
        .arg(lab.path("d"));
    if let Some(file) = passphrase {
        command.arg("--passphrase-file").arg(file);
    }
    run(&mut command)
}

fn key_file(lab: &Lab) -> PathBuf {
    lab.path("d").join("identity.key")
}

/// A file with a passphrase that only its owner may read.
fn passphrase(lab: &Lab, text: &str) -> PathBuf {
    let path = lab.path(text);
    fs::write(&path, format!("{text}\n")).unwrap();
    #[cfg(unix)]
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    path
}

#[test]
fn a_new_key_is_shown_and_never_overwritten() {
    let lab = Lab::new();
    let made = id(&lab, &["new", "--hybrid"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let shown = id(&lab, &["show"]);
    assert_eq!((shown.code, &shown.stdout), (Some(0), &made.stdout));
    assert!(shown.stderr.contains("Ed25519 and ML-DSA-65, not sealed"));
    assert_eq!(id(&lab, &[]).stdout, made.stdout);
    let again = id(&lab, &["new"]);
    assert_eq!(again.code, Some(6), "{again:?}");
    assert!(again.sentence().contains("is not overwritten"));
    assert_eq!(id(&lab, &[]).stdout, made.stdout);
}

#[test]
fn showing_a_key_that_is_missing_makes_none() {
    let lab = Lab::new();
    for action in ["show", "rotate", "export"] {
        let ended = id(&lab, &[action]);
        assert_eq!(ended.code, Some(6), "{action}: {ended:?}");
        assert!(ended.sentence().contains("there is no key file"));
    }
    assert!(!key_file(&lab).exists());
}

#[test]
fn rotation_says_that_the_id_changes_and_keeps_the_old_key() {
    let lab = Lab::new();
    let old = id(&lab, &["new"]).stdout;
    let rotated = id(&lab, &["rotate"]);
    assert_eq!(rotated.code, Some(0), "{rotated:?}");
    assert_ne!(rotated.stdout, old);
    assert!(rotated.stderr.contains(old.trim_end()), "{rotated:?}");
    assert!(rotated.stderr.contains("has another ID now"), "{rotated:?}");
    assert_eq!(id(&lab, &[]).stdout, rotated.stdout);
    // The old key, put back, is the old node.
    let kept = lab.path("d").join("identity.key.1");
    fs::rename(kept, key_file(&lab)).unwrap();
    assert_eq!(id(&lab, &[]).stdout, old);
}

#[test]
fn a_hybrid_key_stays_hybrid_when_it_is_rotated_and_exports_its_commitment() {
    let lab = Lab::new();
    id(&lab, &["new"]);
    assert!(id(&lab, &["export"]).stdout.contains("commitment none"));
    id(&lab, &["rotate", "--hybrid"]);
    id(&lab, &["rotate"]);
    let exported = id(&lab, &["export"]);
    assert!(!exported.stdout.contains("none"), "{exported:?}");
    let lines: Vec<_> = exported.stdout.lines().collect();
    assert_eq!(lines.len(), 3);
    let node_id = format!("node-id {}", id(&lab, &[]).stdout.trim_end());
    assert_eq!(lines[0], node_id);
}

#[test]
fn a_sealed_key_needs_its_passphrase_for_everything() {
    let lab = Lab::new();
    let (right, wrong) = (passphrase(&lab, "right"), passphrase(&lab, "wrong"));
    let made = id_with(&lab, &["new"], Some(&right));
    assert_eq!(made.code, Some(0), "{made:?}");
    assert_eq!(id_with(&lab, &[], Some(&right)).stdout, made.stdout);
    let shown = id_with(&lab, &["show"], Some(&right));
    assert!(shown.stderr.contains("sealed with a passphrase"));
    for words in [&[][..], &["show"], &["rotate"], &["export"]] {
        let ended = id(&lab, words);
        assert_eq!(ended.code, Some(6), "{words:?}: {ended:?}");
        assert!(ended.sentence().contains("--passphrase-file"), "{ended:?}");
        let ended = id_with(&lab, words, Some(&wrong));
        assert_eq!(ended.code, Some(6), "{words:?}: {ended:?}");
        assert!(ended.sentence().contains("does not open"), "{ended:?}");
    }
    assert_eq!(id_with(&lab, &[], Some(&right)).stdout, made.stdout);
    let missing = id_with(&lab, &[], Some(&lab.path("nowhere")));
    assert_eq!(missing.code, Some(6), "{missing:?}");
    let sentence = missing.sentence();
    assert!(
        sentence.contains("passphrase file") && sentence.contains("no such file"),
        "{sentence}"
    );
}

#[test]
fn an_empty_passphrase_is_none_at_all() {
    let lab = Lab::new();
    let empty = passphrase(&lab, "empty");
    fs::write(&empty, "\n").unwrap();
    let ended = id_with(&lab, &["new"], Some(&empty));
    assert_eq!(ended.code, Some(6), "{ended:?}");
    assert!(ended.sentence().contains("it is empty"), "{ended:?}");
    assert!(!key_file(&lab).exists());
}

#[cfg(unix)]
#[test]
fn keys_and_passphrases_that_others_may_read_are_refused() {
    use std::os::unix::fs::PermissionsExt;
    let lab = Lab::new();
    let words = passphrase(&lab, "words");
    id_with(&lab, &["new"], Some(&words));
    assert_eq!(
        fs::metadata(key_file(&lab)).unwrap().permissions().mode() & 0o7777,
        0o600
    );
    for open in [words.clone(), key_file(&lab)] {
        fs::set_permissions(&open, fs::Permissions::from_mode(0o640)).unwrap();
        let ended = id_with(&lab, &["show"], Some(&words));
        assert_eq!(ended.code, Some(6), "{ended:?}");
        assert!(ended.sentence().contains("chmod 600"), "{ended:?}");
        fs::set_permissions(&open, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

#[test]
fn a_dns_record_is_printed_for_addresses_that_others_can_reach() {
    let lab = Lab::new();
    id(&lab, &["new"]);
    let printed = id(
        &lab,
        &["dns-record", "203.0.113.7:4600", "[2001:db8::7]:4600"],
    );
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert!(
        printed.stdout.starts_with("IN TXT \"dunlin="),
        "{printed:?}"
    );
    let refused = id(&lab, &["dns-record", "0.0.0.0:4600"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.sentence().contains("nobody can reach 0.0.0.0:4600"));
}
