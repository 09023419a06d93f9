//! `netlab doctor`.

mod expected;
mod explain;
mod fix;
mod healthy;
mod matrix;
mod observed;
mod paint;
mod report;
mod verdict;

use std::{
    fs,
    io::IsTerminal as _,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use netlab::{
    capture::service,
    doctor::{
        diagnosis::{self, Diagnosis},
        facts::{self, Facts, Here, Role, Scope, Subject},
        path, probe,
        report::Report,
    },
    spec::Spec,
};

use self::paint::Paint;
use super::{Outcome, output};
use crate::cli::{DoctorArgs, Output};

/// Gathers facts, probes, and says what is wrong; [`Outcome::Findings`] where something is.
///
/// # Errors
///
/// Where there is nothing to look into, or the facts cannot be read or written.
pub fn run(args: &DoctorArgs, color: bool) -> anyhow::Result<Outcome> {
    let paint = Paint::new(color);
    match args.explain {
        Some(Some(code)) => return output::print(&explain::page(code, paint)),
        Some(None) => return output::print(&explain::list()),
        None => {}
    }
    if args.fix {
        return fix::run(args, paint);
    }
    if let Some(file) = &args.save_facts {
        return write(&gather(args)?, file);
    }
    let diagnosed = Diagnosed::of(args)?;
    let report = diagnosed.report(args.paths);
    match args.output {
        Output::Table => output::print(&report::draw(&report, paint)),
        Output::Json => output::print_json(&report),
        Output::Yaml => output::print_yaml(&report),
    }?;
    Ok(if diagnosed.diagnosis.is_healthy() { Outcome::Fine } else { Outcome::Findings })
}

/// One run: what was observed, and what follows from it.
struct Diagnosed {
    facts: Facts,
    spec: Spec,
    diagnosis: Diagnosis,
    /// When it began.
    begun: Instant,
    took: Duration,
}

impl Diagnosed {
    /// Looks, probes unless that is not wanted, and judges.
    fn of(args: &DoctorArgs) -> anyhow::Result<Self> {
        let begun = Instant::now();
        let facts = match &args.facts {
            Some(file) => read(file)?,
            None => gather(args)?,
        };
        let outcome = judged(&facts, args.facts.is_none() && !args.no_probe);
        if outcome.is_err() {
            eprint!("{}", report::gaps(&facts.gaps, Paint::new(false)));
        }
        let (spec, diagnosis) = outcome?;
        Ok(Self { facts, spec, diagnosis, begun, took: begun.elapsed() })
    }

    fn report(&self, all_paths: bool) -> Report<'_> {
        let Self { facts, spec, diagnosis, took, .. } = self;
        Report { facts, spec, diagnosis, took: *took, all_paths }
    }
}

fn judged(facts: &Facts, probes: bool) -> anyhow::Result<(Spec, Diagnosis)> {
    if facts.hosts.is_empty() {
        anyhow::bail!("no host could be looked into; run it as root: sudo netlab doctor");
    }
    let spec = facts.spec().context("cannot judge: the objects are refused")?;
    let attempts = if probes { probed(facts, &spec)? } else { Vec::new() };
    let diagnosis = diagnosis::judge(facts, &spec, &attempts);
    Ok((spec, diagnosis))
}

fn read(file: &Path) -> anyhow::Result<Facts> {
    let text = fs::read_to_string(file)
        .with_context(|| format!("cannot read the facts {}", file.display()))?;
    Facts::read(&text).with_context(|| format!("cannot judge {}", file.display()))
}

fn gather(args: &DoctorArgs) -> anyhow::Result<Facts> {
    let scope = if args.here {
        Scope::Here(Here { manifests: args.files.clone(), ..Here::default() })
    } else {
        Scope::Lab(args.name.clone())
    };
    let subject = subject(args.subject.as_deref(), &scope)?;
    Ok(facts::gather(&scope, &subject)?)
}

fn write(facts: &Facts, file: &Path) -> anyhow::Result<Outcome> {
    eprint!("{}", report::gaps(&facts.gaps, Paint::new(false)));
    let text = facts.write();
    if file == Path::new("-") {
        return output::print(&text);
    }
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(Outcome::Fine)
}

/// What becomes of probes from the lab's client; nothing where there is none to send them.
fn probed(facts: &Facts, spec: &Spec) -> anyhow::Result<Vec<(probe::Way, Vec<probe::Attempt>)>> {
    let client = facts.hosts.iter().find(|host| host.role == Role::Client);
    let Some(netns) = client.and_then(|client| client.netns.as_deref()) else {
        return Ok(Vec::new());
    };
    let cases = path::cases(facts, spec, &facts.subject);
    if std::io::stderr().is_terminal() {
        eprintln!("netlab: facts of {} hosts gathered; dialling", facts.hosts.len());
    }
    probe::probe(netns, &cases).context("cannot probe from the client")
}

fn subject(asked: Option<&str>, scope: &Scope) -> anyhow::Result<Subject> {
    let Some(asked) = asked else { return Ok(Subject::everything()) };
    let spec = facts::objects(&scope.manifests()?)?.resolve()?;
    match asked.parse::<SocketAddr>() {
        Ok(socket) => Ok(Subject::dialled(asked, socket.ip(), socket.port(), &spec)),
        Err(_) => Ok(Subject::service(asked, service::find(&spec, asked)?)),
    }
}
