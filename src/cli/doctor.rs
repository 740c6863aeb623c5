//! `doctor`: looks whether all that a command needs is there and in order.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use serde::Serialize;
use url::Url;

use super::args::{ConsumerName, DoctorArgs, DoctorCommand, GlobalArgs};
use super::config::{self, ConfigFile, Consume, EXTRACTOR, Run};
use super::exit::Exit;
use super::owner::{self, Usage};
use super::run::target;
use super::{consume, store, versions};
use crate::amqp::{self, Broker, Expected, Topology};
use crate::daemon::doctor::{self, Next, Room, Wants};
use crate::database::{postgres, sqlite};
use crate::dump::Dump;
use crate::graph;
use crate::model::{Clock, Finding, Level, SystemClock, Timestamp};
use crate::sink::Target;
use crate::state::Inspection;
use crate::state::view::FileEntry;

/// The platform's consumers, whose queues are looked for in any case.
const CONSUMERS: [&str; 2] = ["tableinator", "graphinator"];

/// Runs the command.
pub fn run(args: DoctorArgs, global: &GlobalArgs, file: ConfigFile) -> Result<Exit> {
    owner::check_environment()?;
    let runtime = owner::runtime()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let mut report = Report::default();
    match args.command {
        None => {
            let state_dir = config::state_dir(global, &file, EXTRACTOR)?;
            report.json = args.how.json;
            let known = machine(&state_dir, &*clock, &mut report)?;
            let config = Run::resolve(args.run, file);
            let management = args.how.management.as_ref();
            runtime.block_on(extractor(&config, known, management, &clock, &mut report))?;
        }
        Some(command) => {
            let (name, args) = match command {
                DoctorCommand::Tables(args) => (ConsumerName::Tables, args),
                DoctorCommand::Graph(args) => (ConsumerName::Graph, args),
            };
            let state_dir = config::state_dir(global, &file, name.name())?;
            report.json = args.how.json;
            machine(&state_dir, &*clock, &mut report)?;
            let config = Consume::resolve(name, *args.consumer, file);
            let management = args.how.management.as_ref();
            runtime.block_on(consumer(&config, management, &*clock, &mut report))?;
        }
    }
    let status = report.status();
    if report.json {
        let all = serde_json::to_string_pretty(&Checks { status, checks: &report.findings })?;
        print(&(all + "\n"))?;
    } else {
        print(&report.summary())?;
    }
    Ok(if status == Level::Failure { Exit::Failed } else { Exit::Done })
}

/// What was found so far; without JSON it is printed as it comes.
#[derive(Default)]
struct Report {
    json: bool,
    findings: Vec<Finding>,
}

/// All of it as JSON.
#[derive(Serialize)]
struct Checks<'a> {
    status: Level,
    checks: &'a [Finding],
}

impl Report {
    fn add(&mut self, finding: Finding) -> Result<()> {
        if !self.json {
            let Finding { check, status, message, hint } = &finding;
            print(&format!("{:8} {check:12}  {message}\n", status.name()))?;
            if let Some(hint) = hint {
                print(&format!("{:23}hint: {hint}\n", ""))?;
            }
        }
        self.findings.push(finding);
        Ok(())
    }

    fn all(&mut self, findings: impl IntoIterator<Item = Finding>) -> Result<()> {
        findings.into_iter().try_for_each(|finding| self.add(finding))
    }

    /// The last line.
    fn summary(&self) -> String {
        let count = |level| self.findings.iter().filter(|found| found.status == level).count();
        let several = |n: usize, name| format!("{n} {name}{}", if n == 1 { "" } else { "s" });
        match (count(Level::Failure), count(Level::Warning)) {
            (0, 0) => "all is in order\n".to_owned(),
            (0, warnings) => several(warnings, "warning") + "\n",
            (failures, 0) => several(failures, "failure") + "\n",
            (failures, warnings) => {
                format!("{}, {}\n", several(failures, "failure"), several(warnings, "warning"))
            }
        }
    }

    fn status(&self) -> Level {
        self.findings.iter().map(|finding| finding.status).max().unwrap_or(Level::Ok)
    }
}

async fn extractor(
    config: &Run,
    known: Option<Inspection>,
    management: Option<&Url>,
    clock: &Arc<dyn Clock>,
    report: &mut Report,
) -> Result<()> {
    let delivery = &config.delivery;
    let target = target(delivery.to.as_deref())?;
    let (kinds, version) = (&delivery.kinds, delivery.version);
    let wants = Wants { kinds, version, fetched: config.fetch.is_some() };
    let (found, here) = doctor::folder(&config.root, wants);
    report.add(found)?;
    let mut listed = None;
    if let Some(fetch) = &config.fetch {
        let site = versions::open(&fetch.site, 1, Arc::clone(clock))?;
        let (found, next) = doctor::site(&*site, wants).await;
        report.add(found)?;
        listed = next;
    }
    let bytes = |dump: &Dump| dump.path.metadata().map_or(0, |metadata| metadata.len());
    let here: Vec<_> = here.iter().map(|dump| (dump.name, bytes(dump))).collect();
    let Next { whole, to_come } = doctor::next(&here, wants.fetched, listed.as_ref(), kinds);
    let mut rooms = vec![Room { what: "downloads", folder: config.root.clone(), bytes: to_come }];
    if let Some(need) = target.needs(whole) {
        rooms.push(Room { what: "the sink", folder: need.folder, bytes: need.bytes });
    }
    report.all(doctor::disks(&rooms))?;
    match &target {
        Target::Sqlite(path) => report.add(sqlite::checkup(path)),
        Target::Postgres(server) => report.all(postgres::checkup(server, &**clock).await),
        Target::Graph(address) => report.add(graph::checkup(address).await),
        Target::Folder(folder) => report.add(doctor::lines(folder)),
        Target::StandardOutput | Target::Null => Ok(()),
        Target::Amqp(broker) => {
            let consumers = &delivery.consumers;
            let topology = Topology::new(delivery.exchange_prefix.clone(), consumers.clone())
                .map_err(|error| Usage(error.to_string()))?;
            let job = broker.job(&delivery.exchange_prefix);
            let of_job =
                |file: &FileEntry| file.key.job == job && file.state.checkpoint.records > 0;
            let also =
                CONSUMERS.iter().copied().filter(|name| !consumers.iter().any(|c| c == name));
            let names: Vec<&str> = consumers.iter().map(String::as_str).chain(also).collect();
            let expected = Expected {
                consumers: &names,
                made: !consumers.is_empty(),
                delivered: known.is_some_and(|known| known.files.iter().any(of_job)),
            };
            report.all(amqp::checkup(broker, &topology, expected, management).await)
        }
    }
}

async fn consumer(
    config: &Consume,
    management: Option<&Url>,
    clock: &dyn Clock,
    report: &mut Report,
) -> Result<()> {
    let name = config.consumer.name();
    let broker: Broker = consume::broker(config.from.as_deref())?;
    let topology = consume::topology(config.exchange_prefix.clone(), name)?;
    let expected = Expected { consumers: &[name], made: true, delivered: false };
    report.all(amqp::checkup(&broker, &topology, expected, management).await)?;
    match consume::address(config.consumer, config.to.as_deref())? {
        consume::Place::Sqlite(path) => report.add(sqlite::checkup(&path)),
        consume::Place::Postgres(server) => report.all(postgres::checkup(&server, clock).await),
        consume::Place::Graph(address) => report.add(graph::checkup(&address).await),
    }
}

/// What every command needs of this machine, and what its store holds.
fn machine(state_dir: &Path, clock: &dyn Clock, report: &mut Report) -> Result<Option<Inspection>> {
    let known = store::inspect(state_dir);
    report.add(doctor::program())?;
    report.add(doctor::clock(clock, known.as_ref().ok().and_then(latest)))?;
    report.add(doctor::open_files())?;
    report.all(doctor::store(state_dir, &known, clock.now()))?;
    Ok(known.ok())
}

/// When the last thing happened that the store knows of.
fn latest(known: &Inspection) -> Option<Timestamp> {
    let active = known.files.iter().filter_map(|file| file.state.last_activity);
    known.events.iter().map(|event| event.at).chain(active).max()
}

fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot print")
}
