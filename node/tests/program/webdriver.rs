//! A browser that is driven: as much of WebDriver (W3C) as our tests of the dashboard need.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::process::{DEADLINE, until};

/// How an element is named in WebDriver.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// The key Enter in WebDriver.
pub(crate) const ENTER: &str = "\u{e007}";

/// A session of Chromium without a window; it ends when dropped.
pub(crate) struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts one; `None`, with the reason on stderr, where there is none.
    ///
    /// With `DUNLIN_NEED_BROWSER` set its absence is a failure.
    pub(crate) fn start() -> Option<Self> {
        let mut driver = Command::new("chromedriver");
        driver.arg("--port=0").stdout(Stdio::piped());
        let Ok(mut driver) = driver.stderr(Stdio::null()).stdin(Stdio::null()).spawn() else {
            assert!(
                std::env::var_os("DUNLIN_NEED_BROWSER").is_none(),
                "chromedriver does not start"
            );
            eprintln!("skipped: chromedriver is not installed (in Debian: chromium-driver)");
            return None;
        };
        let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines.map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse().ok()
        });
        let folder = tempfile::tempdir().unwrap();
        let profile = format!("--user-data-dir={}", folder.path().display());
        let mut browser = Self {
            driver,
            port: port.expect("chromedriver says its port"),
            session: String::new(),
            _profile: folder,
        };
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": [
                "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-dev-shm-usage", "--disable-background-networking",
                "--disable-component-update", "--disable-sync", "--window-size=1400,1000", profile,
            ] },
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let made = browser.ask("POST", "/session", Some(&wanted));
        browser.session = made["sessionId"].as_str().expect("a session").to_owned();
        Some(browser)
    }

    /// Opens a page.
    pub(crate) fn open(&self, url: &str) {
        self.command("POST", "url", Some(&json!({ "url": url })));
    }

    /// What a script says.
    pub(crate) fn eval(&self, script: &str) -> Value {
        let body = json!({ "script": format!("return {script};"), "args": [] });
        self.command("POST", "execute/sync", Some(&body))
    }

    /// Waits until a script says so.
    pub(crate) fn wait(&self, script: &str) {
        let came = until(DEADLINE, || self.eval(script) == json!(true));
        let page = self.eval("document.body.innerText");
        assert!(
            came,
            "{script} did not come true in:\n{page}\n{:#}",
            self.console()
        );
    }

    /// Clicks on what a selector finds, as a pointer would.
    pub(crate) fn click(&self, selector: &str) {
        // Not under the head of the page.
        let middle =
            format!("document.querySelector({selector:?}).scrollIntoView({{ block: 'center' }})");
        self.eval(&middle);
        let path = format!("element/{}/click", self.find(selector));
        self.command("POST", &path, Some(&json!({})));
    }

    /// Types into what a selector finds.
    pub(crate) fn keys(&self, selector: &str, keys: &str) {
        let path = format!("element/{}/value", self.find(selector));
        self.command("POST", &path, Some(&json!({ "text": keys })));
    }

    fn find(&self, selector: &str) -> String {
        let body = json!({ "using": "css selector", "value": selector });
        let found = self.command("POST", "element", Some(&body));
        let id = found[ELEMENT].as_str();
        id.unwrap_or_else(|| panic!("{selector}: {found}"))
            .to_owned()
    }

    /// Makes the page light or dark.
    pub(crate) fn prefer(&self, scheme: &str) {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        let body = json!({
            "cmd": "Emulation.setEmulatedMedia",
            "params": { "features": [feature] },
        });
        self.command("POST", "goog/cdp/execute", Some(&body));
    }

    /// Stores a picture of the whole page.
    pub(crate) fn picture(&self, path: &Path) {
        self.eval("window.scrollTo(0, 0)");
        let body = json!({
            "cmd": "Page.captureScreenshot",
            "params": { "captureBeyondViewport": true, "clip": {
                "x": 0, "y": 0, "scale": 1,
                "width": self.eval("document.documentElement.clientWidth"),
                "height": self.eval("document.documentElement.scrollHeight"),
            } },
        });
        let taken = self.command("POST", "goog/cdp/execute", Some(&body));
        let data = taken["data"].as_str().expect("a picture");
        let png = data_encoding::BASE64.decode(data.as_bytes()).unwrap();
        std::fs::write(path, png).unwrap();
    }

    /// What the page has written to the console; breaches of its policy are there, too.
    pub(crate) fn console(&self) -> Value {
        self.command("POST", "se/log", Some(&json!({ "type": "browser" })))
    }

    fn command(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        self.ask(method, &format!("/session/{}/{path}", self.session), body)
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        while reader.read_line(&mut answer).unwrap() > 2 {
            let line = answer.trim().to_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            answer.clear();
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let answer: Value = serde_json::from_slice(&body).unwrap();
        assert!(answer["value"]["error"].is_null(), "{path}: {answer:#}");
        answer["value"].clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // A failed test must not wait for its browser; the driver ends Chromium when it is told.
        if !std::thread::panicking() && !self.session.is_empty() {
            self.ask("DELETE", &format!("/session/{}", self.session), None);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
