//! Which test exercises which command, against real processes.
//!
//! A row names a command as it is typed, and the tests of its success, of its JSON (where it prints
//! any) and of its failures. The tests below hold the rows against clap's tree of commands, against its
//! options, and against the sources: a command without a row, a row without a command, and a test that
//! is not there are failures. What each failure says and its exit code are in the named tests; a test
//! that is named for several commands goes through all of them.

use std::collections::BTreeSet;
use std::path::Path;

use clap::{Command, CommandFactory};
use dunlin_node::cli::Cli;

/// A command and its tests.
struct Row {
    command: &'static str,
    success: &'static str,
    /// Empty: it prints no JSON.
    json: &'static str,
    failure: &'static str,
}

const fn row(
    command: &'static str,
    success: &'static str,
    json: &'static str,
    failure: &'static str,
) -> Row {
    Row {
        command,
        success,
        json,
        failure,
    }
}

const FIELDS: &str = "json_has_the_documented_fields_whichever_command_prints_it";
const DETAILS: &str = "details_of_json_are_those_that_scripts_rely_on";
const LISTED: &str = "two_nodes_are_listed_watched_and_stopped";
const STOPPED: &str = "every_command_says_that_no_node_runs_and_how_to_start_one";
const UNNAMED: &str = "whoever_names_a_peer_is_told_of_typing_mistakes_and_ambiguity";
const REFUSED: &str = "what_a_node_or_a_peer_does_not_want_is_refused_with_its_code";
const USAGE: &str = "bad_options_and_values_are_told_with_what_may_be_given";
const IN_THE_WAY: &str = "what_is_in_the_way_on_this_machine_is_told_with_what_to_choose";
const BANNED: &str = "a_peer_is_removed_banned_and_taken_back_and_its_story_tells_why";
const MOVED: &str = "peers_move_from_node_to_node_in_a_file";

const ROWS: &[Row] = &[
    row(
        "start",
        "two_nodes_meet_and_part",
        "",
        "a_second_node_on_the_same_folder_is_told_who_has_it",
    ),
    row("stop", LISTED, "", STOPPED),
    row("status", LISTED, FIELDS, STOPPED),
    row("peer list", LISTED, FIELDS, USAGE),
    row(
        "peer add",
        BANNED,
        FIELDS,
        "an_address_is_refused_for_what_is_wrong_with_it",
    ),
    row(
        "peer remove",
        "a_peer_that_was_removed_is_forgotten_and_its_story_is_not",
        FIELDS,
        UNNAMED,
    ),
    row("peer ban", BANNED, FIELDS, UNNAMED),
    row("peer unban", BANNED, FIELDS, UNNAMED),
    row("peer bans", BANNED, DETAILS, STOPPED),
    row("peer info", LISTED, DETAILS, UNNAMED),
    row("peer why", BANNED, FIELDS, UNNAMED),
    row(
        "peer challenge",
        "a_peer_proves_its_identity_when_it_is_asked_to",
        FIELDS,
        "a_peer_that_is_frozen_and_does_not_prove_itself_is_left",
    ),
    row("peer top", LISTED, FIELDS, USAGE),
    row("peer export", MOVED, FIELDS, REFUSED),
    row("peer import", MOVED, "", REFUSED),
    row(
        "broadcast",
        "messages_and_broadcasts_reach_who_listens",
        FIELDS,
        REFUSED,
    ),
    row(
        "message",
        "messages_and_broadcasts_reach_who_listens",
        FIELDS,
        REFUSED,
    ),
    row("chat", "two_people_talk_over_their_nodes", "", UNNAMED),
    row(
        "request",
        "a_request_is_answered_refused_or_given_up_in_time",
        FIELDS,
        UNNAMED,
    ),
    row(
        "topics list",
        "only_broadcasts_of_the_chosen_topics_are_heard",
        FIELDS,
        STOPPED,
    ),
    row(
        "topics set",
        "only_broadcasts_of_the_chosen_topics_are_heard",
        FIELDS,
        USAGE,
    ),
    row(
        "verdict",
        "what_an_application_rejects_goes_no_further_and_its_origin_is_blamed",
        FIELDS,
        REFUSED,
    ),
    row(
        "trust ask",
        "what_a_peer_says_of_another_moves_the_trust_in_it_by_a_twentieth_at_most",
        FIELDS,
        UNNAMED,
    ),
    row("trust list", LISTED, DETAILS, STOPPED),
    row("trust events", LISTED, DETAILS, STOPPED),
    row("stats", LISTED, DETAILS, USAGE),
    row(
        "metrics",
        "the_metrics_are_what_prometheus_reads",
        "",
        STOPPED,
    ),
    row(
        "logs",
        "the_log_is_shown_filtered_and_followed",
        DETAILS,
        REFUSED,
    ),
    row(
        "dashboard",
        "the_page_and_its_files_are_for_who_followed_a_link",
        FIELDS,
        STOPPED,
    ),
    row(
        "generate-config",
        "a_generated_file_is_sound_and_is_left_alone_when_it_exists",
        "",
        IN_THE_WAY,
    ),
    row(
        "config check",
        "a_generated_file_is_sound_and_is_left_alone_when_it_exists",
        "",
        "mistakes_of_a_file_are_told_with_their_lines_and_the_node_does_not_start",
    ),
    row(
        "simulate",
        "a_visitor_sees_the_dashboard_first_and_then_peers_a_broadcast_and_a_file",
        "",
        IN_THE_WAY,
    ),
    row(
        "recv",
        "a_file_arrives_and_both_ends_say_so",
        "",
        "a_different_file_of_the_same_name_is_left_alone",
    ),
    row(
        "send",
        "a_file_arrives_and_both_ends_say_so",
        "",
        "a_wrong_id_is_told_from_a_wrong_address",
    ),
    row(
        "bench server",
        "each_mode_of_the_benchmark_measures_something",
        "",
        "a_port_in_use_says_what_to_choose",
    ),
    row(
        "bench client",
        "each_mode_of_the_benchmark_measures_something",
        "each_mode_of_the_benchmark_measures_something",
        USAGE,
    ),
    row(
        "relay",
        "the_relay_passes_packets_on_and_counts_them_at_its_end",
        "",
        IN_THE_WAY,
    ),
    row(
        "lab list",
        "every_scenario_of_the_library_is_listed_and_shown",
        "every_scenario_of_the_library_is_listed_and_shown",
        USAGE,
    ),
    row(
        "lab show",
        "every_scenario_of_the_library_is_listed_and_shown",
        "",
        "mistakes_of_the_laboratory_are_told_for_each_of_its_commands",
    ),
    row(
        "lab run",
        "a_run_ends_with_a_table_and_a_report_and_repeats_to_the_byte",
        "csv_and_json_on_stdout_are_nothing_but_data",
        "mistakes_name_file_line_and_key",
    ),
    row(
        "lab replay",
        "a_seed_replays_with_the_same_fingerprint",
        "",
        "mistakes_of_the_laboratory_are_told_for_each_of_its_commands",
    ),
    row(
        "lab shrink",
        "a_failing_seed_becomes_a_smaller_file_that_fails_in_the_same_way",
        "",
        "mistakes_of_the_laboratory_are_told_for_each_of_its_commands",
    ),
    row(
        "lab compare",
        "a_run_ends_with_a_table_and_a_report_and_repeats_to_the_byte",
        "a_run_ends_with_a_table_and_a_report_and_repeats_to_the_byte",
        "mistakes_of_the_laboratory_are_told_for_each_of_its_commands",
    ),
    row(
        "lab merge",
        "merged_shards_are_the_whole_to_the_byte",
        "merged_shards_are_the_whole_to_the_byte",
        "mistakes_of_the_laboratory_are_told_for_each_of_its_commands",
    ),
    row(
        "lab record",
        "a_recorded_network_is_played_in_the_dashboard",
        "",
        "what_is_no_recording_is_refused_with_file_and_line",
    ),
    row(
        "trace",
        "trace_prints_a_table_and_draws_a_page",
        "trace_prints_a_table_and_draws_a_page",
        "traces_that_cannot_be_written_are_told_in_a_sentence",
    ),
    row(
        "id",
        "a_new_key_is_shown_and_never_overwritten",
        "",
        "a_text_file_in_the_place_of_the_key_is_refused",
    ),
    row(
        "id new",
        "a_new_key_is_shown_and_never_overwritten",
        "",
        "a_new_key_is_shown_and_never_overwritten",
    ),
    row(
        "id show",
        "a_new_key_is_shown_and_never_overwritten",
        "",
        "showing_a_key_that_is_missing_makes_none",
    ),
    row(
        "id rotate",
        "rotation_says_that_the_id_changes_and_keeps_the_old_key",
        "",
        "showing_a_key_that_is_missing_makes_none",
    ),
    row(
        "id export",
        "a_hybrid_key_stays_hybrid_when_it_is_rotated_and_exports_its_commitment",
        "",
        "showing_a_key_that_is_missing_makes_none",
    ),
    row(
        "id dns-record",
        "a_dns_record_is_printed_for_addresses_that_others_can_reach",
        "",
        USAGE,
    ),
    row(
        "completions",
        "completions_and_manual_pages_name_every_command",
        "",
        USAGE,
    ),
    row(
        "man",
        "completions_and_manual_pages_name_every_command",
        "",
        IN_THE_WAY,
    ),
    row("version", "help_and_version_are_no_failures", "", USAGE),
];

/// Every command that does something, as it is typed, with its options.
fn commands(of: &Command, typed: &str, found: &mut Vec<(String, Command)>) {
    let mut is_leaf = true;
    for sub in of.get_subcommands().filter(|sub| sub.get_name() != "help") {
        is_leaf = false;
        let name = format!("{typed} {}", sub.get_name());
        commands(sub, name.trim(), found);
    }
    if is_leaf || (!of.is_subcommand_required_set() && !typed.is_empty()) {
        found.push((typed.to_owned(), of.clone()));
    }
}

fn tree() -> Vec<(String, Command)> {
    let mut found = Vec::new();
    commands(&Cli::command(), "", &mut found);
    found
}

#[test]
fn every_command_has_a_row_and_every_row_a_command() {
    let there: BTreeSet<_> = tree().into_iter().map(|(name, _)| name).collect();
    let listed: BTreeSet<_> = ROWS.iter().map(|row| row.command.to_owned()).collect();
    assert_eq!(listed.len(), ROWS.len(), "a command has two rows");
    let missing: Vec<_> = there.difference(&listed).collect();
    assert!(missing.is_empty(), "no row for {missing:?}");
    let gone: Vec<_> = listed.difference(&there).collect();
    assert!(gone.is_empty(), "no command for {gone:?}");
}

#[test]
fn whoever_prints_json_names_the_test_of_its_shape() {
    for (name, command) in tree() {
        let prints = command.get_arguments().any(|argument| {
            let values = argument.get_possible_values();
            // A file that is written as JSON is no output for scripts.
            let is_format = values.iter().any(|value| value.get_name() == "json");
            argument.get_long() == Some("json") || (is_format && name != "generate-config")
        });
        // What it writes is JSON, whatever it is asked for.
        let prints = prints || name == "peer export";
        let row = ROWS.iter().find(|row| row.command == name).unwrap();
        assert_eq!(prints, !row.json.is_empty(), "{name}");
    }
}

#[test]
fn every_test_that_is_named_is_there() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/program");
    let mut there = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(path).unwrap();
            let mut is_test = false;
            for line in text.lines() {
                let name = line
                    .split_once("fn ")
                    .and_then(|(_, rest)| rest.split_once('('));
                if let Some((name, _)) = name.filter(|_| is_test) {
                    there.insert(name.to_owned());
                    is_test = false;
                }
                is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            }
        }
    }
    for row in ROWS {
        let named = [row.success, row.json, row.failure];
        for name in named.into_iter().filter(|name| !name.is_empty()) {
            assert!(there.contains(name), "{}: no test {name}", row.command);
        }
        assert!(
            !row.success.is_empty() && !row.failure.is_empty(),
            "{}",
            row.command
        );
    }
}
