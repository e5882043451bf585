//! The files of the page, in the program itself: it works where nothing else can be reached.

use axum::extract::Path;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};

use crate::control::model::{Code, Problem};

/// What the page may do: load its own files and ask its own node. No script or style inside the
/// page, nothing from elsewhere, in no frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

const PAGE: &str = include_str!("assets/index.html");
const DOOR: &str = include_str!("assets/door.html");

macro_rules! files {
    ($($kind:ident $name:literal in $folder:literal;)+) => {
        /// Name, content type and content of each file under `/assets/`.
        const FILES: &[(&str, &str, &str)] =
            &[$(($name, $kind, include_str!(concat!($folder, "/", $name))),)+];
    };
}

files! {
    SCRIPT "app.js" in "assets";
    SCRIPT "api.js" in "assets";
    SCRIPT "charts.js" in "assets";
    SCRIPT "detail.js" in "assets";
    SCRIPT "dom.js" in "assets";
    SCRIPT "events.js" in "assets";
    SCRIPT "geography.js" in "assets";
    SCRIPT "history.js" in "assets";
    SCRIPT "network.js" in "assets";
    SCRIPT "peers.js" in "assets";
    SCRIPT "plot.js" in "assets";
    SCRIPT "topology.js" in "assets";
    STYLE "app.css" in "assets";
    SVG "icon.svg" in "assets";
    SCRIPT "uPlot.iife.min.js" in "vendor";
    STYLE "uPlot.min.css" in "vendor";
    SCRIPT "d3-array.min.js" in "vendor";
    SCRIPT "d3-geo.min.js" in "vendor";
    SCRIPT "topojson-client.min.js" in "vendor";
    DATA "land-110m.json" in "vendor";
}

const SVG: &str = "image/svg+xml";
const DATA: &str = "application/json";

/// The page.
pub(super) async fn page() -> Response {
    with_headers(HTML, PAGE)
}

/// A file of the page.
pub(super) async fn file(Path(name): Path<String>) -> Result<Response, Problem> {
    let found = FILES.iter().find(|(known, ..)| *known == name);
    found
        .map(|(_, kind, content)| with_headers(kind, content))
        .ok_or_else(|| Problem::new(Code::NotFound, "the dashboard has no such file"))
}

/// What a browser sees that is not let in.
pub(super) fn door() -> Response {
    with_headers(HTML, DOOR)
}

fn with_headers(kind: &'static str, content: &'static str) -> Response {
    let is = HeaderValue::from_static;
    let headers: [(HeaderName, HeaderValue); 6] = [
        (header::CONTENT_TYPE, is(kind)),
        (header::CACHE_CONTROL, is("no-store")),
        (header::CONTENT_SECURITY_POLICY, is(POLICY)),
        (header::REFERRER_POLICY, is("same-origin")),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            is("same-origin"),
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            is("same-origin"),
        ),
    ];
    (headers, content).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words that may look like another host, and are none: the name of the SVG vocabulary, and
    /// the comments in which libraries name their homes.
    const HARMLESS: [&str; 5] = [
        "http://www.w3.org/2000/svg",
        "https://github.com/leeoniya/uPlot",
        "https://d3js.org/d3-array/",
        "https://d3js.org/d3-geo/",
        "https://github.com/topojson/topojson-client",
    ];

    #[test]
    fn no_file_refers_to_another_host() {
        let own = [("index.html", PAGE), ("door.html", DOOR)];
        let files = FILES.iter().map(|(name, _, content)| (*name, *content));
        for (name, content) in own.into_iter().chain(files) {
            let mut rest = content.to_owned();
            for word in HARMLESS {
                rest = rest.replace(word, "");
            }
            for sign in [
                "http:", "https:", "ws:", "wss:", "\"//", "'//", "(//", "@import",
            ] {
                assert!(!rest.contains(sign), "{name} has {sign}");
            }
        }
    }

    #[test]
    fn the_pages_keep_to_their_policy_and_name_only_files_that_are_there() {
        for page in [PAGE, DOOR] {
            for forbidden in [
                "<style", " style=", "<script>", " onclick", "<iframe", "<form",
            ] {
                assert!(!page.contains(forbidden), "{forbidden}");
            }
        }
        let named = PAGE.split("\"/assets/").skip(1);
        let named: Vec<_> = named.filter_map(|rest| rest.split('"').next()).collect();
        assert!(named.len() >= 4, "{named:?}");
        for name in named {
            assert!(FILES.iter().any(|(known, ..)| *known == name), "{name}");
        }
        for (name, _, content) in FILES {
            assert!(
                !content.contains("innerHTML =") || name.starts_with("uPlot"),
                "{name}"
            );
            for import in content.split(" from \"./").skip(1) {
                let import = import.split('"').next().unwrap();
                assert!(
                    FILES.iter().any(|(known, ..)| *known == import),
                    "{name}: {import}"
                );
            }
        }
    }

    /// A browser hears only the kinds of events that it was told to listen to.
    #[test]
    fn the_page_listens_to_every_kind_of_event() {
        let page = include_str!("assets/events.js");
        let records = include_str!("../control/records.rs");
        let (records, _) = records.split_once("#[cfg(test)]").unwrap();
        let mut rest = records;
        let mut kinds = 0;
        while let Some(at) = ["story(", "passing(", "of_subject("]
            .iter()
            .filter_map(|call| Some(rest.find(call)? + call.len()))
            .min()
        {
            rest = rest[at..].trim_start();
            if let Some(quoted) = rest.strip_prefix('"') {
                let kind = quoted.split('"').next().unwrap();
                assert!(page.contains(&format!("\"{kind}\"")), "{kind}");
                kinds += 1;
            }
        }
        assert!(kinds > 12, "{kinds}");
    }

    #[test]
    fn the_libraries_are_the_files_that_their_readme_names() {
        let readme = include_str!("vendor/README.md");
        for (name, package, says) in [
            ("uPlot.iife.min.js", "uplot@1.6.32", "(v1.6.32)"),
            ("d3-array.min.js", "d3-array@3.2.5", "d3-array/ v3.2.5 "),
            ("d3-geo.min.js", "d3-geo@3.1.2", "d3-geo/ v3.1.2 "),
            (
                "topojson-client.min.js",
                "topojson-client@3.1.0",
                "topojson-client v3.1.0 ",
            ),
            ("land-110m.json", "world-atlas@2.0.2", "\"land\""),
        ] {
            let (_, _, library) = FILES.iter().find(|file| file.0 == name).unwrap();
            assert!(readme.contains(package), "{package}");
            assert!(library.contains(says), "{name}");
        }
    }

    /// What the map needs is asked for by name when there is a database.
    #[test]
    fn the_files_of_the_map_are_there() {
        let script = include_str!("assets/geography.js");
        for name in [
            "d3-array.min.js",
            "d3-geo.min.js",
            "topojson-client.min.js",
            "land-110m.json",
        ] {
            assert!(script.contains(name) && !PAGE.contains(name), "{name}");
            assert!(FILES.iter().any(|(known, ..)| *known == name), "{name}");
        }
    }
}
