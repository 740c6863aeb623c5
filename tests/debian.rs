//! The Debian package: built, and installed, started, upgraded, removed and purged on a throw-away
//! machine with a systemd of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "debian/machine.rs"]
mod machine;
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use discogs_extractor::sample::{Options, make};
use machine::Machine;
use support::Ran;
use tempfile::TempDir;

/// The folder with `cargo-deb` in it; so does `tests/run` say that all is there.
const TOOLS: &str = "DISCOGS_TEST_DEBIAN";

const UNITS: [&str; 3] =
    ["discogs-extractor.service", "discogs-graphinator.service", "discogs-tableinator.service"];

const FIRST: &str = "discogs-extractor_0.1.0-1_amd64.deb";
const SECOND: &str = "discogs-extractor_0.1.0-2_amd64.deb";

/// Where the daemon keeps its state.
const STATE: &str = "discogs-extractor state --state-dir /var/lib/discogs-extractor/extractor";

/// Everything on the machine that has our name.
const OURS: &str = "find /etc /usr /var /run -name '*discogs*' | sort";

/// Two versions of the package, and a set of dumps. The second one has another `extractor.env`.
fn share() -> &'static Path {
    static SHARE: OnceLock<TempDir> = OnceLock::new();
    SHARE.get_or_init(|| {
        let share = tempfile::tempdir().unwrap();
        fs::set_permissions(share.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let tools = std::env::var(TOOLS).unwrap_or_else(|_| panic!("{TOOLS} is not set"));
        let path = format!("{tools}:{}", std::env::var("PATH").unwrap());
        let mut build = Command::new("bash");
        build.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/build-deb"));
        build.args(["--binary", env!("CARGO_BIN_EXE_discogs-extractor")]).env("PATH", path);
        build.arg("--output").arg(share.path());
        // What is in it does not depend on how it is packed, and cargo-deb may be a debug build.
        build.args(["--deb-version", "0.1.0-1", "--compress-type", "gz", "--fast"]);
        build.arg("--compress-system");
        let made = Ran::of(build.output().unwrap());
        made.ends(0, &[]);
        assert_eq!(made.out.trim(), share.path().join(FIRST).to_str().unwrap());
        let other = "dpkg-deb -R $0 other && sed -i s/0.1.0-1/0.1.0-2/ other/DEBIAN/control && \
            echo '# Another.' >>other/etc/discogs-extractor/extractor.env && \
            dpkg-deb -Znone -b other $1 && rm -r other";
        let mut other = bash(other);
        Ran::of(other.args([FIRST, SECOND]).current_dir(share.path()).output().unwrap())
            .ends(0, &[]);
        let options = Options::new(300, 1, "20260101".parse().unwrap());
        make(&options, &share.path().join("dumps")).unwrap();
        share
    });
    SHARE.get().unwrap().path()
}

fn bash(script: &str) -> Command {
    let mut command = Command::new("bash");
    command.args(["-ec", script]);
    command
}

fn package() -> PathBuf {
    share().join(FIRST)
}

/// A machine with the package, set to take the dumps of the share and nothing else.
fn installed() -> Machine {
    let machine = Machine::start(share());
    machine.does(&format!("apt-get install -y /share/{FIRST}"));
    set(&machine, "extractor", "DISCOGS_SITE=/share/dumps");
    machine
}

/// Sets a variable in an environment file.
fn set(machine: &Machine, file: &str, variable: &str) {
    machine.does(&format!("echo '{variable}' >>/etc/discogs-extractor/{file}.env"));
}

/// What `systemctl edit` does.
fn edit(machine: &Machine, unit: &str, lines: &str) {
    let folder = format!("/etc/systemd/system/{unit}.service.d");
    machine.does(&format!(
        "mkdir -p {folder} && printf '[Service]\n{lines}\n' >>{folder}/override.conf && \
         systemctl daemon-reload"
    ));
}

#[test]
fn it_needs_little_and_keeps_its_settings_apart() {
    let field = |name| {
        let mut command = Command::new("dpkg-deb");
        Ran::of(command.arg("-f").arg(package()).arg(name).output().unwrap()).out
    };
    let (needs, version) = (field("Depends"), field("Version"));
    let needs: Vec<_> = needs.trim().split(", ").map(|n| n.split(' ').next().unwrap()).collect();
    assert_eq!(needs, ["adduser", "libc6"]);
    assert_eq!(version.trim(), "0.1.0-1");
    let scratch = tempfile::tempdir().unwrap();
    let mut unpack = Command::new("dpkg-deb");
    Ran::of(unpack.arg("-R").arg(package()).arg(scratch.path()).output().unwrap()).ends(0, &[]);
    let settings = fs::read_to_string(scratch.path().join("DEBIAN/conffiles")).unwrap();
    let settings: BTreeSet<_> = settings.lines().collect();
    let files = ["extractor", "graphinator", "tableinator"];
    let files = files.map(|file| format!("/etc/discogs-extractor/{file}.env"));
    assert_eq!(settings, files.iter().map(String::as_str).collect());
    for file in files {
        let mode = fs::metadata(scratch.path().join(&file[1..])).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640, "{file} may hold secrets");
    }
    // libgcc_s comes with libc6 on Debian.
    let mut ldd = Command::new("ldd");
    let ldd = Ran::of(ldd.arg(scratch.path().join("usr/bin/discogs-extractor")).output().unwrap());
    let libraries: BTreeSet<_> =
        ldd.out.lines().filter_map(|l| l.split_whitespace().next()).collect();
    let allowed = [
        "/lib64/ld-linux-x86-64.so.2",
        "libc.so.6",
        "libgcc_s.so.1",
        "libm.so.6",
        "linux-vdso.so.1",
    ];
    assert!(libraries.is_subset(&allowed.into()), "{libraries:?}");
    let changes = include_str!("../packaging/debian/changelog");
    let version = format!("discogs-extractor ({}-1) ", env!("CARGO_PKG_VERSION"));
    assert!(changes.starts_with(&version), "packaging/debian/changelog is of another version");
}

#[test]
fn pages_completions_and_units_are_in_their_places_and_in_order() {
    let machine = installed();
    for (page, words) in [
        ("discogs-extractor", "discogs-extractor-run(1)"),
        ("discogs-extractor-run", "DISCOGS_ROOT environment variable"),
        ("discogs-extractor-consume-tables", "QUEUE_CHECK_INTERVAL"),
        ("discogs-extractor-state-reset", "Forget files"),
    ] {
        let page = machine.does(&format!("man --nh {page} | col -bx | tr -s ' \\n' ' '"));
        assert!(page.contains(words), "{page}");
    }
    let complete = "source /usr/share/bash-completion/completions/discogs-extractor && \
        COMP_WORDS=(discogs-extractor cons) COMP_CWORD=1 && \
        $(complete -p discogs-extractor | grep -o '_discogs[^ ]*') discogs-extractor cons discogs-extractor && echo ${COMPREPLY[@]}";
    assert_eq!(machine.does(complete), "consume");
    for (shell, file) in [
        ("zsh", "zsh/vendor-completions/_discogs-extractor"),
        ("fish", "fish/vendor_completions.d/discogs-extractor.fish"),
    ] {
        let file = format!("/usr/share/{file}");
        machine
            .does(&format!("test -s {file} && if command -v {shell}; then {shell} -n {file}; fi"));
    }
    for unit in UNITS {
        let verified = machine.run(&format!("systemd-analyze verify {unit}"));
        assert_eq!((verified.code, verified.err.trim()), (Some(0), ""), "{unit}");
        let exposed = machine.does(&format!("systemd-analyze security {unit} --no-pager"));
        let exposed = exposed.split_once("exposure level for ").unwrap().1;
        let exposed: f64 = exposed.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert!(exposed <= 2.5, "{unit} is exposed at {exposed}");
    }
}

#[test]
fn it_is_installed_started_upgraded_removed_and_purged() {
    let machine = Machine::start(share());
    let before = machine.does(OURS);
    machine.does(&format!("apt-get install -y /share/{FIRST}"));
    machine.does("id discogs-extractor");
    for unit in UNITS {
        assert_eq!(machine.shows(unit, "ActiveState"), "inactive");
        assert_eq!(machine.shows(unit, "UnitFileState"), "disabled");
    }
    set(&machine, "extractor", "DISCOGS_SITE=/share/dumps");
    machine.does("systemctl enable --now discogs-extractor");
    assert_eq!(machine.shows("discogs-extractor", "ActiveState"), "active");
    machine.until(&format!("{STATE} check"));
    let health = "bash -c 'exec 3<>/dev/tcp/127.0.0.1/8000; echo GET /health HTTP/1.0 >&3; \
        printf \"\\r\\n\" >&3; cat <&3'";
    assert!(machine.does(health).contains("\"extraction_status\":\"completed\""));
    let first = machine.shows("discogs-extractor", "MainPID");
    let known = machine.does(&format!("{STATE} export"));
    let strangers = machine.run(&format!("runuser -u nobody -- {STATE}"));
    strangers.ends(1, &["permission denied", "look as the user that it runs as"]);

    let keep = "-o Dpkg::Options::=--force-confold";
    machine.does(&format!("apt-get install -y {keep} /share/{SECOND}"));
    machine.does("grep -q '^DISCOGS_SITE=/share/dumps' /etc/discogs-extractor/extractor.env");
    assert_eq!(machine.shows("discogs-extractor", "ActiveState"), "active");
    assert_ne!(machine.shows("discogs-extractor", "MainPID"), first, "the new one runs");
    assert_eq!(machine.shows("discogs-tableinator", "ActiveState"), "inactive");
    machine.until(&format!("{STATE} check"));
    assert_eq!(runs(&machine.does(&format!("{STATE} export"))), runs(&known), "nothing began anew");
    machine.does("! journalctl -u discogs-extractor | grep -i -e error -e panicked");

    machine.does("apt-get remove -y discogs-extractor");
    machine.does("! pgrep -x discogs-extract && ! test -e /usr/bin/discogs-extractor");
    machine.does("test -s /etc/discogs-extractor/extractor.env");
    machine.does("test -s /var/lib/discogs-extractor/tables/discogs.db");
    machine.does("test -d /var/lib/discogs-extractor/extractor/store");

    machine.does("apt-get purge -y discogs-extractor");
    assert_eq!(machine.does(OURS), before);
}

/// The lines of an export that say which run of a file there was.
fn runs(export: &str) -> Vec<(String, u64)> {
    let lines = export.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let runs = lines.filter_map(|line| Some((line["file"].to_string(), line["run"].as_u64()?)));
    let runs: Vec<_> = runs.collect();
    assert!(runs.len() >= 4, "{export}");
    runs
}

#[test]
fn a_machine_that_systemd_does_not_run_takes_it_too() {
    let machine = Machine::start(share());
    let before = machine.does(OURS);
    let without = "unshare --mount bash -ec 'mount -t tmpfs tmpfs /run/systemd";
    machine.does(&format!(
        "{without}; dpkg -i /share/{FIRST}; dpkg -i --force-confold /share/{SECOND}; \
         discogs-extractor --version; dpkg -r discogs-extractor; dpkg -P discogs-extractor'"
    ));
    assert_eq!(machine.does(OURS), before);
}

#[test]
fn systemd_starts_again_what_hangs_and_gives_up_what_cannot_be_used() {
    let machine = installed();
    let quick = "WatchdogSec=1\nTimeoutAbortSec=1\nRestartSec=0";
    set(&machine, "tableinator", "RABBITMQ_HOST=localhost");
    for unit in ["discogs-extractor", "discogs-tableinator"] {
        edit(&machine, unit, quick);
        machine.does(&format!("systemctl start {unit}"));
        let told = machine.shows(unit, "WatchdogTimestampMonotonic");
        machine.until(&format!(
            "test $(systemctl show {unit} --value -p WatchdogTimestampMonotonic) -gt {told}"
        ));
        assert_eq!(machine.shows(unit, "NRestarts"), "0");
        machine.does(&format!("systemctl kill -s STOP {unit}"));
        machine.until(&format!("test $(systemctl show {unit} --value -p NRestarts) -gt 0"));
        machine.until(&format!("systemctl is-active {unit}"));
        machine.does(&format!("systemctl stop {unit}"));
        assert_eq!(machine.shows(unit, "Result"), "success");
    }
    // The graph is away, and waited for.
    set(&machine, "graphinator", "DISCOGS_TO=bolt://neo4j:secret@localhost:7687");
    machine.does("systemctl start --no-block discogs-graphinator");
    machine.until("journalctl -u discogs-graphinator | grep -q 'the graph is away'");
    assert_eq!(machine.shows("discogs-graphinator", "ActiveState"), "activating");
    machine.does("systemctl stop discogs-graphinator");
    set(&machine, "graphinator", "DISCOGS_TO=nowhere:");
    machine.does("! systemctl start discogs-graphinator");
    assert_eq!(machine.shows("discogs-graphinator", "ActiveState"), "failed");
    assert_eq!(machine.shows("discogs-graphinator", "ExecMainStatus"), "2");
}

#[test]
fn secrets_and_folders_elsewhere_are_given_as_the_files_say() {
    let machine = installed();
    let file = "/etc/discogs-extractor/broker-password";
    machine.does(&format!(
        "echo secret >{file} && chgrp discogs-extractor {file} && chmod 640 {file}"
    ));
    set(&machine, "tableinator", &format!("RABBITMQ_PASSWORD_FILE={file}"));
    machine.does("systemctl start discogs-tableinator");

    machine.does("mkdir /srv/discogs && chown discogs-extractor: /srv/discogs");
    set(&machine, "extractor", "DISCOGS_ROOT=/srv/discogs");
    edit(&machine, "discogs-extractor", "ReadWritePaths=/srv/discogs");
    machine.does("systemctl start discogs-extractor");
    machine.until(&format!("{STATE} check"));
    machine.does("test -s /srv/discogs/discogs_20260101_releases.xml.gz");
    for unit in ["discogs-tableinator", "discogs-extractor"] {
        machine.does(&format!("systemctl is-active {unit}"));
    }
}
