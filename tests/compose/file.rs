//! `compose.yaml` as docker-compose reads it, with what it makes of variables and anchors.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

/// The folder in which the file stands.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What the file says.
pub struct Compose(pub Value);

/// One of its services.
pub struct Service<'a> {
    pub name: &'a str,
    pub says: &'a Value,
    secrets: &'a Value,
}

/// Something of the host that a container sees: a volume's name, or a path.
#[derive(Debug)]
pub struct Mount {
    pub source: String,
    pub target: String,
}

impl Compose {
    /// Asks the docker-compose that a variable of the environment names, with these variables set
    /// as somebody would who starts it.
    pub fn read(variable: &str, set: &[(&str, &str)]) -> Compose {
        let program = std::env::var(variable).unwrap_or_else(|_| {
            panic!("{variable} names no docker-compose\nhint: run `bash tests/run`")
        });
        let mut command = Command::new(program);
        command.args(["--profile", "monitoring", "config"]).current_dir(root());
        // Whoever runs the tests may have some of the file's variables set.
        let path = std::env::var_os("PATH").unwrap_or_default();
        let ran = command.env_clear().env("PATH", path).envs(set.iter().copied()).output().unwrap();
        let said = String::from_utf8(ran.stderr).unwrap();
        assert!(ran.status.success(), "{said}");
        assert_eq!(said, "", "it has something to say");
        Compose(serde_saphyr::from_str(std::str::from_utf8(&ran.stdout).unwrap()).unwrap())
    }

    pub fn services(&self) -> Vec<Service<'_>> {
        let services = self.0["services"].as_object().unwrap();
        let secrets = &self.0["secrets"];
        services.iter().map(|(name, says)| Service { name, says, secrets }).collect()
    }

    pub fn service(&self, name: &str) -> Service<'_> {
        self.services().into_iter().find(|service| service.name == name).unwrap()
    }
}

impl Service<'_> {
    pub fn command(&self) -> Vec<&str> {
        texts(&self.says["command"])
    }

    pub fn environment(&self) -> BTreeMap<String, String> {
        let set = self.says["environment"].as_object();
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        set.into_iter().flatten().map(|(name, value)| (name.clone(), text(value))).collect()
    }

    /// Volumes, files and secrets.
    pub fn mounts(&self) -> Vec<Mount> {
        let of = |name: &str| self.says[name].as_array().cloned().unwrap_or_default();
        let volumes = of("volumes").into_iter().map(|volume| match volume.as_str() {
            Some(short) => {
                let parts: Vec<_> = short.split(':').collect();
                Mount { source: parts[0].into(), target: parts[1].into() }
            }
            None => Mount { source: text(&volume["source"]), target: text(&volume["target"]) },
        });
        let secrets = of("secrets").into_iter().map(|secret| {
            let source = text(&secret["source"]);
            let target = secret["target"].as_str().unwrap_or(&source);
            let target = Path::new("/run/secrets").join(target).display().to_string();
            Mount { source: text(&self.secrets[source.as_str()]["file"]), target }
        });
        volumes.chain(secrets).collect()
    }

    /// The addresses of the host that it takes.
    pub fn published(&self) -> Vec<String> {
        let ports = self.says["ports"].as_array();
        let text = |port: &Value| match port.as_str() {
            Some(short) => short.to_owned(),
            None => format!("{}:{}", port["host_ip"].as_str().unwrap_or(""), port["published"]),
        };
        ports.into_iter().flatten().map(text).collect()
    }

    /// The command that tells whether it is well.
    pub fn health_check(&self) -> Vec<&str> {
        let test = texts(&self.says["healthcheck"]["test"]);
        assert_eq!(test[0], "CMD", "{}", self.name);
        test[1..].to_vec()
    }

    /// How long it has after `SIGTERM`; seconds only, as our own services say it.
    pub fn grace(&self) -> Duration {
        let grace = self.says["stop_grace_period"].as_str().unwrap();
        Duration::from_secs(grace.strip_suffix('s').unwrap().parse().unwrap())
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}
