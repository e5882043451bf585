//! Blocks of commands, run as a reader would run them.
//!
//! A block `console,run` is what a terminal shows: lines that begin with `$ ` are commands (one that ends
//! in `\` goes on in the next line), the lines below are what is printed, stdout and stderr. `…` stands for
//! any text, alone in a line for any number of lines; how much white space or how long a rule is makes no
//! difference, and with `figures-differ` nor do numbers. A block `sh,run` is commands alone, a block
//! `file=NAME` is what is in that file when the commands after it run. All blocks of a page are one session of bash in an empty folder, with the built `dunlin` on the path and `cargo
//! run` without the building. Every command has to end with code 0.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::markdown::{Block, blocks, root};
use crate::process::until;

/// What the commands of a page take at most.
const PAGE_LIMIT: Duration = Duration::from_secs(120);

/// One command, and what it prints.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Step {
    /// In its page, counted from 1.
    line: usize,
    command: String,
    /// `None`: whatever it prints.
    printed: Option<Vec<String>>,
    /// Whether numbers are compared.
    figures: bool,
}

impl Step {
    fn has_printed(&self, out: &str) -> bool {
        let plain = |line: &str| plain(line, self.figures);
        let expected: Vec<_> = self
            .printed
            .iter()
            .flatten()
            .map(|line| plain(line))
            .collect();
        let lines: Vec<_> = out.lines().map(plain).collect();
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        is_printed(&expected, &lines)
    }
}

/// The commands of a page that are to be run.
pub(crate) fn steps(page: &str) -> Vec<Step> {
    let blocks = blocks(page);
    blocks.iter().flat_map(steps_of).collect()
}

fn steps_of(block: &Block) -> Vec<Step> {
    let unseen = |command: String| Step {
        line: block.line,
        command,
        printed: None,
        figures: true,
    };
    if let Some(name) = block.value("file") {
        let command = format!("cat >{name} <<'END OF FILE'\n{}END OF FILE", block.text);
        return vec![unseen(command)];
    }
    if !block.is("run") {
        return Vec::new();
    }
    if !block.is("console") {
        return vec![unseen(block.text.clone())];
    }
    let mut found: Vec<Step> = Vec::new();
    let mut goes_on = false;
    for (line, text) in (block.line..).zip(block.text.lines()) {
        if goes_on && let Some(step) = found.last_mut() {
            step.command.push('\n');
            step.command.push_str(text);
            goes_on = text.ends_with('\\');
        } else if let Some(command) = text.strip_prefix("$ ") {
            goes_on = command.ends_with('\\');
            found.push(Step {
                line,
                command: command.to_owned(),
                printed: Some(Vec::new()),
                figures: !block.is("figures-differ"),
            });
        } else if let Some(printed) = found.last_mut().and_then(|step| step.printed.as_mut()) {
            printed.push(text.to_owned());
        }
    }
    found
}

/// A line as it is compared: one space for white space, one dash for a rule, and without `figures` a `0` for
/// each number.
fn plain(line: &str, figures: bool) -> String {
    let is_rule = |c: &char| *c == '─';
    let mut plain = String::new();
    let mut chars = line.trim_end().chars().peekable();
    while let Some(c) = chars.next() {
        if c.is_whitespace() {
            while chars.next_if(|c| c.is_whitespace()).is_some() {}
            plain.push(' ');
        } else if is_rule(&c) {
            while chars.next_if(is_rule).is_some() {}
            plain.push(c);
        } else if c.is_ascii_digit() && !figures {
            while chars.next_if(|c| c.is_ascii_digit() || *c == '.').is_some() {}
            plain.push('0');
        } else {
            plain.push(c);
        }
    }
    plain
}

/// Whether `lines` are what `expected` says.
fn is_printed(expected: &[String], lines: &[&str]) -> bool {
    match expected {
        [] => lines.is_empty(),
        [any, rest @ ..] if any.trim() == "…" => {
            (0..=lines.len()).any(|skipped| is_printed(rest, &lines[skipped..]))
        }
        [first, rest @ ..] => match lines {
            [line, more @ ..] => {
                is_line(first.trim_end(), line.trim_end()) && is_printed(rest, more)
            }
            [] => false,
        },
    }
}

fn is_line(expected: &str, line: &str) -> bool {
    let Some((before, rest)) = expected.split_once('…') else {
        return expected == line;
    };
    let Some(line) = line.strip_prefix(before) else {
        return false;
    };
    let starts = line.char_indices().map(|(at, _)| at).chain([line.len()]);
    starts.into_iter().any(|at| is_line(rest, &line[at..]))
}

/// What was wrong when the steps of a page were run; nothing when all went well.
pub(crate) fn run(page: &str, steps: &[Step], program: &Path) -> Result<(), String> {
    let scratch = tempfile::tempdir().unwrap();
    let (work, told) = (scratch.path().join("work"), scratch.path().join("told"));
    std::fs::create_dir(&work).unwrap();
    std::fs::create_dir(&told).unwrap();
    let script = script(steps, &told);
    let built = program.parent().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut bash = Command::new("bash");
    bash.args(["--noprofile", "--norc", "-c", &script])
        .current_dir(&work)
        .env("PATH", format!("{}:{path}", built.display()))
        .env("HOME", &work)
        .env("BUILT", built)
        .env("REPOSITORY", root())
        .env("NO_COLOR", "1")
        .env_remove("XDG_DATA_HOME")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("DUNLIN_") || name == "RUST_LOG" {
            bash.env_remove(&*name);
        }
    }
    // What it leaves running ends with its group.
    std::os::unix::process::CommandExt::process_group(&mut bash, 0);
    let mut running = bash.spawn().unwrap();
    let ended = until(PAGE_LIMIT, || running.try_wait().unwrap().is_some());
    let group = format!("kill -KILL -{} 2>/dev/null", running.id());
    Command::new("sh").args(["-c", &group]).status().unwrap();
    running.wait().unwrap();
    judge(page, steps, &told)?;
    if ended {
        Ok(())
    } else {
        Err(format!("{page}: what it left running does not end"))
    }
}

fn script(steps: &[Step], told: &Path) -> String {
    let mut script = String::from(PRELUDE);
    for (number, step) in steps.iter().enumerate() {
        let told = told.join(number.to_string());
        let told = told.display();
        script.push_str(&format!(
            "{{ {}\n}} >'{told}.out' 2>&1 </dev/null; echo $? >'{told}.code'\n",
            step.command
        ));
    }
    script
}

/// `cargo run` runs what the tests have built. What was started in the background ends with the session.
const PRELUDE: &str = r#"
trap 'trap - EXIT; kill $(jobs -p) 2>/dev/null; wait' EXIT
cargo() {
    local program="$BUILT/dunlin"
    while [ "$#" -gt 0 ]; do
        case "$1" in
        --example) program="$BUILT/examples/$2"; shift ;;
        --bin) program="$BUILT/$2"; shift ;;
        --) shift; break ;;
        esac
        shift
    done
    if [ -x "$program" ]; then
        "$program" "$@"
    else
        echo "not built: ${program##*/}"
        return 77
    fi
}
"#;

/// Whether a command could not be run because its program is not built: `cargo test` of one package builds no
/// examples of others. With `DUNLIN_NEED_EXAMPLES` set that is a failure, as `.ci/run` has it.
fn is_not_built(code: &str, out: &str) -> bool {
    let is_missing = code == "77" && out.starts_with("not built: ");
    is_missing && std::env::var_os("DUNLIN_NEED_EXAMPLES").is_none()
}

fn judge(page: &str, steps: &[Step], told: &Path) -> Result<(), String> {
    for (number, step) in steps.iter().enumerate() {
        let read = |what: &str| std::fs::read_to_string(told.join(format!("{number}.{what}")));
        let place = format!("{page}:{}: $ {}", step.line, step.command.trim_end());
        let out = read("out").unwrap_or_default();
        let code = match read("code") {
            Ok(code) => code.trim().to_owned(),
            Err(_) => return Err(format!("{place}\nwas not reached, or did not end:\n{out}")),
        };
        if is_not_built(&code, &out) {
            eprintln!("skipped: {place}: {}", out.trim());
            continue;
        }
        if code != "0" {
            return Err(format!("{place}\nended with code {code}:\n{out}"));
        }
        if let Some(expected) = &step.printed
            && !step.has_printed(&out)
        {
            let expected = expected.join("\n");
            return Err(format!("{place}\nprinted\n{out}\nand not\n{expected}\n"));
        }
    }
    Ok(())
}

#[test]
fn a_block_is_commands_and_what_they_print() {
    let page = "```console,run\n$ one\nfirst\n$ two \\\n  more\n…\n```\n```sh,run\nthree\nfour\n```\n```sh\nnot this\n```\n";
    let found = steps(page);
    let told: Vec<_> = found
        .iter()
        .map(|step| (step.line, step.command.as_str(), step.printed.as_deref()))
        .collect();
    let (first, any) = (["first".to_owned()], ["…".to_owned()]);
    assert_eq!(
        told,
        [
            (2, "one", Some(first.as_slice())),
            (4, "two \\\n  more", Some(any.as_slice())),
            (9, "three\nfour\n", None),
        ]
    );
}

#[test]
fn dots_stand_for_any_text_and_nothing_else_does() {
    let check = |expected: &[&str], lines: &[&str]| {
        let expected: Vec<_> = expected.iter().map(|line| (*line).to_owned()).collect();
        is_printed(&expected, lines)
    };
    assert!(check(
        &["id …@127.0.0.1:…"],
        &["id dunlin1x@127.0.0.1:4600"]
    ));
    assert!(check(&["a", "…", "d"], &["a", "b", "c", "d"]));
    assert!(check(&["…"], &[]));
    assert!(!check(&["a…c"], &["abd"]));
    assert!(!check(&["a"], &["a", "b"]), "more than is shown");
    assert!(!check(&["a", "b"], &["a"]), "less than is shown");
    assert!(!check(&[], &["a"]));
}

#[test]
fn width_never_counts_and_figures_count_unless_they_differ() {
    let cases = [
        ("a   b", true, "a b"),
        ("──────", true, "─"),
        ("19.1 Mbit/s", true, "19.1 Mbit/s"),
        ("19.1 Mbit/s,  99.6 %", false, "0 Mbit/s, 0 %"),
        ("7 of 12. 3", false, "0 of 0 0"),
    ];
    for (line, figures, told) in cases {
        assert_eq!(plain(line, figures), told, "{line}");
    }
}

#[test]
fn a_file_of_a_page_is_there_for_its_commands() {
    let page = "```toml,file=a.toml\nx = '$y'\n```\n```console,run\n$ cat a.toml\nx = '$y'\n```\n";
    let program = Path::new(env!("CARGO_BIN_EXE_dunlin"));
    assert_eq!(run("p.md", &steps(page), program), Ok(()));
}

#[test]
fn finds_commands_that_fail_or_print_something_else() {
    let program = Path::new(env!("CARGO_BIN_EXE_dunlin"));
    let outcome = |text: &str| {
        let page = format!("```console,run\n{text}\n```\n");
        run("p.md", &steps(&page), program)
    };
    assert_eq!(outcome("$ dunlin version\ndunlin …"), Ok(()));
    assert_eq!(outcome("$ x=1\n$ echo $x\n1"), Ok(()), "one session");
    assert_eq!(
        outcome("$ sleep 1000 &\n$ echo done\ndone"),
        Ok(()),
        "it ends"
    );
    let told = outcome("$ dunlin version\ndunlin 9.9.9").unwrap_err();
    assert!(
        told.contains("p.md:2") && told.contains("and not"),
        "{told}"
    );
    let told = outcome("$ dunlin vresion\n…").unwrap_err();
    assert!(told.contains("ended with code 2"), "{told}");
    let told = outcome("$ exit 0\n$ true").unwrap_err();
    assert!(told.contains("was not reached"), "{told}");
}
