//! Traces of a simulated run: captures, logs, keys, in files.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use dunlin_lab::capture::{PcapTap, Problem, Vantage};
use dunlin_lab::experiment::model::Kind;
use dunlin_lab::experiment::study::Study;
use dunlin_lab::instruments::Instruments;
use dunlin_lab::instruments::text::Lines;
use dunlin_transport::qlog::{Files, Qlog, QlogConfig};

use crate::cli::trace::TraceArgs;
use crate::failure::{Exit, Failure};
use crate::trace::writers::{cannot, check_folder, open_key_log};

/// The files that a run was asked for.
pub(super) struct Traces {
    /// To be attached to the run.
    pub(super) instruments: Instruments,
    problem: Option<Problem>,
    lines: Option<Lines>,
    wanted: bool,
}

impl Traces {
    /// Whether there is anything to write.
    pub(super) const fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// Opens what is asked for. Only a single run of endpoints has traces.
    pub(super) fn open(
        args: &TraceArgs,
        lines: bool,
        study: &Study,
        runs: usize,
    ) -> Result<Self, Failure> {
        let mut traces = Self {
            instruments: Instruments::default(),
            problem: None,
            lines: None,
            wanted: false,
        };
        // The key log alone may come from the environment, which says nothing about this run.
        let wanted = args.qlog.is_some() || args.pcap.is_some() || lines;
        if !wanted && args.keylog.is_none() {
            return Ok(traces);
        }
        let fits = study.head().kind.has_endpoints() && runs == 1;
        if !fits {
            return if wanted {
                Err(unfit(study.head().kind, runs))
            } else {
                Ok(traces)
            };
        }
        traces.wanted = true;
        if let Some(path) = &args.pcap {
            traces.capture(path)?;
        }
        if let Some(folder) = &args.qlog {
            traces.logs(folder, &study.head().title)?;
        }
        if let Some(path) = &args.keylog {
            traces.instruments.log_keys(open_key_log(path)?);
        }
        if lines {
            traces.print();
        }
        Ok(traces)
    }

    fn capture(&mut self, path: &Path) -> Result<(), Failure> {
        let wrong = |error| cannot("the capture", path, &error, "--pcap");
        let file = BufWriter::new(File::create(path).map_err(wrong)?);
        let tap = PcapTap::new(file, Vantage::Sent).map_err(wrong)?;
        self.problem = Some(tap.problem());
        self.instruments.tap(Box::new(tap));
        Ok(())
    }

    fn logs(&mut self, folder: &Path, title: &str) -> Result<(), Failure> {
        check_folder(folder)?;
        let (folder, title) = (folder.to_path_buf(), title.to_owned());
        self.instruments.observe(Box::new(move |node| {
            let mut config = QlogConfig::default();
            config.title = Some(format!("{title}: node {node}"));
            let files = Files::new(folder.clone(), format!("node{node}-"));
            Box::new(Qlog::new(Box::new(files), config))
        }));
        Ok(())
    }

    fn print(&mut self) {
        let lines = Lines::new(Box::new(BufWriter::new(std::io::stdout())));
        self.lines = Some(lines.clone());
        self.instruments
            .observe(Box::new(move |node| lines.of(node)));
    }

    /// Writes out what waits; the run is over.
    pub(super) fn finish(self) -> Result<(), Failure> {
        if let Some(lines) = &self.lines {
            lines.flush();
        }
        let error = self.problem.and_then(|problem| problem.take());
        error.map_or(Ok(()), |error| {
            let sentence = format!("the capture was not written to its end: {error}");
            Err(Failure::new(Exit::Local, sentence))
        })
    }
}

fn unfit(kind: Kind, runs: usize) -> Failure {
    let sentence = if kind.has_endpoints() {
        format!(
            "traces are those of one run, and these are {runs}: choose one with --seed and --set"
        )
    } else {
        "traces are those of endpoints: this scenario is a network, of kind swarm or stack".into()
    };
    Failure::new(Exit::Usage, sentence)
}
