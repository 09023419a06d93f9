//! What is looked at: a lab, this host, or a file of facts; and from where it is dialled.
//!
//! Who names neither a lab nor `--here` means the lab `lab`; where there is no lab at all, this
//! host, since there is nothing else to mean.

use std::{
    fs::File,
    io::{IsTerminal as _, Read as _},
    net::{IpAddr, SocketAddr},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, bail};
use netlab::{
    capture::service,
    doctor::{
        facts::{
            self, Cluster, Facts, Gap, Here, HostFacts, Programs, Role, Scope, Source, Subject,
        },
        observe::{self, Observed},
        path::{self, Case},
    },
    lab::LabDir,
    netlink::Netns,
    spec::Spec,
};

use super::nothing;
use crate::cli::{DEFAULT_LAB, DoctorArgs};

/// Larger files are no facts: those of ten thousand Services have a tenth of this.
const MOST: u64 = 512 << 20;

/// What was observed, and what should be.
///
/// # Errors
///
/// Where nothing could be looked at, or facts or objects are refused.
pub(super) fn look(args: &DoctorArgs) -> anyhow::Result<(Facts, Spec)> {
    if let Some(file) = &args.facts {
        let mut facts = read(file)?;
        let spec = spec(facts.lab.is_some(), facts.spec())?;
        tell_undialled(&mut facts, &spec);
        return Ok((facts, spec));
    }
    let scope = scope(args)?;
    let cluster = scope.cluster()?;
    let subject = subject(args.subject.as_deref(), &cluster)?;
    if let (Scope::Lab(_), Ok(spec)) = (&scope, &cluster.spec) {
        refuse_pod(&subject, spec)?;
    }
    let mut facts = facts::gather_of(&scope, &cluster, &subject, &Programs::installed())?;
    if facts.hosts.is_empty() {
        let why = facts.gaps.first().map_or("there is no host", |gap| gap.reason.as_str());
        bail!("nothing can be looked at: {why}; root can (sudo netlab doctor)");
    }
    let spec = spec(facts.lab.is_some(), cluster.spec)?;
    tell_undialled(&mut facts, &spec);
    Ok((facts, spec))
}

/// Says of what no packet is walked; facts from a file may say so already.
fn tell_undialled(facts: &mut Facts, spec: &Spec) {
    for gap in path::undialled(&path::cases(facts, spec, &facts.subject)) {
        if !facts.gaps.contains(&gap) {
            facts.gaps.push(gap);
        }
    }
}

/// Of a host without a lab the rules alone can be judged; a lab's objects are netlab's own.
fn spec<E: std::error::Error + Send + Sync + 'static>(
    is_lab: bool,
    read: Result<Spec, E>,
) -> anyhow::Result<Spec> {
    match read {
        Err(_) if !is_lab => Ok(Spec::default()),
        read => read.context("cannot judge: the objects are refused"),
    }
}

fn read(file: &Path) -> anyhow::Result<Facts> {
    let failed = || format!("cannot read the facts {}", file.display());
    let mut text = String::new();
    let opened = File::open(file).with_context(failed)?;
    opened.take(MOST).read_to_string(&mut text).with_context(failed)?;
    if u64::try_from(text.len()).is_ok_and(|length| length >= MOST) {
        bail!("{}: more than {} MiB", failed(), MOST >> 20);
    }
    Facts::read(&text).with_context(|| format!("cannot judge {}", file.display()))
}

fn scope(args: &DoctorArgs) -> anyhow::Result<Scope> {
    let here = || {
        Scope::Here(Here {
            manifests: args.files.clone(),
            kubernetes: args.kubernetes,
            ..Here::default()
        })
    };
    match &args.name {
        _ if args.here => Ok(here()),
        Some(name) => Ok(Scope::Lab(name.clone())),
        None if LabDir::list()?.is_empty() => {
            eprintln!("netlab: there is no lab, so this host is looked at (--here)");
            Ok(here())
        }
        None => Ok(Scope::Lab(DEFAULT_LAB.parse()?)),
    }
}

fn subject(asked: Option<&str>, cluster: &Cluster) -> anyhow::Result<Subject> {
    let unknown = Spec::default();
    let spec = cluster.spec.as_ref().unwrap_or(&unknown);
    let Some(asked) = asked else { return Ok(Subject::sample(spec)) };
    match asked.parse::<SocketAddr>() {
        Ok(socket) => Ok(Subject::dialled(asked, socket.ip(), socket.port(), spec)),
        Err(_) if is_half(asked) => bail!(
            "{asked} is half of what is dialled; ask about ADDRESS:PORT, of IPv6 \
             [ADDRESS]:PORT; {}",
            nothing::instead(spec)
        ),
        Err(_) if spec.services.is_empty() => bail!(
            "no objects are known, so neither is the Service {asked}; give them with -f FILE or \
             --kubernetes, or ask about ADDRESS:PORT"
        ),
        Err(_) => Ok(Subject::service(asked, service::find(spec, asked)?)),
    }
}

/// An address, or a port, by itself.
fn is_half(asked: &str) -> bool {
    asked.parse::<IpAddr>().is_ok() || asked.parse::<u16>().is_ok()
}

/// A lab's client is outside of the pod network.
fn refuse_pod(subject: &Subject, spec: &Spec) -> anyhow::Result<()> {
    let Ok(asked) = subject.asked.parse::<SocketAddr>() else { return Ok(()) };
    match spec.pods.iter().find(|pod| pod.addresses.contains(&asked.ip())) {
        Some(pod) => bail!(
            "nothing to judge: {} is pod {}, which no client outside of the cluster dials; dial a \
             node port: {}",
            asked.ip(),
            pod.name,
            nothing::instead(spec)
        ),
        None => Ok(()),
    }
}

/// What becomes of probes, or of what others dial: from the lab's client; without a lab from this
/// host itself, to the address that was asked about and nothing else.
///
/// # Errors
///
/// Where the namespace to dial from cannot be opened, or nobody has dialled what is watched.
pub(super) fn observed(facts: &Facts, spec: &Spec, args: &DoctorArgs) -> anyhow::Result<Observed> {
    let cases = path::cases(facts, spec, &facts.subject);
    if let Some(seconds) = args.passive {
        return watched(facts, spec, &cases, seconds);
    }
    if let Some(here) = facts.here() {
        return of_itself(facts, spec, here, cases);
    }
    if cases.is_empty() {
        return Ok(Observed::default());
    }
    let client = facts.hosts.iter().find(|host| host.role == Role::Client);
    let Some(netns) = client.and_then(|client| client.netns.as_deref()) else {
        return Ok(Observed::default());
    };
    tell(facts, "dialling");
    let netns = Netns::open(netns).context("cannot probe from the client")?;
    Ok(observe::probe(facts, spec, &netns, &cases))
}

/// What others dial.
fn watched(facts: &Facts, spec: &Spec, cases: &[Case], seconds: u32) -> anyhow::Result<Observed> {
    tell(facts, &format!("watching for {seconds} s"));
    let observed = observe::passive(facts, spec, cases, Duration::from_secs(seconds.into()));
    if observed.ways.is_empty() && observed.gaps.is_empty() {
        bail!(
            "nobody has dialled {} in {seconds} s, so nothing can be said; make traffic \
             meanwhile, wait for longer with --passive=SECONDS, or leave --passive out, so \
             that probes are sent",
            if facts.subject.asked.is_empty() { "a node port" } else { &facts.subject.asked }
        );
    }
    Ok(observed)
}

/// What becomes of probes of the host that is looked at.
fn of_itself(
    facts: &Facts,
    spec: &Spec,
    here: &HostFacts,
    cases: Vec<Case>,
) -> anyhow::Result<Observed> {
    let asked: Option<SocketAddr> = facts.subject.asked.parse().ok();
    let (own, unlike): (Vec<_>, Vec<_>) = cases
        .into_iter()
        .filter(|case| Some(case.dialled) == asked)
        .map(|case| Case { client: here.name.clone(), source: None, ..case })
        .partition(|case| {
            !here.has_address(case.dialled.ip()) || path::is_dialled_alike(facts, spec, here, case)
        });
    let mut observed = Observed::default();
    if !own.is_empty() {
        tell(facts, "dialling");
        observed = observe::probe(facts, spec, &Netns::current()?, &own);
    }
    observed.gaps.extend(unlike_clients(here, asked, !unlike.is_empty()));
    Ok(observed)
}

/// What it is at, for who waits.
fn tell(facts: &Facts, doing: &str) {
    if std::io::stderr().is_terminal() {
        eprintln!("netlab: facts of {} hosts gathered; {doing}", facts.hosts.len());
    }
}

/// What is not seen by dialling from the host that is dialled, or by not dialling.
fn unlike_clients(here: &HostFacts, asked: Option<SocketAddr>, unlike: bool) -> Option<Gap> {
    let (reason, hides) = match asked {
        None => (
            "no ADDRESS:PORT was asked about, so nothing is dialled",
            "What clients meet is judged from what the host shows alone.",
        ),
        Some(_) if unlike => (
            "what this host sends itself meets none of what translates there for its clients, so it \
             is not dialled from here",
            "What clients meet there is judged from what the host shows alone; --passive=30 shows \
             one at work.",
        ),
        // Of those nobody else is a client.
        Some(asked) if asked.ip().is_loopback() => return None,
        Some(asked) if here.has_address(asked.ip()) => (
            "it is dialled from this host itself, whose packets pass neither prerouting nor \
             forwarding as a client's do",
            "What clients meet there is judged from what the host shows alone.",
        ),
        Some(_) => return None,
    };
    Some(Gap {
        host: Some(here.name.clone()),
        source: Source::Probe,
        reason: reason.to_owned(),
        hides: hides.to_owned(),
    })
}
