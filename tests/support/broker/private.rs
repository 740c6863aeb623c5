//! A RabbitMQ of a test's own, which may be killed, stopped, blocked and started again.

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;

use super::Client;

/// How long a broker may take to start on a busy machine.
const START: Duration = Duration::from_secs(90);

/// Debian's scripts, without the wrapper that insists on a user.
const SCRIPTS: &str = "/usr/lib/rabbitmq/bin";

/// Runs a broker until it ends, or until standard input does: that is when the test ended,
/// however it did.
const WATCHED: &str = r#"
exec 3<&0
"$0" </dev/null &
broker=$!
{ cat <&3 >/dev/null; kill -KILL 0; } &
wait $broker
"#;

fn script_at(script: &str) -> PathBuf {
    let path = Path::new(SCRIPTS).join(script);
    if path.exists() { path } else { PathBuf::from(script) }
}

/// A broker on free ports, with data of its own. It ends with the value.
pub struct Private {
    dir: TempDir,
    node: String,
    /// Name and password, as in an address.
    user: String,
    port: u16,
    distribution_port: u16,
    child: Option<Child>,
}

impl Private {
    /// Starts one with more lines of configuration.
    pub fn start_with(configuration: &str) -> Private {
        Private::start_as(configuration, "", "guest:guest")
    }

    /// One whose configuration makes a user, with name and password as in an address.
    pub fn of_user(configuration: &str, user: &str) -> Private {
        Private::start_as(configuration, "", user)
    }

    /// One whose management plugin answers at this port.
    pub fn managed(port: u16) -> Private {
        let configuration = format!("management.tcp.port = {port}\nmanagement.tcp.ip = 127.0.0.1");
        Private::start_as(&configuration, "rabbitmq_management", "guest:guest")
    }

    fn start_as(configuration: &str, plugins: &str, user: &str) -> Private {
        let dir = tempfile::tempdir().unwrap();
        let (port, distribution_port) = (free_port(), free_port());
        let node = format!("discogs-test-{port}@localhost");
        let listener = format!("listeners.tcp.1 = 127.0.0.1:{port}\n{configuration}\n");
        fs::write(dir.path().join("own.conf"), listener).unwrap();
        fs::write(dir.path().join("plugins"), format!("[{plugins}].")).unwrap();
        let user = user.to_owned();
        let mut broker = Private { dir, node, user, port, distribution_port, child: None };
        broker.start();
        broker
    }

    pub fn address(&self) -> String {
        format!("amqp://{}@127.0.0.1:{}/%2f", self.user, self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    fn command(&self, script: &str) -> Command {
        self.with_environment(Command::new(script_at(script)))
    }

    fn with_environment(&self, mut command: Command) -> Command {
        let dir = self.dir.path();
        let variables = [
            ("HOME", dir.to_owned()), // where Erlang keeps the cookie
            ("RABBITMQ_NODENAME", PathBuf::from(&self.node)),
            ("RABBITMQ_CONFIG_FILE", dir.join("own.conf")),
            ("RABBITMQ_CONF_ENV_FILE", PathBuf::from("/dev/null")),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", dir.join("plugins")),
            ("RABBITMQ_DIST_PORT", PathBuf::from(self.distribution_port.to_string())),
            ("RABBITMQ_MNESIA_BASE", dir.join("data")),
            ("RABBITMQ_LOG_BASE", dir.join("log")),
            ("RABBITMQ_PID_FILE", dir.join("pid")),
        ];
        command.envs(variables).current_dir(dir);
        command
    }

    /// Starts it, on the data that it left, and waits until it takes connections.
    pub fn start(&mut self) {
        assert!(self.child.is_none(), "it runs");
        let out = fs::File::create(self.dir.path().join("out")).unwrap();
        let mut command = self.with_environment(Command::new("sh"));
        command.args(["-c", WATCHED]).arg(script_at("rabbitmq-server")).process_group(0);
        command.stdin(Stdio::piped()).stdout(out.try_clone().unwrap()).stderr(out);
        let child = command.spawn().unwrap();
        self.child = Some(child);
        let began = Instant::now();
        while Client::try_connect(&self.address()).is_err() {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            if ended.is_some() || began.elapsed() > START {
                let out = fs::read_to_string(self.dir.path().join("out")).unwrap();
                panic!(
                    "no broker after {:?}, {ended:?}:\n{out}\nhint: apt-get install rabbitmq-server",
                    began.elapsed()
                );
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Makes durable that a queue was just declared. A broker of this version that is killed
    /// within the next seconds comes back with the queue and without what makes it work.
    pub fn settle(&self) {
        self.ctl(&["eval", "[dets:sync(Table) || Table <- dets:all()]."]);
    }

    /// As a power cut would.
    pub fn kill(&mut self) {
        let pid = fs::read_to_string(self.dir.path().join("pid")).unwrap();
        let pid = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
        self.child.take().unwrap().wait().unwrap();
    }

    /// In good order.
    pub fn stop(&mut self) {
        self.ctl(&["stop"]);
        self.child.take().unwrap().wait().unwrap();
    }

    /// `rabbitmqctl`.
    pub fn ctl(&self, arguments: &[&str]) -> String {
        let mut command = self.command("rabbitmqctl");
        command.args(["-n", &self.node]).args(arguments).stdin(Stdio::null());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Raises a memory alarm: publishers are blocked.
    pub fn block(&self) {
        self.ctl(&["set_vm_memory_high_watermark", "0.00001"]);
    }

    /// Clears it.
    pub fn unblock(&self) {
        self.ctl(&["set_vm_memory_high_watermark", "0.4"]);
    }

    pub fn close_all_connections(&self) {
        self.ctl(&["close_all_connections", "a test"]);
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
            _ = child.wait();
        }
    }
}

/// The address of a broker, or of a relay in front of it, at this port.
pub fn address_at(port: u16) -> String {
    format!("amqp://guest:guest@127.0.0.1:{port}/%2f")
}

/// A port of loopback that nobody listens on.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Certificates for a test: an authority, and a server's and a client's by it.
pub struct Certificates {
    dir: TempDir,
}

impl Certificates {
    /// Made by `openssl`; the server is `localhost`.
    pub fn new() -> Certificates {
        let certificates = Certificates { dir: tempfile::tempdir().unwrap() };
        certificates.openssl(&[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=test-ca",
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
        ]);
        for name in ["server", "client"] {
            let (key, request, made) =
                (format!("{name}.key"), format!("{name}.csr"), format!("{name}.pem"));
            certificates.openssl(&[
                "req",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-subj",
                "/CN=localhost",
                "-keyout",
                &key,
                "-out",
                &request,
            ]);
            let extensions = format!("{name}.ext");
            fs::write(
                certificates.dir.path().join(&extensions),
                "basicConstraints=CA:FALSE\nsubjectAltName=DNS:localhost,IP:127.0.0.1\n",
            )
            .unwrap();
            certificates.openssl(&[
                "x509",
                "-req",
                "-in",
                &request,
                "-CA",
                "ca.pem",
                "-CAkey",
                "ca.key",
                "-CAcreateserial",
                "-days",
                "2",
                "-extfile",
                &extensions,
                "-out",
                &made,
            ]);
        }
        certificates
    }

    fn openssl(&self, arguments: &[&str]) {
        let output = Command::new("openssl").args(arguments).current_dir(self.dir.path()).output();
        let output = output.unwrap_or_else(|error| {
            panic!("openssl: {error}\nhint: apt-get install openssl");
        });
        assert!(output.status.success(), "{output:?}");
    }

    pub fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// Lines of a broker's configuration that listens with TLS and wants a client certificate.
    pub fn configuration(&self, port: u16) -> String {
        format!(
            "listeners.ssl.1 = 127.0.0.1:{port}\nssl_options.cacertfile = {}\n\
             ssl_options.certfile = {}\nssl_options.keyfile = {}\n\
             ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true",
            self.path("ca.pem"),
            self.path("server.pem"),
            self.path("server.key"),
        )
    }
}
