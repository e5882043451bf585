//! An example in the help of each command: those that have none of their own get one made from what they take.

use clap::{Arg, Command, CommandFactory};

use super::Cli;

/// What stands for a value in a made example, by the first word of its name in the help.
const VALUES: &[(&str, &str)] = &[
    ("ID", "dunlin1qx8"),
    ("FILE", "peers.json"),
    ("NAME", "bulk"),
    ("ADDR", "192.0.2.7:4600"),
    ("PATH", "logs"),
];

/// The command line with an example in the help of each command.
#[must_use]
pub fn command() -> Command {
    with_examples(Cli::command(), "dunlin")
}

fn with_examples(mut command: Command, typed: &str) -> Command {
    let names: Vec<_> = command
        .get_subcommands()
        .map(|sub| sub.get_name().to_owned())
        .collect();
    for name in names {
        let typed = format!("{typed} {name}");
        command = command.mut_subcommand(name, |sub| with_examples(sub, &typed));
    }
    if command.get_after_help().is_some() || command.is_subcommand_required_set() {
        return command;
    }
    let example = example(&command, typed);
    command.after_help(example)
}

/// The command as it may be typed, and if it prints JSON, how to have that.
fn example(command: &Command, typed: &str) -> String {
    let mut line = typed.to_owned();
    for argument in command.get_positionals().filter(|it| it.is_required_set()) {
        line.push(' ');
        line.push_str(value(argument));
    }
    let has_json = command
        .get_arguments()
        .any(|argument| argument.get_long() == Some("json"));
    match has_json {
        true => format!("Examples:\n  {line}\n  {line} --json"),
        false => format!("Example:\n  {line}"),
    }
}

fn value(argument: &Arg) -> &'static str {
    let name = argument.get_value_names().and_then(|names| names.first());
    let name = name.map_or("", |name| name.as_str());
    let first = name.split('|').next().unwrap_or_default();
    let known = VALUES.iter().find(|(of, _)| *of == first);
    known.map_or("VALUE", |(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each command that does something, with its help.
    fn helps(command: &Command, typed: &str, found: &mut Vec<(String, String)>) {
        for sub in command.get_subcommands() {
            helps(sub, &format!("{typed} {}", sub.get_name()), found);
        }
        if !command.is_subcommand_required_set() {
            let help = command.get_after_help().map(ToString::to_string);
            found.push((typed.to_owned(), help.unwrap_or_default()));
        }
    }

    #[test]
    fn the_help_of_every_command_has_an_example_that_can_be_typed() {
        let command = command();
        let mut found = Vec::new();
        helps(&command, "dunlin", &mut found);
        assert!(found.len() > 45, "{}", found.len());
        for (typed, help) in &found {
            assert!(help.contains("Example"), "{typed}: {help}");
            assert!(help.contains(typed.as_str()), "{typed}: {help}");
            assert!(!help.contains("VALUE"), "{typed}: {help}");
        }
        let of = |typed: &str| found.iter().find(|(of, _)| of == typed).unwrap().1.clone();
        let why = of("dunlin peer why");
        assert!(why.contains("\n  dunlin peer why dunlin1qx8\n"), "{why}");
        assert!(
            why.contains("\n  dunlin peer why dunlin1qx8 --json"),
            "{why}"
        );
        assert_eq!(of("dunlin stop"), "Example:\n  dunlin stop");
        for line in [why, of("dunlin lab show"), of("dunlin config check")] {
            let made = line.lines().nth(1).unwrap().split_whitespace();
            command.clone().try_get_matches_from(made).unwrap();
        }
    }
}
