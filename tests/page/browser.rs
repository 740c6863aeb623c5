//! A headless Chromium, driven by the W3C's protocol for that and, where it has no words, by the
//! browser's own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::http;

/// How long anything may take; more than that is a fault, however busy the machine is.
const PATIENCE: Duration = Duration::from_mins(1);

/// How often it is looked whether the page shows what is waited for.
const LOOK: Duration = Duration::from_millis(100);

/// Nothing of it needs a screen, and nothing asks for anything but the page.
const ARGUMENTS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// A browser with one tab; it and its driver are killed when it is dropped.
pub struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
    /// What the browser writes.
    profile: TempDir,
}

impl Browser {
    /// The driver that a variable of the environment names, and a browser as people have it.
    pub fn at(variable: &str) -> Browser {
        Browser::with(variable, &json!({}))
    }

    /// One that runs no script of any page.
    pub fn without_scripts(variable: &str) -> Browser {
        Browser::with(
            variable,
            &json!({ "profile.managed_default_content_settings.javascript": 2 }),
        )
    }

    fn with(variable: &str, preferences: &Value) -> Browser {
        let program = std::env::var_os(variable).unwrap_or_else(|| {
            panic!(
                "{variable} names no chromedriver\nhint: run `bash tests/run --install`, which \
                 finds or installs one, or set it, for example to /usr/bin/chromedriver"
            )
        });
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new(program);
        command.arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null());
        // What the browser leaves behind goes with its profile.
        command.env("TMPDIR", profile.path());
        // The browser is in the driver's group, so that one signal ends them all.
        let mut driver = command.process_group(0).spawn().unwrap();
        let out = driver.stdout.take().unwrap();
        let port = BufReader::new(out).lines().map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        let address = SocketAddr::from(([127, 0, 0, 1], port.unwrap()));
        let session = String::new();
        let mut browser = Browser { driver, address, session, profile };
        let mut arguments = ARGUMENTS.map(str::to_owned).to_vec();
        arguments.push(format!("--user-data-dir={}", browser.profile.path().display()));
        let wanted = json!({
            "browserName": "chrome",
            "goog:chromeOptions": { "args": arguments, "prefs": preferences },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let began = browser.post("", &json!({ "capabilities": { "alwaysMatch": wanted } }));
        browser.session = format!("/{}", began["sessionId"].as_str().unwrap());
        browser
    }

    #[track_caller]
    fn post(&self, path: &str, body: &Value) -> Value {
        let (address, body) = (self.address, body.to_string());
        let mut stream = BufReader::new(http::connect(address));
        let request = format!(
            "POST /session{}{path} HTTP/1.1\r\nHost: {address}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.session,
            body.len()
        );
        stream.get_mut().write_all(request.as_bytes()).unwrap();
        // The driver leaves the connection open: its answer is as long as it says.
        let head = stream.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty());
        let length = head.filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
        });
        let mut answer = vec![0; length.last().unwrap()];
        stream.read_exact(&mut answer).unwrap();
        let mut said: Value = serde_json::from_slice(&answer).unwrap();
        assert!(said["value"].get("error").is_none(), "{path} {body}: {said:#}");
        said["value"].take()
    }

    #[track_caller]
    pub fn open(&self, address: SocketAddr) {
        self.post("/url", &json!({ "url": format!("http://{address}/") }));
    }

    /// What a script gives back, run in the page.
    #[track_caller]
    pub fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// A command of the browser's own protocol.
    #[track_caller]
    pub fn command(&self, name: &str, parameters: &Value) -> Value {
        self.post("/goog/cdp/execute", &json!({ "cmd": name, "params": parameters }))
    }

    /// A window of so many pixels; a narrow one is a phone's.
    #[track_caller]
    pub fn resize(&self, width: u32, height: u32) {
        let size = json!({
            "width": width,
            "height": height,
            "deviceScaleFactor": 1,
            "mobile": width < 800,
        });
        self.command("Emulation.setDeviceMetricsOverride", &size);
    }

    /// `light` or `dark`.
    #[track_caller]
    pub fn prefer(&self, scheme: &str) {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.command("Emulation.setEmulatedMedia", &json!({ "features": [feature] }));
    }

    /// The text that people see.
    #[track_caller]
    pub fn text(&self) -> String {
        self.run("return document.body.innerText").as_str().unwrap().to_owned()
    }

    /// Waits until a script gives back what counts as true, and hands it over.
    #[track_caller]
    pub fn until(&self, script: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let given = self.run(script);
            if !matches!(given, Value::Null | Value::Bool(false)) {
                return given;
            }
            assert!(Instant::now() < deadline, "not in {PATIENCE:?}: {script}\n{}", self.text());
            std::thread::sleep(LOOK);
        }
    }

    /// Waits until people see these words.
    #[track_caller]
    pub fn shows(&self, words: &str) {
        self.until(&format!("return document.body.innerText.includes({})", json!(words)));
    }

    /// Waits until people see these words no longer.
    #[track_caller]
    pub fn shows_no(&self, words: &str) {
        self.until(&format!("return !document.body.innerText.includes({})", json!(words)));
    }

    /// What the browser complained about since it was last asked.
    #[track_caller]
    pub fn complaints(&self) -> Vec<String> {
        let log = self.post("/se/log", &json!({ "type": "browser" }));
        let entries = log.as_array().unwrap().iter();
        entries.map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may be gone already.
        _ = kill_process_group(Pid::from_child(&self.driver), Signal::KILL);
        _ = self.driver.wait();
    }
}
