//! The services of `compose.yaml` that are ours, as plain processes: the image's entry point and
//! environment, the service's command and environment, and what stands in for what only containers
//! have.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use url::Url;

use super::database::Database;
use super::file::{Compose, Service, root};
use super::fixture::Fixture;
use super::image;
use super::rabbit::{Rabbit, wait};
use super::support::Place;
use super::support::broker::private::free_port;

/// How long anything may take; more than that is a fault, however busy the machine is.
const PATIENCE: Duration = Duration::from_mins(2);

/// Our services, and the ports at which they answer.
pub const OURS: [(&str, u16); 3] =
    [("extractor-rust", 8_000), ("tableinator", 8_002), ("graphinator", 8_001)];

/// `bash packaging/make-secrets`, into a folder of a test's own.
pub fn make_secrets(folder: &Path) {
    let mut bash = Command::new("bash");
    let made = bash.arg(root().join("packaging/make-secrets")).arg(folder).output().unwrap();
    assert!(made.status.success(), "{made:?}");
}

/// Queues, tables, a graph, volumes and secrets of a test's own.
pub struct Stack {
    pub compose: Compose,
    pub place: Place,
    pub database: Database,
    pub graph: Fixture,
    ports: BTreeMap<&'static str, u16>,
    broker: Url,
    /// Delete what was declared for either consumer.
    _queues: [Rabbit; 2],
}

impl Stack {
    /// None where one of the services is missing, which `tests/run` says.
    pub fn new(compose: &str, broker: &str, graph: &str) -> Option<Stack> {
        let (graph, database) = (wait(Fixture::new(graph))?, Database::new()?);
        let tables = Rabbit::of("tableinator", broker);
        let mut other = Rabbit::of("graphinator", broker);
        other.prefix.clone_from(&tables.prefix);
        // Nothing is downloaded; and a prefix of its own.
        let set = [("DISCOGS_SITE", "none"), ("DISCOGS_EXCHANGE_PREFIX", &tables.prefix)];
        let stack = Stack {
            compose: Compose::read(compose, &set),
            place: Place::new(),
            database,
            graph,
            ports: OURS.iter().map(|(name, _)| (*name, free_port())).collect(),
            broker: tables.address.parse().unwrap(),
            _queues: [tables, other],
        };
        stack.make_volumes_and_secrets();
        Some(stack)
    }

    fn make_volumes_and_secrets(&self) {
        for volume in self.compose.0["volumes"].as_object().unwrap().keys() {
            fs::create_dir_all(self.volume(volume)).unwrap();
        }
        let secrets = self.place.path("secrets");
        fs::create_dir(&secrets).unwrap();
        fs::create_dir(self.place.path("root")).unwrap();
        // The servers that are used here know these; the rest is made, and these are kept.
        let graph = Url::parse(&self.graph.url).unwrap();
        for (name, url) in [("rabbitmq_password", &self.broker), ("neo4j_password", &graph)] {
            fs::write(secrets.join(name), url.password().unwrap()).unwrap();
        }
        make_secrets(&secrets);
    }

    /// The folder that is a volume.
    pub fn volume(&self, name: &str) -> PathBuf {
        self.place.path("volumes").join(name)
    }

    /// Variables whose value is another one outside of containers. Nothing else differs, but for
    /// paths of volumes and secrets, and the ports.
    fn stand_ins(&self) -> [(&'static str, &'static str, String); 8] {
        let host = |url: &Url, port: u16| {
            format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(port))
        };
        let tables: Url = self.database.url().parse().unwrap();
        let graph: Url = self.graph.url.parse().unwrap();
        let graph_at = format!("bolt://{}{}", host(&graph, 7_687), graph.path());
        [
            ("LISTEN", "0.0.0.0", "127.0.0.1".into()),
            ("RABBITMQ_HOST", "rabbitmq", self.broker.host_str().unwrap().into()),
            ("RABBITMQ_USERNAME", "discogsography", self.broker.username().into()),
            ("POSTGRES_HOST", "postgres", host(&tables, 5_432)),
            ("POSTGRES_USERNAME", "discogsography", tables.username().into()),
            ("POSTGRES_DATABASE", "discogsography", self.database.name().into()),
            ("NEO4J_HOST", "neo4j", graph_at),
            ("NEO4J_USERNAME", "neo4j", graph.username().into()),
        ]
    }

    /// What a process of this service finds in its environment.
    fn environment(&self, service: &Service<'_>) -> BTreeMap<String, String> {
        let mut all = image::environment();
        all.extend(service.environment());
        for (name, there, here) in self.stand_ins() {
            if let Some(value) = all.get_mut(name) {
                assert_eq!(value, there, "{name} of {}", service.name);
                *value = here;
            }
        }
        for mount in service.mounts() {
            let here = match mount.target.strip_prefix("/run/secrets/") {
                Some(secret) => self.place.path("secrets").join(secret),
                None => self.volume(&mount.source),
            };
            for value in all.values_mut().filter(|value| **value == mount.target) {
                *value = here.display().to_string();
            }
        }
        all.insert("RABBITMQ_PORT".into(), self.broker.port().unwrap_or(5_672).to_string());
        all.insert("HEALTH_PORT".into(), self.ports[service.name].to_string());
        all
    }

    /// As a program in a container of this service, which has nothing else in its environment.
    fn program(&self, name: &str, program: &str) -> Command {
        let mut command = Command::new(program);
        let environment = self.environment(&self.compose.service(name));
        command.env_clear().envs(environment).current_dir(self.place.path("root"));
        command.stdin(Stdio::null());
        command
    }

    /// `docker compose up -d NAME`
    pub fn up(&self, name: &'static str) -> Container {
        self.up_with(name, &[])
    }

    /// The same, with more in its environment.
    pub fn up_with(&self, name: &'static str, more: &[(&str, &str)]) -> Container {
        let service = self.compose.service(name);
        assert_eq!(image::entrypoint(), ["/usr/local/bin/discogs-extractor"]);
        let mut command = self.program(name, env!("CARGO_BIN_EXE_discogs-extractor"));
        let log = self.log(name);
        let out = File::options().create(true).append(true).open(&log).unwrap();
        command.args(service.command()).envs(more.iter().copied());
        command.stdout(out.try_clone().unwrap()).stderr(out);
        Container { child: command.spawn().unwrap(), log, grace: service.grace() }
    }

    /// `docker compose exec NAME discogs-extractor …`
    pub fn exec(&self, name: &str, arguments: &[&str]) -> Output {
        let mut command = self.program(name, env!("CARGO_BIN_EXE_discogs-extractor"));
        command.args(arguments).output().unwrap()
    }

    /// Whether the service's own health check is content.
    pub fn is_healthy(&self, name: &str) -> bool {
        let service = self.compose.service(name);
        let (_, there) = OURS.into_iter().find(|(ours, _)| *ours == name).unwrap();
        let check = service.health_check().join(" ");
        let here = check.replace(&format!(":{there}/"), &format!(":{}/", self.ports[name]));
        assert_ne!(check, here, "{name} is asked at another port than {there}");
        let mut words = here.split(' ');
        let mut command = Command::new(words.next().unwrap());
        command.args(words).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
    }

    /// Where the service answers.
    pub fn address(&self, name: &str) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports[name]))
    }

    fn log(&self, name: &str) -> PathBuf {
        self.place.path(&format!("{name}.log"))
    }

    /// Runs a documented command that reads the logs of a service.
    pub fn documented(&self, name: &str, command: &str) -> String {
        let logs = format!("docker compose logs {name}");
        assert!(command.contains(&logs), "{command}");
        let command = command.replace(&logs, &format!("cat {}", self.log(name).display()));
        let ran = Command::new("bash").args(["-c", &command]).output().unwrap();
        assert!(ran.status.success(), "{command} finds nothing");
        String::from_utf8(ran.stdout).unwrap()
    }
}

/// A process that stands for a container. It is killed with the value.
pub struct Container {
    child: Child,
    log: PathBuf,
    grace: Duration,
}

impl Container {
    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until the log has these words so many times.
    #[track_caller]
    pub fn says(&mut self, words: &str, times: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.said().matches(words).count() < times {
            let ended = self.child.try_wait().unwrap();
            let goes_on = ended.is_none() && Instant::now() < deadline;
            assert!(goes_on, "not {times} times {words:?}, {ended:?}:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// `kill -9`
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// `docker compose stop`: it has to end with code 0 before Docker loses its patience.
    #[track_caller]
    pub fn stops(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let deadline = Instant::now() + self.grace;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "still there:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(10));
        };
        assert_eq!(status.code(), Some(0), "{}", self.said());
        assert!(!self.said().contains("panicked"), "{}", self.said());
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // It may be gone already.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
