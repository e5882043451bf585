//! What `packaging/` says of the program is true: its options, files, ports and signals are there.
//!
//! systemd itself is asked where it is installed (`systemd-analyze`); the rest of each file is read.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Value, json};

use crate::markdown::root;
use crate::process::{Finished, Lab, Running, STOP_LIMIT, dunlin, run};

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join("packaging").join(path)).unwrap()
}

/// All documents of a YAML file.
fn yaml(text: &str) -> Vec<Value> {
    let documents = Yaml::load_from_str(text).unwrap();
    documents.iter().map(json_of).collect()
}

fn json_of(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(value)) => json!(value),
        Yaml::Value(Scalar::Integer(value)) => json!(value),
        Yaml::Value(Scalar::FloatingPoint(value)) => json!(value.into_inner()),
        Yaml::Value(Scalar::String(value)) => json!(value),
        Yaml::Sequence(items) => items.iter().map(json_of).collect(),
        Yaml::Mapping(entries) => {
            let entries = entries.iter();
            let entries =
                entries.map(|(key, value)| (key.as_str().unwrap().to_owned(), json_of(value)));
            Value::Object(entries.collect())
        }
        other => panic!("{other:?}"),
    }
}

/// The values of each key of a section of a unit.
fn unit(text: &str, section: &str) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut is_inside = false;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[') {
            is_inside = name.trim_end_matches(']') == section;
        } else if let Some((key, value)) = line.split_once('=')
            && is_inside
            && !line.starts_with('#')
        {
            found
                .entry(key.to_owned())
                .or_default()
                .push(value.to_owned());
        }
    }
    found
}

/// A configuration file for a node of the test, made from one that is shipped.
fn checked_config(lab: &Lab, text: &str) -> Finished {
    let path = lab.path("node.toml");
    std::fs::write(&path, text).unwrap();
    run(dunlin().args(["config", "check"]).arg(path))
}

#[test]
fn the_unit_starts_the_program_as_it_wants_to_be_started() {
    let text = read("systemd/dunlin.service");
    let service = unit(&text, "Service");
    let one = |key: &str| service[key][0].as_str();
    assert_eq!(one("Type"), "notify");
    let words: Vec<_> = one("ExecStart").split(' ').collect();
    assert_eq!(words[0], "/usr/local/bin/dunlin");
    assert_eq!(
        words[words.len() - 2..],
        ["--config", "/etc/dunlin/node.toml"]
    );
    assert_eq!(
        one("Environment"),
        format!("DUNLIN_DATA_DIR=/var/lib/{}", one("StateDirectory"))
    );
    assert_eq!(one("ExecReload"), "/bin/kill -HUP $MAINPID");
    // The exit code of a configuration with mistakes.
    let lab = Lab::new();
    let refused = checked_config(&lab, "port = \"here\"\n");
    assert_eq!(refused.code, one("RestartPreventExitStatus").parse().ok());
    let needed = dunlin_node::open_files::needed(256);
    assert!(
        one("LimitNOFILE")
            .parse::<u64>()
            .is_ok_and(|limit| limit >= needed)
    );
    assert!(
        text.contains("256 peers need 1,344") && needed == 1_344,
        "{needed}"
    );
}

#[test]
fn systemd_understands_the_unit_and_finds_it_hardened() {
    let lab = Lab::new();
    let text = read("systemd/dunlin.service");
    let here = text.replace("/usr/local/bin/dunlin", env!("CARGO_BIN_EXE_dunlin"));
    assert_ne!(text, here);
    let path = lab.path("dunlin.service");
    std::fs::write(&path, here).unwrap();
    let analyze = |words: &[&str]| {
        let mut command = Command::new("systemd-analyze");
        command
            .args(words)
            .arg(&path)
            .output()
            .ok()
            .map(Finished::from)
    };
    let Some(verified) = analyze(&["verify", "--man=no"]) else {
        eprintln!("skipped: systemd-analyze is not installed");
        return;
    };
    assert_eq!(
        (verified.code, verified.stderr.as_str()),
        (Some(0), ""),
        "{verified:?}"
    );
    // Exposure from 0 to 100; 50 and more is what systemd calls exposed.
    let judged = analyze(&["security", "--offline=yes", "--threshold=20", "--no-pager"]).unwrap();
    assert_eq!(judged.code, Some(0), "{judged:?}");
}

#[cfg(unix)]
#[test]
fn the_service_manager_hears_when_the_node_runs_reloads_lives_and_ends() {
    use std::os::unix::net::UnixDatagram;
    let lab = Lab::new();
    let path = lab.path("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager
        .set_read_timeout(Some(crate::process::DEADLINE))
        .unwrap();
    let heard = |what: &str| {
        let mut buffer = [0; 512];
        loop {
            let length = manager.recv(&mut buffer).expect(what);
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.starts_with(what) {
                return text;
            }
        }
    };
    let mut command = dunlin();
    command
        .args(["start", "--host", "127.0.0.1", "--port", "0", "--data-dir"])
        .arg(lab.path("data"))
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "100000");
    let mut node = Running::start(&mut command);
    let line = node.line();
    assert_eq!(heard("READY=1"), format!("READY=1\nSTATUS={line}"));
    for _ in 0..3 {
        heard("WATCHDOG=1");
    }
    node.signal("HUP");
    heard("RELOADING=1\nMONOTONIC_USEC=");
    heard("READY=1");
    node.signal("TERM");
    heard("STOPPING=1");
    let ended = node.finish_within(STOP_LIMIT).expect("it stops");
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

/// The instructions of a Dockerfile, each with its words.
fn instructions(text: &str) -> Vec<(String, String)> {
    let joined = text.replace("\\\n", " ");
    let lines = joined.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| line.split_once(' ').unwrap())
        .map(|(name, rest)| (name.to_owned(), rest.trim().to_owned()))
        .collect()
}

#[test]
fn the_image_runs_the_program_as_a_user_without_rights_and_asks_how_it_is() {
    let all = instructions(&read("docker/Dockerfile"));
    let stages = all.iter().filter(|(name, _)| name == "FROM").count();
    assert_eq!(stages, 2, "the compiler stays behind");
    let last = |wanted: &str| {
        let found = all.iter().rev().find(|(name, _)| name == wanted);
        found
            .map(|(_, rest)| rest.as_str())
            .unwrap_or_else(|| panic!("no {wanted}"))
    };
    let user = last("USER").split(':').next().unwrap().parse::<u32>();
    assert!(user.is_ok_and(|user| user > 0), "{}", last("USER"));
    assert_eq!(last("ENTRYPOINT"), "[\"dunlin\"]");
    assert_eq!(last("CMD"), "[\"start\"]");
    assert_eq!(last("STOPSIGNAL"), "SIGTERM");
    assert_eq!(last("EXPOSE"), "4600/udp 4600/tcp");
    assert_eq!(last("ENV"), format!("DUNLIN_DATA_DIR={}", last("VOLUME")));
    assert!(last("HEALTHCHECK").ends_with("CMD [\"dunlin\", \"status\"]"));
    let build = all
        .iter()
        .find(|(_, rest)| rest.contains("cargo build"))
        .unwrap();
    for part in ["--locked", "--package dunlin-node", "--bin dunlin"] {
        assert!(build.1.contains(part), "{part}");
    }
    // The compiler is new enough.
    let image = all[0].1.split(['-', ':']).nth(1).unwrap();
    assert!(image.starts_with(env!("CARGO_PKG_RUST_VERSION")), "{image}");
    assert!(
        root()
            .join("packaging/docker/Dockerfile.dockerignore")
            .exists()
    );
}

/// The objects of the manifest, by kind.
fn manifest() -> BTreeMap<String, Value> {
    let all = yaml(&read("kubernetes/dunlin.yaml"));
    let all = all.into_iter();
    all.map(|object| (object["kind"].as_str().unwrap().to_owned(), object))
        .collect()
}

/// `kubernetes-validate` has the schemas of Kubernetes; `.ci/run` installs it.
#[test]
fn an_outside_validator_finds_the_objects_for_kubernetes_sound() {
    let path = root().join("packaging/kubernetes/dunlin.yaml");
    let validate = |path: &Path| {
        let mut command = Command::new("kubernetes-validate");
        let validated = command.args(["--strict", "--quiet"]).arg(path).output();
        validated.ok().map(Finished::from)
    };
    let Some(sound) = validate(&path) else {
        eprintln!("skipped: kubernetes-validate is not installed");
        return;
    };
    assert_eq!(sound.code, Some(0), "{sound:?}");
    let lab = Lab::new();
    let misspelt = lab.path("misspelt.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let broken = text.replace("readinessProbe", "readynessProbe");
    std::fs::write(&misspelt, broken).unwrap();
    assert_ne!(validate(&misspelt).unwrap().code, Some(0));
}

#[test]
fn the_objects_for_kubernetes_fit_each_other() {
    let all = manifest();
    let (service, set, config) = (&all["Service"], &all["StatefulSet"], &all["ConfigMap"]);
    assert_eq!(set["spec"]["serviceName"], service["metadata"]["name"]);
    assert_eq!(service["spec"]["clusterIP"], "None");
    let pod = &set["spec"]["template"];
    assert_eq!(
        set["spec"]["selector"]["matchLabels"],
        pod["metadata"]["labels"]
    );
    assert_eq!(service["spec"]["selector"], pod["metadata"]["labels"]);
    assert_eq!(pod["spec"]["enableServiceLinks"], false);
    let container = &pod["spec"]["containers"][0];
    let named = |list: &Value| -> Vec<(Value, Value)> {
        let list = list.as_array().unwrap().iter();
        list.map(|port| (port["name"].clone(), port["protocol"].clone()))
            .collect()
    };
    assert_eq!(named(&container["ports"]), named(&service["spec"]["ports"]));
    let volumes = [
        &pod["spec"]["volumes"][0]["name"],
        &set["spec"]["volumeClaimTemplates"][0]["metadata"]["name"],
    ];
    for mount in container["volumeMounts"].as_array().unwrap() {
        assert!(volumes.contains(&&mount["name"]), "{mount}");
    }
    assert_eq!(
        pod["spec"]["volumes"][0]["configMap"]["name"],
        config["metadata"]["name"]
    );
    assert_eq!(pod["spec"]["securityContext"]["runAsNonRoot"], true);
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
}

/// The container as the cluster would start it, with its own arguments, variables and probes; only the
/// folders are those of the test, and the port is the system's choice.
#[test]
fn a_pod_starts_with_what_the_manifest_gives_it_and_its_probes_succeed() {
    let all = manifest();
    let pod = &all["StatefulSet"]["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let lab = Lab::new();
    let config = all["ConfigMap"]["data"]["node.toml"].as_str().unwrap();
    let checked = checked_config(&lab, config);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let file = lab.path("node.toml");
    let (file, data) = (file.to_str().unwrap(), lab.path("data"));
    let words = |list: &Value| -> Vec<String> {
        let list = list.as_array().unwrap().iter();
        let list = list.map(|word| {
            word.as_str()
                .unwrap()
                .replace("/etc/dunlin/node.toml", file)
        });
        list.collect()
    };
    let variables: BTreeMap<_, _> = container["env"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| Some((one["name"].as_str()?, one["value"].as_str()?)))
        .collect();
    let command = |words: &[String]| {
        let mut command = dunlin();
        command.args(words);
        for (name, value) in &variables {
            // A name that leads nowhere: the test asks no name server of this machine for others.
            command.env(
                name,
                value.replace("dunlin.$(NAMESPACE).svc.cluster.local", "localhost"),
            );
        }
        command.env("DUNLIN_DATA_DIR", &data);
        command
    };
    let probes = ["startupProbe", "readinessProbe", "livenessProbe"];
    let probe = |name: &str| {
        let words = words(&container[name]["exec"]["command"]);
        assert_eq!(words[0], "dunlin");
        run(&mut command(&words[1..]))
    };
    for name in probes {
        assert_eq!(probe(name).code, Some(4), "{name}: nothing runs yet");
    }
    let mut arguments = words(&container["args"]);
    arguments.extend(["--host", "127.0.0.1", "--port", "0"].map(str::to_owned));
    let mut node = Running::start(&mut command(&arguments));
    node.line();
    for name in probes {
        let asked = probe(name);
        assert_eq!(asked.code, Some(0), "{name}: {asked:?}");
    }
    assert!(
        variables["DUNLIN_DATA_DIR"]
            .starts_with(container["volumeMounts"][0]["mountPath"].as_str().unwrap())
    );
    assert!(Path::new(&data).join("dunlin.db").exists());
}
